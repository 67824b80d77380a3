"""The logs of jobs on the built-in worker: the last lines, and those that come."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.operator import Operator, eventually

COLLECT = "roundtrip.collect.0"


@contextmanager
def following(operator: Operator, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`gitopsd logs -f` with what it has printed so far; ended when the block is left."""
    command = [sys.executable, "-m", "gitopsd", "logs", "--follow", *arguments]
    process = subprocess.Popen(
        command,
        cwd=operator.folder,
        env=operator.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    printed: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        printed.extend(iter(process.stdout.readline, ""))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield process, printed
    finally:
        process.kill()
        process.wait()
        reader.join(10)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()


def _log(operator: Operator, text: str, job: str = COLLECT) -> None:
    (path,) = (operator.home / "state/gitopsd").glob(f"local-1-*/supervisor/logs/{job}.log")
    with path.open("a") as log:
        log.write(text + "\n")


def _followers(operator: Operator) -> set[str]:
    """What runs on this operator's worker to follow a log: `agent`, `tail`."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    own = [line for line in listed.splitlines() if str(operator.home) in line]
    agents = {"agent" for line in own if line.endswith(".py follow")}
    return agents | {"tail" for line in own if line.startswith("tail ")}


def test_the_last_lines_of_a_job_are_shown(operator: Operator) -> None:
    operator.run("apply")
    for number in range(5):
        _log(operator, f"line {number}\twith a tab \x1b[31m")
    shown = operator.run("logs", COLLECT, "--lines", "2").stdout.splitlines()
    assert [line[:6] for line in shown] == ["line 3", "line 4"]
    assert "\x1b" not in "".join(shown)
    for name in ("roundtrip.collect", "collect"):
        assert operator.run("logs", name, "--lines", "1").stdout.startswith("line 4")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_what_is_printed_is_followed_until_somebody_stops_it(operator: Operator, ending: signal.Signals) -> None:
    operator.run("apply")
    _log(operator, "before")
    with following(operator, COLLECT, "--lines", "1") as (process, printed):
        eventually("the last line is shown", lambda: printed == ["before\n"])
        _log(operator, "after")
        eventually("the next line is shown", lambda: printed == ["before\n", "after\n"])
        process.send_signal(ending)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read().strip() == "interrupted"
    eventually("nothing is left", lambda: not _followers(operator))


def test_a_controller_that_is_killed_leaves_no_process_behind(operator: Operator) -> None:
    operator.run("apply")
    _log(operator, "before")
    with following(operator, COLLECT) as (process, printed):
        eventually("it is shown", lambda: "before\n" in printed)
        eventually("it is followed", lambda: _followers(operator) == {"agent", "tail"})
        process.kill()
        eventually("nothing is left", lambda: not _followers(operator))


def test_an_unknown_name_is_refused_with_the_nearest_one(operator: Operator) -> None:
    operator.run("apply")
    assert "roundtrip.collect" in operator.run("logs", "roundtrip.colect", expect=1).stderr
    assert "`collect`" in operator.run("logs", "colect", expect=1).stderr
    operator.run("logs", COLLECT, "--lines", "0", expect=64)
