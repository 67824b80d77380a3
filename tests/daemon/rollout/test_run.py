"""The driver of a rollout, over workers that are told what becomes of them."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from gitopsd.daemon.artifacts.control import KnownPause
from gitopsd.daemon.convergence.result import State, WorkerResult
from gitopsd.daemon.convergence.rollout_reporter import QuietReporter
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.convergence.worker_run import Checking, Differs
from gitopsd.daemon.rollout.run import RolloutRun
from gitopsd.fleet.errors import HostKeyMismatch, WorkerError, WorkerRefused, WorkerUnreachable
from gitopsd.model.artifacts import GroupRecord
from gitopsd.planner.rollout.decide import Standing
from gitopsd.planner.rollout.groups import RolloutGroup


@dataclass
class Worker:
    """Each step gives what it is told to, or raises it; `checks` so many times that its jobs aren't healthy yet."""

    name: str
    looks: Differs | WorkerError | None = field(default_factory=lambda: Differs(new=True))
    ends: State | WorkerError = "converged"
    checks: int = 0
    failures: tuple[str, ...] = ()
    on_look: Callable[[], None] = lambda: None
    on_change: Callable[[], None] = lambda: None
    touched: bool = False
    steps: list[str] = field(default_factory=list)
    changed_jobs: tuple[str, ...] = ("orders.collect.0", "billing.send.0")

    def look(self) -> WorkerResult | Differs:
        self.steps.append("look")
        self.on_look()
        if isinstance(self.looks, Exception):
            raise self.looks
        return self.looks or WorkerResult(worker=self.name, state="in-sync")

    def change(self) -> WorkerResult | Checking:
        self.steps.append("change")
        self.touched = True
        self.on_change()
        return Checking() if self.checks else self._end()

    def check(self) -> WorkerResult | Checking:
        self.steps.append("check")
        self.checks -= 1
        return Checking() if self.checks else self._end()

    def _end(self) -> WorkerResult:
        if isinstance(self.ends, Exception):
            raise self.ends
        failures: dict[str, tuple[str, tuple[str, ...]]] = dict.fromkeys(self.failures, ("it failed", ()))
        return WorkerResult(worker=self.name, state=self.ends, failures=failures)


class Reporter(QuietReporter):
    def __init__(self, *, stop_after: int | None = None) -> None:
        self.asked = 0
        self._stop_after = stop_after

    def stop_asked(self) -> bool:
        self.asked += 1
        return self._stop_after is not None and self.asked > self._stop_after


def rolled_out(
    workers: Iterable[Worker],
    *,
    reporter: QuietReporter | None = None,
    newer: Callable[..., int | KnownPause | None] = lambda **_: None,
    settings: GroupRecord | None = None,
    left_out: Mapping[str, Standing] | None = None,
    failed_before: tuple[str, ...] = (),
) -> tuple[Rollout, dict[str, str]]:
    """All in one group; the summary, and what became of each that came to an end."""
    known = {worker.name: worker for worker in workers}
    group = RolloutGroup(name="edge", settings=settings or GroupRecord(), workers=(*(left_out or {}), *known))
    run = RolloutRun((group,), reporter or QuietReporter(), newer, left_out or {}, failed_before)
    run.workers = known
    states = {result.worker: result.state for result in run.results()}
    return run.summary(known), {name: str(state) for name, state in states.items()}


def away(name: str) -> WorkerUnreachable:
    return WorkerUnreachable(name, "connect", f"{name}: no connection")


def test_each_worker_comes_to_an_end_of_its_own() -> None:
    rollout, states = rolled_out(
        [
            Worker("a", looks=None),
            Worker("b", checks=3),
            Worker("c", looks=away("c")),
            Worker("d", looks=HostKeyMismatch("d", "another key", expected=None, offered=None)),
        ]
    )
    assert states == {"a": "in-sync", "b": "converged", "c": "unreachable", "d": "failed"}
    assert rollout.is_complete
    assert not rollout.stopped
    assert not rollout.failed, "a worker that nothing was changed on says nothing about the version"


