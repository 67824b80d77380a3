"""What workers say, on a person's terminal."""

import click
import pytest
from click.testing import CliRunner

from gitopsd.cli import confirm
from gitopsd.cli.rollout_text import RolloutText
from gitopsd.daemon.converge import WorkerResult


def test_no_line_of_a_workers_message_passes_for_another_workers(capsys: pytest.CaptureFixture[str]) -> None:
    error = "edge-1: no\n  edge-2: converged (3 started)\x1b[1A\n::error::x"
    RolloutText().result(WorkerResult(worker="edge-1", state="failed", error=error))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "  edge-1: failed"
    assert all(line.startswith("    ") for line in said[1:])
    assert "\x1b" not in "".join(said)
    assert not any(line.lstrip().startswith("::") for line in said)


def test_a_question_acts_on_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def ask() -> None:
        confirm.confirmed("Remove /x\x1b[2K?", "it is not removed", yes=False)

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with CliRunner().isolation(input="n\n") as streams:
        monkeypatch.setattr(confirm.sys.stdin, "isatty", lambda: True, raising=False)
        ask.main([], standalone_mode=False)
        assert "\x1b" not in streams[1].getvalue().decode()
        assert r"\x1b" in streams[1].getvalue().decode()
