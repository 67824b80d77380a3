"""What the controller tells, as whoever pushed reads it."""

import pytest

from gitopsd.cli.event_text import EventText
from gitopsd.cli.remote_text import WIDTH
from gitopsd.daemon.controller import events
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.model.control import Quarantine
from gitopsd.planner.drift import Drift

OURS, NEWER, HEAD = "a" * 40, "b" * 40, "d" * 40
QUARANTINE = Quarantine(
    owner="gitopsd", reason="orders failed on edge-1", since="2026-12-01T06:00:00Z", compiled="", failed=7, returns_to=6
)
LONG = "the group `edge` may not be changed before 6 in the morning, so this waits until then, as somebody decided"


def told(capsys: pytest.CaptureFixture[str], *happened: events.Event) -> str:
    text = EventText(OURS)
    for event in happened:
        text.tell(event)
    return capsys.readouterr().err


def committed(
    environment: str, deployment: int, *, source: str = OURS, superseded: tuple[str, ...] = ()
) -> events.Event:
    return events.Committed(
        environment=environment, at=0.0, source=source, head=HEAD, deployment=deployment, trigger="push", subject="",
        author="", workers=("edge-1",), superseded=superseded,
    )  # fmt: skip


def ended(environment: str, deployment: int, result: WorkerResult) -> events.Event:
    return events.WorkerEnded(environment=environment, at=0.0, deployment=deployment, result=result)


def test_a_failure_shows_its_log_and_what_becomes_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    failed = WorkerResult(worker="edge-1", state="failed", failures={"orders.main.0": ("it died", ("no \x1b[2Jdisk",))})
    rollout = Rollout(results=(failed,), not_attempted=("edge-2",), stopped={"edge": "1 of 2 workers failed"})
    said = told(
        capsys,
        committed("production", 7),
        ended("production", 7, failed),
        events.RolloutEnded(environment="production", at=0.0, deployment=7, rollout=rollout, seconds=1.0),
        events.Reverted(
            environment="production", at=0.0, failed=7, by=8, head=HEAD, quarantines={"orders": QUARANTINE},
        ),
    )  # fmt: skip
    assert said.splitlines() == [
        "production: deployment 7 committed (dddddddddddd)",
        "  edge-1: failed",
        "    orders.main.0: it died",
        "      | no \\x1b[2Jdisk",
        "  the rollout stopped in edge: 1 of 2 workers failed",
        "  not attempted, and as they were: edge-2",
        "  mend the version, or go back with `git revert`, and apply that;",
        "    `gitopsd why` tells more",
        "production: deployment 7: 1 failed, 1 not attempted",
        "production: deployment 7 failed, and 8 reverts it (dddddddddddd)",
        "  orders failed on edge-1",
        "  orders goes back to deployment 6, and stays there",
        "    until another version of it comes, or `gitopsd quarantine release",
        "      orders`",
    ]


def test_environments_that_go_on_at_once_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    well = WorkerResult(worker="edge-1", state="converged")
    said = told(
        capsys, committed("a", 1), committed("b", 1), ended("b", 1, well), ended("a", 1, well), ended("a", 1, well)
    )
    assert said.splitlines()[1:] == [
        "b: deployment 1 committed (dddddddddddd)",
        "  edge-1: converged",
        "a:",
        "  edge-1: converged",
        "  edge-1: converged",
    ]


def test_what_was_put_right_is_named_where_the_deployment_did_not_change_the_worker(
    capsys: pytest.CaptureFixture[str],
) -> None:
    drift = (Drift(kind="changed-file", subject="orders.main.0", detail="a file was edited by hand"),)
    one, other = (WorkerResult(worker=name, state="converged", drift=drift) for name in ("edge-1", "edge-2"))
    said = told(capsys, committed("a", 1), ended("a", 1, one), ended("a", 1, other))
    assert said.splitlines()[1:] == [
        "  edge-1: converged",
        "  edge-2: converged",
        "    put right: orders.main.0: a file was edited by hand",
    ]


def test_what_keeps_a_version_from_being_deployed_fits_into_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    excerpt = f"  9 | {'x' * 90}"
    said = told(
        capsys,
        events.Held(environment="a", at=0.0, source=OURS, reasons=(LONG,), until="2026-12-01T06:00:00Z"),
        events.Refused(
            environment="a", at=0.0, source=OURS, error="1 error", hint=LONG, diagnostics=f"error[x]: y\n{excerpt}"
        ),
        events.LookFailed(environment="", at=0.0, error=LONG),
        events.Converged(environment="a", at=0.0, head=HEAD, deployment=1, request=1, problem=LONG),
        events.Said(environment="a", at=0.0, message=LONG, level="warning"),
    )  # fmt: skip
    assert excerpt in said.splitlines()
    assert max(len(line) for line in said.splitlines() if line != excerpt) <= WIDTH
    assert said.startswith("a: aaaaaaaaaaaa waits, until 2026-12-01T06:00:00Z\n")
    assert "a: warning: the group" in said


def test_a_newer_version_that_takes_over_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = told(capsys, committed("a", 2, source=NEWER, superseded=(OURS,)))
    assert said.splitlines()[0] == "a: bbbbbbbbbbbb came meanwhile, and is deployed in the place of this"