def test_a_worker_that_differs_is_looked_at_changed_and_checked_until_it_is_healthy() -> None:
    worker = Worker("a", checks=3)
    rolled_out([worker])
    assert worker.steps == ["look", "change", "check", "check", "check"]


def test_a_canary_that_fails_leaves_the_others_as_they_were() -> None:
    canary, other = Worker("a", ends="failed", failures=("orders.collect.0",)), Worker("b")
    rollout, states = rolled_out([canary, other], settings=GroupRecord(canary=1, auto_revert=True))
    assert states == {"a": "failed"}
    assert other.steps == ["look"]
    assert rollout.stopped == {"edge": "its canary a failed"}
    assert rollout.not_attempted == ("b",)
    assert rollout.failed == ("a",)
    assert rollout.failed_jobs == {"a": ("orders.collect.0",)}
    assert rollout.failed_workflows == rollout.to_revert == ("orders",)


def test_a_worker_that_is_left_out_counts_as_what_became_of_it_the_last_time() -> None:
    failed, away = Standing(phase="failed", new=True), Standing(phase="away")
    other = Worker("b")
    rollout, states = rolled_out([other], settings=GroupRecord(canary=1, auto_revert=True), left_out={"a": failed})
    assert states == {}, "the next one is no canary in its place"
    assert other.steps == ["look"]
    assert rollout.stopped == {"edge": "its canary a failed"}
    assert rollout.not_attempted == ("b",)
    assert (rollout.failed, rollout.to_revert) == ((), ()), "it was told when it happened"
    _, states = rolled_out([Worker("b")], settings=GroupRecord(max_unreachable=0), left_out={"a": away})
    assert states == {}
    rollout, states = rolled_out([Worker("b")], left_out={"a": away})
    assert states == {"b": "converged"}
    assert rollout.is_complete


def test_a_worker_that_failed_as_a_whole_names_all_workflows_that_it_was_to_take() -> None:
    rollout, _ = rolled_out([Worker("a", ends="rolled-back")], settings=GroupRecord(auto_revert=True))
    assert rollout.failed_jobs == {}
    assert rollout.to_revert == ("billing", "orders")


def test_nothing_is_reverted_where_nobody_asked_for_it_or_where_nothing_new_failed() -> None:
    rollout, _ = rolled_out([Worker("a", ends="failed", failures=("orders.collect.0",))])
    assert (rollout.failed_workflows, rollout.to_revert) == (("orders",), ())
    mended = Worker("a", looks=Differs(new=False), ends="failed", failures=("orders.collect.0",))
    rollout, _ = rolled_out([mended], settings=GroupRecord(auto_revert=True))
    assert (rollout.failed, rollout.to_revert) == ((), ())


def test_a_worker_that_is_lost_once_it_was_changed_spends_the_budget_of_failures() -> None:
    rollout, states = rolled_out([Worker("a", ends=away("a")), Worker("b")], settings=GroupRecord(max_parallel=1))
    assert states == {"a": "unreachable"}
    assert rollout.failed == ("a",)
    assert rollout.stopped == {"edge": "1 of 2 failed, and max_failed is 0"}


@pytest.mark.parametrize("settings", [GroupRecord(canary=1), GroupRecord(max_parallel=1)])
def test_a_worker_on_which_this_very_deployment_failed_is_no_better_for_being_out_of_reach(
    settings: GroupRecord,
) -> None:
    canary, other = Worker("a", looks=away("a")), Worker("b")
    canary.on_look = lambda: time.sleep(0.1)
    rollout, states = rolled_out([canary, other], settings=settings, failed_before=("a",))
    assert states == {"a": "unreachable"}
    assert other.steps == ["look"], "the next one is no canary in its place"
    assert (rollout.failed, list(rollout.stopped)) == (("a",), ["edge"])


