"""Messages between jobs on one worker: who signals, and who waits, as real processes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.runner.station import Process, Station, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.runner.transports.kind import Transports

KEPT = "/var/lib/gitopsd/data/messages/0123456789ab.0"
"""As releases have it; the station's own root takes the place of /var/lib/gitopsd."""

RUN = """
import json, os, pathlib, sys, time
root = pathlib.Path(sys.argv[1])
told = json.loads(pathlib.Path(os.environ["GITOPSD_MESSAGE"]).read_text())
name = f"{time.monotonic_ns()}"
(root / f"began.{name}").write_text(json.dumps({**told, "pid": os.getpid()}))
while (root / "hold").exists():
    time.sleep(0.02)
if (root / "slow").exists():
    time.sleep(0.4)
if (root / "fail").exists():
    sys.exit(3)
(root / f"ended.{name}").write_text("")
"""


class Edge:
    """`o.close.0` signals, `o.report.0` waits; its runs leave a file each below `runs`."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.runs = station.root / "runs"
        self.runs.mkdir()
        self.over: Transports | None = None
        """Instead of a store on the worker."""

    def waits(self, *, job: str = "o.report.0", step: str = "report", **more: Any) -> Process:
        self.station.describe(
            job,
            kind="message",
            command=["python3", "-c", RUN, str(self.runs)],
            on={"message": "closed", "inputs": [self.over.input(step) if self.over else self._input(step)]},
            **more,
        )
        return self.station.start(job)

    def signals(self, script: str = "pass", *, kind: str = "once", steps: tuple[str, ...] = ("report",)) -> Process:
        consumers = dict.fromkeys(steps, 1)
        end = {"transport": "file-store", "channel": "c", "path": KEPT, "producer": "o.close.0", "consumers": consumers}
        if self.over:
            end = self.over.output(consumers, producer="o.close.0")
        self.station.describe(
            "o.close.0",
            kind=kind,
            command=["python3", "-c", script],
            signals={"message": "closed", "outputs": [end]},
        )
        (self.station.state("o.close.0") / "completed").unlink(missing_ok=True)
        return self.station.start("o.close.0")

    @property
    def began(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.runs.glob("began.*")) if path.stat().st_size]

    @property
    def ended(self) -> int:
        return len(list(self.runs.glob("ended.*")))

    @property
    def done_for(self) -> list[object]:
        """The newest payloads that runs which ended well were told of."""
        names = [path.name.replace("ended", "began") for path in self.runs.glob("ended.*")]
        return [json.loads((self.runs / name).read_text())["newest"]["payload"] for name in names]

    def hold(self) -> None:
        (self.runs / "hold").touch()

    def let_go(self) -> None:
        (self.runs / "hold").unlink()

    def cursor(self, step: str = "report") -> bytes:
        path = self.station.root / "data/messages/0123456789ab.0/consumers" / step / "0.json"
        return path.read_bytes() if path.exists() else b""

    @staticmethod
    def _input(step: str) -> dict[str, Any]:
        end = {"transport": "file-store", "channel": "c", "path": KEPT, "consumer": step}
        return {**end, "replica": 0, "replicas": 1}


@pytest.fixture
def edge(station: Station) -> Edge:
    return Edge(station)


def test_a_run_that_ended_well_starts_one_of_the_step_that_waits(every_python: Station) -> None:
    edge = Edge(every_python)
    waiting = edge.waits()
    script = "import os, pathlib; pathlib.Path(os.environ['GITOPSD_PAYLOAD']).write_text('{\"day\": 3}')"
    assert edge.signals(script).finish() == 0
    until(lambda: edge.ended == 1, waiting)
    (told,) = edge.began
    assert (told["message"], told["count"]) == ("closed", 1)
    assert told["newest"]["job"] == "o.close.0"
    assert told["newest"]["payload"] == {"day": 3}
    assert waiting.stop() == 0
    assert (edge.station.state("o.close.0") / "completed").exists()


def test_a_message_goes_over_every_transport_and_is_done_when_its_run_is(edge: Edge, transport: Transports) -> None:
    edge.over = transport
    edge.hold()
    waiting = edge.waits()
    signaller = edge.signals(kind="schedule")
    if transport.durable:
        assert signaller.finish() == 0  # else it waits for the run
    until(lambda: len(edge.began) == 1, waiting)
    waiting.kill()
    waiting.finish()
    os.kill(edge.began[0]["pid"], signal.SIGKILL)
    edge.let_go()
    again = edge.waits()
    until(lambda: edge.ended == 1, again)
    assert [told["newest"]["job"] for told in edge.began] == ["o.close.0", "o.close.0"]


def test_what_was_signalled_while_nobody_waited_starts_one_run(edge: Edge) -> None:
    for _ in range(3):
        assert edge.signals(kind="schedule").finish() == 0
    waiting = edge.waits()
    until(lambda: edge.ended == 1, waiting)
    assert [told["count"] for told in edge.began] == [3]
    until(lambda: b"[\n          1,\n          3\n        ]" in edge.cursor(), waiting)
    waiting.stop()
    again = edge.waits()
    edge.signals().finish()
    until(lambda: edge.ended == 2, again)
    assert [told["count"] for told in edge.began] == [3, 1]  # what a run ended well for doesn't come again


def test_what_comes_during_a_run_starts_one_more_and_never_two_at_a_time(edge: Edge) -> None:
    edge.hold()
    waiting = edge.waits()
    edge.signals().finish()
    until(lambda: len(edge.began) == 1, waiting)
    for _ in range(2):
        edge.signals().finish()
    assert len(edge.began) == 1
    edge.let_go()
    until(lambda: edge.ended == 2, waiting)
    assert [told["count"] for told in edge.began] == [1, 2]


def test_a_run_that_failed_is_started_again(edge: Edge) -> None:
    (edge.runs / "fail").touch()
    waiting = edge.waits()
    edge.signals().finish()
    until(lambda: "the run failed with exit code 3; it is started again in" in waiting.said(), waiting)
    (edge.runs / "fail").unlink()
    until(lambda: edge.ended == 1, waiting)
    assert [told["count"] for told in edge.began] == [1, 1]


@pytest.mark.parametrize("victim", ["waits", "run"])
def test_a_killed_run_comes_again_and_never_beside_one_that_lives(edge: Edge, victim: str) -> None:
    edge.hold()
    waiting = edge.waits()
    edge.signals().finish()
    until(lambda: len(edge.began) == 1, waiting)
    run = edge.began[0]["pid"]
    if victim == "run":
        os.kill(run, signal.SIGKILL)
        edge.let_go()
        until(lambda: edge.ended == 1, waiting)
        assert f"exit code {128 + signal.SIGKILL}" in waiting.said()
    else:
        waiting.kill()
        waiting.finish()
        again = edge.waits()
        until(lambda: "waiting: a run of before is still under way" in again.said(), again)
        assert len(edge.began) == 1
        edge.let_go()
        until(lambda: edge.ended == 2, again)
    assert [told["count"] for told in edge.began] == [1, 1]


def test_a_run_is_told_to_end_with_its_job_and_comes_again(edge: Edge) -> None:
    edge.hold()
    waiting = edge.waits()
    edge.signals().finish()
    until(lambda: len(edge.began) == 1, waiting)
    run = edge.began[0]["pid"]
    waiting.stop()
    assert not Path(f"/proc/{run}").exists()
    edge.let_go()
    again = edge.waits()
    until(lambda: edge.ended == 1, again)


@pytest.mark.parametrize(
    ("script", "code"), [("raise SystemExit(4)", 4), ("import os; os.kill(os.getpid(), 9)", 128 + signal.SIGKILL)]
)
def test_a_run_that_did_not_end_well_signals_nothing(edge: Edge, script: str, code: int) -> None:
    assert edge.signals(script).finish() == code
    assert not (edge.station.root / "data").exists()
    assert not (edge.station.state("o.close.0") / "completed").exists()


def test_a_signaller_that_is_told_to_end_signals_nothing_even_if_it_ends_well(edge: Edge) -> None:
    script = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0)); print('up', flush=True); "
    script += "time.sleep(60)"
    signaller = edge.signals(script)
    until(lambda: "up" in signaller.said(), signaller)
    assert signaller.stop() == 0
    assert not (edge.station.root / "data").exists()


def test_a_job_whose_signal_cannot_be_stored_is_not_completed(edge: Edge) -> None:
    (edge.station.root / "data").write_text("in the way")
    signaller = edge.signals()
    assert signaller.finish() == 1
    assert "cannot make the directory" in signaller.said()
    assert not (edge.station.state("o.close.0") / "completed").exists()


def test_a_payload_that_is_no_json_is_named(edge: Edge) -> None:
    script = "import os, pathlib; pathlib.Path(os.environ['GITOPSD_PAYLOAD']).write_text('{')"
    signaller = edge.signals(script)
    assert signaller.finish() == 1
    assert "what the job wrote to $GITOPSD_PAYLOAD isn't JSON" in signaller.said()


def test_every_step_that_waits_gets_every_message(edge: Edge) -> None:
    first, second = edge.waits(), edge.waits(job="o.bill.0", step="bill")
    edge.signals(steps=("report", "bill")).finish()
    until(lambda: edge.ended == 2, first, second)


def test_a_run_signals_in_its_turn(edge: Edge) -> None:
    path = edge.station.root / "mnt" / "next"
    end = {"transport": "file-store", "channel": "d", "path": str(path), "producer": "o.report.0"}
    waiting = edge.waits(signals={"message": "reported", "outputs": [{**end, "consumers": {"x": 1}}]})
    edge.signals().finish()
    stored: Callable[[], list[Path]] = lambda: list(path.glob("segments/o.report.0/*.jsonl"))  # noqa: E731
    until(lambda: bool(stored()), waiting)
    assert json.loads(stored()[0].read_text())["job"] == "o.report.0"
    told = edge.station.run / "s/o.report.0.json"
    until(lambda: json.loads(told.read_text())["done"] == 1, waiting)
    assert json.loads(told.read_text())["pid"] == waiting.pid  # its runs and their signals don't speak for it


def test_what_was_taken_in_is_removed_by_the_signals_that_follow(edge: Edge) -> None:
    waiting = edge.waits()
    for count in range(1, 5):
        edge.signals().finish()
        until(lambda count=count: edge.ended == count, waiting)  # type: ignore[misc] # mypy can't infer a default
        until(lambda count=count: f"{count}\n        ]".encode() in edge.cursor(), waiting)  # type: ignore[misc]
    stored = list((edge.station.root / "data").rglob("*.jsonl"))
    assert len(stored) == 2  # the newest of before, which says where the signaller goes on, and its own


def test_no_signal_is_lost_whoever_is_killed_and_whenever(edge: Edge) -> None:
    """A signal was given when its signaller ended well."""
    chance = random.Random(7)  # noqa: S311 -- the same kills each time, as far as processes let it
    (edge.runs / "slow").touch()
    given = 0
    waiting = edge.waits()
    for number in range(12):
        signaller = edge.signals(f"import os; open(os.environ['GITOPSD_PAYLOAD'], 'w').write('{number}')")
        time.sleep(chance.uniform(0.1, 1.1))
        victim = chance.choice(["signaller", "who waits", "the run", "both", "both", "nobody"])
        if victim == "signaller":
            signaller.kill()
        if victim in {"who waits", "both"}:
            waiting.kill()
            waiting.finish()
        if victim in {"the run", "both"} and edge.began:
            with contextlib.suppress(ProcessLookupError):
                os.kill(edge.began[-1]["pid"], signal.SIGKILL)
        if victim in {"who waits", "both"}:
            waiting = edge.waits()
        if signaller.finish() == 0:
            given += 1
            until(lambda number=number: number in edge.done_for, waiting)  # type: ignore[misc]
    assert given >= 8
