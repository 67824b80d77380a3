"""What workers say, on a person's terminal."""

import io

import pytest

from gitopsd.cli.confirm import confirmed
from gitopsd.cli.rollout_text import RolloutText
from gitopsd.cli.status import failed_attempt
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.status.status import Attempt, WorkerStatus


def test_no_line_of_a_workers_message_passes_for_another_workers(capsys: pytest.CaptureFixture[str]) -> None:
    error = "edge-1: no\n  edge-2: converged (3 started)\x1b[1A\n::error::x"
    RolloutText().result(WorkerResult(worker="edge-1", state="failed", error=error))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "  edge-1: failed"
    assert all(line.startswith("    ") for line in said[1:])
    assert "\x1b" not in "".join(said)
    assert not any(line.lstrip().startswith("::") for line in said)


@pytest.mark.parametrize(("now", "shown"), [("its key is another. Was it", ""), ("", "its key is another")])
def test_what_failed_at_the_last_attempt_is_not_told_twice(now: str, shown: str) -> None:
    status = WorkerStatus(
        worker="edge-1",
        group="edge",
        desired="1" * 40,
        last_attempted=Attempt(deployment=1, finished="", error="edge-1: its key is another"),
        running="",
        last_good=None,
        reachable=False,
        error=now,
        drift=(),
        leaving=False,
        cordon=None,
        pause=None,
    )
    assert failed_attempt(status) == shown


def test_a_question_acts_on_no_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert not confirmed("Remove /x\x1b[2K?", "it is not removed", yes=False)
    said = "".join(capsys.readouterr())
    assert "\x1b" not in said
    assert r"/x\x1b[2K?" in said
