"""Two applies at once, Ctrl-C, and what is seen on a terminal, all on the built-in worker."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.operator import Operator, eventually, local_operator

SLOW = "    rollout: {min_healthy_time: 10m, healthy_deadline: 20m}\n"


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    operator = local_operator(tmp_path)
    yield operator
    operator.run("worker", "teardown", "local-1", "--yes", expect=None)


class Applying:
    """`gitopsd apply` as a process of its own; what it says is read as it comes. Killed at the end of a `with`."""

    def __init__(self, operator: Operator, *arguments: str, terminal: bool = False) -> None:
        ours, theirs = pty.openpty() if terminal else os.pipe()
        if terminal:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gitopsd", "apply", *arguments],
            cwd=operator.folder,
            env={**operator.environment(), "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
        )
        os.close(theirs)
        self._said: list[bytes] = []
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()

    @property
    def said(self) -> str:
        return b"".join(self._said).decode("utf-8", "replace")

    def until_said(self, text: str) -> None:
        eventually(f"{text!r} is said", lambda: text in self.said or self.process.poll() is not None)
        assert text in self.said, self.said

    def end(self) -> tuple[int, str]:
        """Its exit code and stdout."""
        output, _ = self.process.communicate(timeout=90)
        self._reader.join(10)
        return self.process.returncode, output

    def _read(self, descriptor: int) -> None:
        while True:
            try:
                piece = os.read(descriptor, 65536)
            except OSError:  # a terminal whose other end is gone
                piece = b""
            if not piece:
                os.close(descriptor)
                return
            self._said.append(piece)


def commit(operator: Operator, message: str, *, slow: bool) -> None:
    """A version that changes a job, rolled out slowly or at once."""
    fleet = operator.folder / "fleets/local.yaml"
    lines = [line for line in fleet.read_text().splitlines(keepends=True) if "rollout:" not in line]
    position = 1 + next(
        index for index, line in enumerate(lines) if line.startswith("  ") and line.strip().endswith(":")
    )
    fleet.write_text("".join([*lines[:position], *([SLOW] if slow else []), *lines[position:]]))
    workflow = operator.folder / "workflows/roundtrip.yaml"
    text = workflow.read_text()
    workflow.write_text(text.replace("/out", "/out-2") if "/out-2" not in text else text.replace("/out-2", "/out"))
    operator.commit(message)


def note(operator: Operator, deployment: int) -> Any:
    """What was last recorded of a deployment."""
    found = operator.git("log", "-1", "--format=%H", f"--grep=^Deployment: {deployment}$", "rendered/local")
    return json.loads(operator.git("notes", "--ref", "gitopsd/local", "show", found))["rollouts"][-1]


def test_a_newer_commit_takes_over_while_the_first_waits_for_health(operator: Operator) -> None:
    commit(operator, "Slow", slow=True)
    with Applying(operator) as first:
        first.until_said("local-1: activating")
        commit(operator, "Urgent", slow=False)
        second = operator.run("apply", "--json")
        code, output = first.end()
    assert second.json["deployment"] == 2
    assert [result["state"] for result in second.json["workers"]] == ["converged"]
    assert code == 3, first.said
    assert "deployment 2 is newer" in first.said
    assert "begun, and the end not waited for: local-1" in first.said
    assert "deployment 1: 1 unfinished" in output
    assert (note(operator, 1)["superseded_by"], note(operator, 1)["not_attempted"]) == (2, ["local-1"])
    assert note(operator, 2)["counts"] == {"converged": 1}
    assert [result["state"] for result in operator.run("apply", "--json").json["workers"]] == ["in-sync"]


def test_a_pause_ends_it_and_after_resume_it_goes_on(operator: Operator) -> None:
    commit(operator, "Slow", slow=True)
    with Applying(operator) as applying:
        applying.until_said("local-1: activating")
        operator.run("pause", "--reason", "It looks bad")
        code, output = applying.end()
    assert code == 1, applying.said
    assert "It looks bad" in applying.said
    assert "it goes on where it ended once `gitopsd resume` was run" in applying.said
    assert "deployment 1: 1 unfinished" in output
    assert "It looks bad" in note(operator, 1)["paused"]
    assert "1 unfinished, paused" in operator.run("history").stdout
    assert "begun, and the end not waited for: local-1" in operator.run("show", "1").stdout
    operator.run("resume")
    commit(operator, "At once", slow=False)
    assert [result["state"] for result in operator.run("apply", "--json").json["workers"]] == ["converged"]


def test_ctrl_c_ends_it_cleanly_and_says_what_was_not_done(operator: Operator) -> None:
    commit(operator, "Slow", slow=True)
    with Applying(operator) as applying:
        applying.until_said("local-1: activating")
        applying.process.send_signal(signal.SIGINT)
        code, _ = applying.end()
    assert code == 130, applying.said
    assert "stopping: no other worker is begun" in applying.said
    assert "begun, and the end not waited for: local-1" in applying.said
    assert "run this again" in applying.said
    assert "Traceback" not in applying.said
    recorded = note(operator, 1)
    assert (recorded["interrupted"], recorded["not_attempted"]) == (True, ["local-1"])


def test_a_second_ctrl_c_ends_at_once(operator: Operator) -> None:
    commit(operator, "Slow", slow=True)
    with Applying(operator) as applying:
        applying.until_said("local-1: activating")
        applying.process.send_signal(signal.SIGSTOP)  # so that both come before it is at it again
        applying.process.send_signal(signal.SIGINT)
        applying.process.send_signal(signal.SIGTERM)
        applying.process.send_signal(signal.SIGCONT)
        code, _ = applying.end()
    assert code == 130, applying.said
    assert "Traceback" not in applying.said


def test_on_a_terminal_each_worker_has_a_line_and_nothing_of_it_is_left_behind(operator: Operator) -> None:
    commit(operator, "At once", slow=False)
    with Applying(operator, "--json", terminal=True) as applying:
        code, output = applying.end()
    assert code == 0, applying.said
    assert json.loads(output)["workers"][0]["state"] == "converged"
    assert "0 of 1 workers" in applying.said
    assert "\x1b[?25h" in applying.said, "the cursor is back"
    last = applying.said.replace("\r", "\n").splitlines()
    assert any("local-1: converged" in line for line in last)


def test_the_lock_says_who_holds_it_while_it_is_waited_for(operator: Operator) -> None:
    operator.run("apply")
    commit(operator, "Slow", slow=True)
    with Applying(operator) as first:
        first.until_said("local-1: activating")
        with Applying(operator) as second:  # the same version: nothing is newer
            second.until_said(f"process {first.process.pid} ")
            assert re.search("waiting for it, (300|2[0-9][0-9]) s at most", second.said)
            second.process.send_signal(signal.SIGINT)
            code, _ = second.end()
        assert code == 130
        first.process.send_signal(signal.SIGINT)
        assert first.end()[0] == 130