def test_a_change_may_last_for_its_groups_confirm_timeout_beside_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitopsd.daemon.rollout.run._STEP_SECONDS", {"look": 9.0, "change": 0.0, "check": 9.0})
    cut_off = Worker("a", on_change=lambda: time.sleep(0.5))
    rollout, states = rolled_out([cut_off], settings=GroupRecord(confirm_timeout=9.0))
    assert states == {"a": "converged"}
    assert not rollout.failed


def test_a_newer_deployment_ends_it_between_workers() -> None:
    begun: list[int] = []
    first, second = Worker("a", on_change=lambda: begun.append(1)), Worker("b")
    rollout, states = rolled_out(
        [first, second], newer=lambda **_: 7 if begun else None, settings=GroupRecord(max_parallel=1, auto_revert=True)
    )
    assert rollout.superseded_by == 7
    assert states == {"a": "converged"}, "what was being changed is not cut short"
    assert second.steps == ["look"]
    assert rollout.not_attempted == ("b",)


def test_a_pause_ends_it_between_workers_and_nothing_is_reverted() -> None:
    begun: list[int] = []
    pause = KnownPause(owner="Ann <a@x>", reason="Enough", since="", until="", expired=False)
    first, second = Worker("a", ends="failed", on_change=lambda: begun.append(1)), Worker("b")
    settings = GroupRecord(max_parallel=1, auto_revert=True)
    rollout, states = rolled_out([first, second], newer=lambda **_: pause if begun else None, settings=settings)
    assert (rollout.paused, rollout.superseded_by, rollout.ended_early) == ("Ann <a@x>: Enough", None, True)
    assert states == {"a": "failed"}
    assert (rollout.not_attempted, rollout.to_revert) == (("b",), ())


def test_a_newer_deployment_ends_it_between_two_looks_at_the_health() -> None:
    begun: list[int] = []
    worker = Worker("a", checks=10**6, on_change=lambda: begun.append(1))
    rollout, states = rolled_out([worker], newer=lambda **_: 7 if begun else None)
    assert (rollout.superseded_by, states) == (7, {})
    assert rollout.unfinished == ("a",)
    assert rollout.not_attempted == ()


def test_a_worker_that_holds_a_newer_one_has_the_remote_asked_at_once() -> None:
    asked: list[bool] = []

    def newer(*, at_once: bool = False) -> int | None:
        asked.append(at_once)
        return 9 if at_once else None

    rollout, states = rolled_out([Worker("a", ends=WorkerRefused("a", "stale", "later already"))], newer=newer)
    assert asked.count(True) == 1
    assert states == {}
    assert rollout.unfinished == ("a",)
    assert rollout.superseded_by == 9
    assert rollout.to_revert == ()


def test_asked_to_stop_it_begins_nobody_else_and_waits_for_those_under_way() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Asking(Reporter):
        def stop_asked(self) -> bool:
            if begun.is_set():
                go_on.set()
            return begun.is_set()

    def change() -> None:
        begun.set()
        assert go_on.wait(10)

    first, second = Worker("a", on_change=change), Worker("b")
    rollout, states = rolled_out([first, second], reporter=Asking(), settings=GroupRecord(max_parallel=1))
    assert rollout.interrupted
    assert states == {"a": "converged"}
    assert rollout.not_attempted == ("b",)


def test_more_workers_than_threads_all_come_to_their_end() -> None:
    rollout, states = rolled_out([Worker(f"w{number}", checks=2) for number in range(200)])
    assert set(states.values()) == {"converged"}
    assert len(rollout.results) == 200


def test_an_error_that_nobody_thought_of_is_that_workers_own() -> None:
    def fail() -> None:
        raise ZeroDivisionError("no")

    rollout, states = rolled_out([Worker("a", on_change=fail), Worker("b")])
    assert states == {"a": "failed", "b": "converged"}
    assert next(result for result in rollout.results if result.worker == "a").error == (
        "unexpected ZeroDivisionError: no"
    )
