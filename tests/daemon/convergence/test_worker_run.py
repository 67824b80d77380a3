"""One worker on its way, step by step, against a worker that answers what it is told to."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from gitopsd.daemon.convergence.result import PayloadSource, WorkerResult
from gitopsd.daemon.convergence.worker_run import Checking, Differs, WorkerRun
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import Stage, WorkerRefused, WorkerUnreachable
from gitopsd.fleet.target import Target
from gitopsd.fleet.wire import decode_answer
from gitopsd.model.artifacts import GroupRecord
from gitopsd.model.facts import Owner
from gitopsd.model.release import DesiredRelease, ReleaseRecord
from gitopsd.repo.repository import open_at
from tests.repo.gitrepo import GitRepo

NEW, OLD = "a" * 40, "b" * 40
SWITCH = {"release": NEW, "previous": OLD, "token": "t1", "seconds_left": 20.0, "phase": "waiting"}
UNDONE = {"release": NEW, "to": OLD, "at": 1000.0, "reason": "nobody confirmed it"}

Answer = dict[str, Any] | Exception


def observed(release: str | None, **more: Any) -> dict[str, Any]:
    return {
        "owner": None, "release": release, "tree": release, "units": {}, "applied": {}, "completed": [],
        "releases": [release] if release else [], "interrupted": False, **more,
    }  # fmt: skip


def activation(**more: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = dict.fromkeys(("started", "restarted", "reloaded", "stopped", "unchanged"), ())
    return {
        **nothing, "failed": {}, "daemon_reload": False, "seconds": {}, "observation": observed(NEW), "token": "t1",
        "pending": ["orders.collect.0"], **more,
    }  # fmt: skip


def health(*pending: str, **more: Any) -> dict[str, Any]:
    reasons = dict.fromkeys(pending, "nobody listens at port 7000")
    return {"healthy": [], "pending": pending, "failed": {}, "reasons": reasons, **more}


def away(stage: Stage = "read") -> WorkerUnreachable:
    return WorkerUnreachable("edge-1", stage, "edge-1: no answer")


class Fleet(Workers):
    """One worker: the answers to each verb in turn, the last one again and again; `asked` says what was asked, how."""

    def __init__(self, answers: Mapping[str, list[Answer]]) -> None:
        super().__init__()
        self._answers = {verb: list(given) for verb, given in answers.items()}
        self.asked: list[tuple[str, str]] = []
        self.requests: list[Mapping[str, Any]] = []

    def connect(self, target: Target, *, only_looks: bool = False) -> Any:  # noqa: ARG002 -- as those of real workers
        return Connection(self, target, "kept")

    def connect_anew(self, target: Target) -> Any:
        return Connection(self, target, "anew")

    def answer(self, verb: str, how: str, request: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append((verb, how))
        self.requests.append(request)
        given = self._answers[verb]
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Connection:
    def __init__(self, fleet: Fleet, target: Target, how: str) -> None:
        self._fleet, self.target, self._how = fleet, target, how

    def call(
        self, verb: str, request: Mapping[str, Any], payload: bytes = b"", timeout: float = 30.0
    ) -> dict[str, Any]:
        del payload, timeout
        return self._fleet.answer(verb, self._how, request)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[..., WorkerRun]:
    repo = GitRepo(tmp_path / "repository")
    repo.write("file", "any")
    repo.commit()
    repository = open_at(repo.path)

    def make(fleet: Fleet, *, connection: Any = "ssh", on_trial: bool = False, **settings: Any) -> WorkerRun:
        record = ReleaseRecord(format=1, worker="edge-1", environment="production")
        return WorkerRun(
            DesiredRelease(worker="edge-1", id=NEW, record=record, files={}),
            Target(
                name="edge-1",
                connection=connection,
                address="10.0.0.1",
                owner=Owner(root_commit="c" * 40, environment="production"),
            ),
            fleet,
            PayloadSource(repository),
            secrets=None,
            settings=GroupRecord(confirm_timeout=5.0, **settings),
            deployment=7,
            on_trial=on_trial,
            progress=lambda *_: None,
            observed=lambda *_: None,
            about_to_change=lambda _: None,
            stopping=lambda: False,
        )

    return make


RunOf = Callable[..., WorkerRun]


def changed(run: WorkerRun) -> WorkerResult | Checking:
    assert run.look() == Differs(new=True)
    return run.change()


def result(outcome: WorkerResult | Checking | Differs) -> WorkerResult:
    assert isinstance(outcome, WorkerResult), outcome
    return outcome


def test_a_change_is_confirmed_over_a_new_connection_before_the_health_is_looked_at(run_of: RunOf) -> None:
    fleet = Fleet(
        {
            "observe": [observed(OLD)],
            "activate": [activation()],
            "confirm": [{"confirmed": True}],
            "health": [health("orders.collect.0"), health(observation=observed(NEW))],
        }
    )
    run = run_of(fleet)
    assert changed(run) == Checking()
    assert run.check() == Checking()
    assert result(run.check()).state == "converged"
    assert fleet.asked == [
        ("observe", "kept"),
        ("activate", "kept"),
        ("confirm", "anew"),
        ("health", "kept"),
        ("health", "kept"),
    ]
    assert (fleet.requests[1]["confirm_timeout"], fleet.requests[1]["deployment"]) == (5.0, 7)
    assert fleet.requests[2]["token"] == SWITCH["token"]


def test_nothing_is_waited_for_where_all_jobs_are_up_already(run_of: RunOf) -> None:
    fleet = Fleet({"observe": [observed(OLD)], "activate": [activation(pending=[])], "confirm": [{"confirmed": True}]})
    assert result(changed(run_of(fleet))).state == "converged"
    fleet = Fleet({"observe": [observed(OLD)], "activate": [activation(pending=[])], "confirm": [{"confirmed": True}]})
    assert changed(run_of(fleet, min_healthy_time=10.0)) == Checking()


def test_a_local_worker_has_no_switch(run_of: RunOf) -> None:
    fleet = Fleet({"observe": [observed(OLD)], "activate": [activation(token=None, pending=[])]})
    assert result(changed(run_of(fleet, connection="local"))).state == "converged"
    assert fleet.requests[1]["confirm_timeout"] is None


def test_what_an_earlier_controller_could_not_confirm_is_confirmed_first(run_of: RunOf) -> None:
    fleet = Fleet({"observe": [observed(NEW, switch=SWITCH), observed(NEW)], "confirm": [{"confirmed": True}]})
    assert result(run_of(fleet).look()).state == "in-sync"
    assert fleet.asked == [("observe", "kept"), ("confirm", "anew"), ("observe", "kept")]


def test_what_is_not_wanted_any_more_is_not_confirmed(run_of: RunOf) -> None:
    fleet = Fleet({"observe": [observed(OLD, switch={**SWITCH, "release": OLD})]})
    assert run_of(fleet).look() == Differs(new=True)


def test_an_activation_that_failed_as_a_whole_is_rolled_back_at_once(run_of: RunOf) -> None:
    fleet = Fleet(
        {
            "observe": [observed(OLD)],
            "activate": [WorkerRefused("edge-1", "io", "edge-1: the disk is broken")],
            "rollback": [{"release": OLD, "previous": NEW}],
        }
    )
    run = run_of(fleet)
    outcome = result(changed(run))
    assert outcome.state == "rolled-back"
    assert outcome.error == "edge-1: the disk is broken; it was rolled back, and holds bbbbbbbbbbbb again"
    assert run.touched
    assert fleet.requests[-1]["release"] == NEW, "and nothing that another controller activated since"


def test_an_agent_that_was_killed_while_it_changed_the_worker_has_failed(run_of: RunOf) -> None:
    killed = decoded(status=None, stdout=b"")
    assert killed.code == "protocol"
    fleet = Fleet(
        {"observe": [observed(OLD)], "activate": [killed], "rollback": [{"release": OLD, "previous": NEW}]},
    )
    run = run_of(fleet)
    assert result(changed(run)).state == "rolled-back"
    assert run.touched, "the version may be what took all of the memory"


def decoded(*, status: int | None, stdout: bytes) -> WorkerRefused:
    with pytest.raises(WorkerRefused) as caught:
        decode_answer("edge-1", "activate", status, stdout, b"")
    return caught.value


def test_a_worker_that_refused_before_anything_was_changed_was_not_touched(run_of: RunOf) -> None:
    for code, tried in (("busy", False), ("no-space", True), ("protocol", True)):
        fleet = Fleet(
            {
                "observe": [observed(OLD)],
                "activate": [WorkerRefused("edge-1", code, "edge-1: not now")],
                "rollback": [WorkerRefused("edge-1", "not-armed", "edge-1: nothing waits")],
            }
        )
        run = run_of(fleet)
        with pytest.raises(WorkerRefused):
            changed(run)
        assert not run.touched
        assert (("rollback", "kept") in fleet.asked) == tried


def test_a_worker_that_was_away_before_it_was_asked_to_change_was_not_touched(run_of: RunOf) -> None:
    run = run_of(Fleet({"observe": [observed(OLD)], "activate": [away("connect")]}))
    with pytest.raises(WorkerUnreachable):
        changed(run)
    assert not run.touched


def test_a_change_whose_answer_was_lost_is_confirmed_once_the_worker_answers_again(run_of: RunOf) -> None:
    fleet = Fleet(
        {
            "observe": [observed(OLD), away(), observed(NEW, busy=True), observed(NEW, switch=SWITCH)],
            "activate": [away()],
            "confirm": [{"confirmed": True}],
        }
    )
    run = run_of(fleet)
    assert changed(run) == Checking()
    assert fleet.asked[-1] == ("confirm", "anew")
    assert run.touched


def test_a_worker_that_undid_the_change_by_itself_is_said_to_have(run_of: RunOf) -> None:
    fleet = Fleet(
        {
            "observe": [observed(OLD), away(), observed(OLD, rolled_back=UNDONE)],
            "activate": [activation()],
            "confirm": [away()],
        }
    )
    outcome = result(changed(run_of(fleet)))
    assert outcome.state == "rolled-back"
    assert "it undid the change by itself and holds bbbbbbbbbbbb again: nobody confirmed it" in outcome.error


def test_what_a_worker_undid_earlier_is_not_taken_for_this_change(run_of: RunOf) -> None:
    fleet = Fleet({"observe": [observed(OLD, rolled_back=UNDONE)], "activate": [away()]})
    run = run_of(fleet)
    outcome = result(changed(run))
    assert outcome.state == "unreachable"
    assert "the change was never made" in outcome.error
    assert not run.touched, "a link that was cut is no failure of the version"


def test_a_job_that_is_not_healthy_in_time_fails_with_its_reason_and_its_log(run_of: RunOf) -> None:
    fleet = Fleet(
        {
            "observe": [observed(OLD), observed(NEW)],
            "activate": [activation(token=None)],
            "health": [health("orders.collect.0")],
            "logs": [{"lines": ["still starting"]}],
        }
    )
    run = run_of(fleet, healthy_deadline=0.0)
    assert changed(run) == Checking()
    outcome = result(run.check())
    assert outcome.state == "failed"
    assert outcome.failures == {
        "orders.collect.0": ("it wasn't healthy within 0 s: nobody listens at port 7000", ("still starting",))
    }


def test_health_of_a_release_that_the_worker_left_meanwhile_is_no_health(run_of: RunOf) -> None:
    gone = WorkerRefused("edge-1", "stale", "edge-1: holds another")
    answers: dict[str, list[Answer]] = {
        "observe": [observed(OLD), observed(OLD, rolled_back=UNDONE)],
        "activate": [activation(token=None)],
        "health": [gone],
    }
    run = run_of(Fleet(answers))
    changed(run)
    assert result(run.check()).state == "rolled-back"
    run = run_of(Fleet({**answers, "observe": [observed(OLD), observed("d" * 40)]}))
    changed(run)
    with pytest.raises(WorkerRefused):
        run.check()


def test_a_worker_that_was_not_well_before_is_asked_for_its_health_although_nothing_differs(run_of: RunOf) -> None:
    fleet = Fleet({"observe": [observed(NEW)], "health": [health(observation=observed(NEW))]})
    run = run_of(fleet, on_trial=True)
    assert changed(run) == Checking()
    assert result(run.check()).state == "converged"
    assert "activate" not in {verb for verb, _ in fleet.asked}


def test_a_worker_that_is_to_have_no_jobs_and_holds_nothing_is_not_asked_for_its_health(run_of: RunOf) -> None:
    fleet = Fleet({"observe": [observed(None)]})
    assert result(run_of(fleet, on_trial=True).look()).state == "in-sync"


def test_an_activation_of_the_same_release_by_another_controller_counts_as_ours(run_of: RunOf) -> None:
    fleet = Fleet(
        {
            "observe": [observed(OLD), observed(NEW, switch={**SWITCH, "token": "t2"})],
            "activate": [activation()],
            "confirm": [WorkerRefused("edge-1", "stale", "edge-1: another activation"), {"confirmed": True}],
            "health": [health(observation=observed(NEW))],
        }
    )
    run = run_of(fleet)
    assert changed(run) == Checking()
    told = fleet.requests[-1]["token"]
    assert told == "t2", "the other controller may be gone: it is confirmed in its place"
    assert result(run.check()).state == "converged"


def test_a_worker_that_another_controller_gave_another_release_is_no_failure_of_this_version(run_of: RunOf) -> None:
    fleet = Fleet(
        {
            "observe": [observed(OLD), observed(OLD)],
            "activate": [activation()],
            "confirm": [WorkerRefused("edge-1", "stale", "edge-1: another activation")],
        }
    )
    run = run_of(fleet)
    assert run.look() == Differs(new=True)
    with pytest.raises(WorkerRefused):
        run.change()
    assert not run.touched
