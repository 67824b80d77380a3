from gitopsd.cli.plan_text import format_plan
from gitopsd.model.plan import FileChange, JobChange, Plan, PlanInputs

INPUTS = PlanInputs(
    environment="production", source_commit="a" * 40, source_tree="b" * 40, artifact_head="", renderer="1"
)


def _plan(*changes: JobChange, held: str = "", workers: tuple[str, ...] = ("w",)) -> Plan:
    return Plan(
        inputs=INPUTS, tree="c" * 40, digest="d" * 40, branch="rendered/production", held=held,
        changes=changes, changed_workers=workers,
    )  # fmt: skip


def test_a_held_plan_says_what_it_would_do_why_it_does_not_and_how_it_would() -> None:
    change = JobChange(
        worker="w", job="a.b.0", action="held", effect="stop", reason="it went", data="some stays in /srv"
    )
    lines = format_plan(_plan(change, held="it deletes much: `gitopsd apply --confirm-deletes`")).splitlines()
    assert lines == [
        "w",
        "  ! held a.b.0: deleting it stops it",
        "      it went",
        "      data: some stays in /srv",
        "",
        "Plan: 1 held; data in flight: see 1 job.",
        "Held: it deletes much: `gitopsd apply --confirm-deletes`.",
        "environment production, branch rendered/production, plan dddddddddddd",
    ]


def test_what_does_not_change_is_only_counted() -> None:
    change = JobChange(worker="w", job="a.b.0", action="unchanged", effect="none", reason="nothing changed")
    assert format_plan(_plan(change, workers=())).splitlines()[0] == "No changes: 1 jobs are as this version has them."
    assert "its release changes, and none of its jobs do" in format_plan(_plan(change))


def test_control_characters_of_a_repository_do_not_reach_the_terminal() -> None:
    files = (FileChange(path="jobs/a.b.0/job.json", change="changed", diff="+\x1b[31m\n"),)
    change = JobChange(
        worker="w", job="a.b.0", action="update", effect="restart", reason="\x1b[2J", data="\x07", files=files
    )
    assert not {"\x1b", "\x07"} & set(format_plan(_plan(change, held="\x1b")))


def test_a_reason_that_the_jobs_of_a_worker_come_for_is_said_once() -> None:
    told = [("w", "a.b.0", "new"), ("w", "a.c.0", "new"), ("w", "a.d.0", "other"), ("x", "a.e.0", "other")]
    changes = [
        JobChange(worker=worker, job=job, action="create", effect="start", reason=reason)
        for worker, job, reason in told
    ]
    assert format_plan(_plan(*changes, workers=("w", "x"))).splitlines()[:10] == [
        "w",
        "  + create a.b.0: starts",
        "  + create a.c.0: starts",
        "      new",
        "  + create a.d.0: starts",
        "      other",
        "",
        "x",
        "  + create a.e.0: starts",
        "      other",
    ]
