from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from gitopsd.fleet.errors import Stopped, WorkerRefused, WorkerUnreachable
from gitopsd.fleet.fanout import Failed, Succeeded, fan_out
from gitopsd.fleet.target import Target

TARGETS = [Target(name=f"edge-{number}", connection="local") for number in range(20)]


def test_every_worker_has_exactly_one_outcome() -> None:
    outcomes = list(fan_out(TARGETS, lambda target: target.name.upper(), deadline=30, threads=4))
    assert {outcome.worker: outcome.result for outcome in outcomes if isinstance(outcome, Succeeded)} == {
        target.name: target.name.upper() for target in TARGETS
    }
    assert len(outcomes) == len(TARGETS)


def test_one_workers_failure_is_its_own() -> None:
    def call(target: Target) -> str:
        if target.name == "edge-3":
            raise WorkerRefused("edge-3", "busy", "edge-3: busy")
        if target.name == "edge-4":
            raise ZeroDivisionError
        return "fine"

    outcomes = list(fan_out(TARGETS, call, deadline=30))
    failed = {outcome.worker: outcome.error for outcome in outcomes if isinstance(outcome, Failed)}
    assert {name: type(error) for name, error in failed.items()} == {
        "edge-3": WorkerRefused,
        "edge-4": ZeroDivisionError,
    }
    assert len(outcomes) == len(TARGETS)


def test_no_more_threads_than_asked_for_run_at_once() -> None:
    lock, running, most = threading.Lock(), 0, 0
    together = threading.Barrier(3)

    def call(target: Target) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if target.name in ("edge-0", "edge-1", "edge-2"):
            together.wait(20)
        with lock:
            running -= 1

    assert len(list(fan_out(TARGETS, call, deadline=30, threads=3))) == len(TARGETS)
    assert most == 3


def test_results_come_as_they_are_ready_and_not_in_order() -> None:
    later = threading.Event()

    def call(target: Target) -> None:
        if target.name == "edge-0":
            later.wait(20)

    outcomes = fan_out(TARGETS[:3], call, deadline=30)
    assert {next(outcomes).worker, next(outcomes).worker} == {"edge-1", "edge-2"}
    later.set()
    assert next(outcomes).worker == "edge-0"


def test_workers_that_have_not_ended_at_the_deadline_are_failures_too() -> None:
    never = threading.Event()
    try:
        outcomes = list(fan_out(TARGETS[:3], lambda _: never.wait(60), deadline=1.0, threads=2))
    finally:
        never.set()
    errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
    assert [type(error) for error in errors] == [WorkerUnreachable] * 3
    assert sorted("had not been begun" in str(error) for error in errors) == [False, False, True]


def test_leaving_early_starts_nothing_more() -> None:
    started: list[str] = []
    go = threading.Event()

    def call(target: Target) -> None:
        started.append(target.name)
        if len(started) > 1:
            go.wait(20)

    outcomes = fan_out(TARGETS, call, deadline=30, threads=2)
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined] # a generator, as a `for` that is left closes it
    begun = len(started)
    go.set()
    assert begun <= 4
    assert len(started) <= begun + 1


def test_a_stop_begins_nothing_more_and_says_what_was_begun() -> None:
    stop, go = threading.Event(), threading.Event()
    begun: list[str] = []

    def call(target: Target) -> str:
        begun.append(target.name)
        if target.name == "edge-0":
            return "done"
        if target.name == "edge-1":
            stop.set()
            go.wait(20)
            return "ended in time"
        threading.Event().wait(60)
        return "never"

    outcomes = []
    for outcome in fan_out(TARGETS, call, deadline=60, threads=3, stop=stop, grace=2.0):
        outcomes.append(outcome)
        if isinstance(outcome, Failed):
            go.set()  # the first of those that were not begun is told while others are under way
    done = {outcome.worker: outcome.result for outcome in outcomes if isinstance(outcome, Succeeded)}
    assert done == {"edge-0": "done", "edge-1": "ended in time"}
    failed = {outcome.worker: outcome for outcome in outcomes if isinstance(outcome, Failed)}
    assert set(done) | set(failed) == {target.name for target in TARGETS}
    assert {name for name, outcome in failed.items() if outcome.begun} == set(begun) - set(done)
    for outcome in failed.values():
        assert isinstance(outcome.error, Stopped)
        assert outcome.error.begun == outcome.begun
        assert ("was not begun" in str(outcome.error)) != outcome.begun


def test_a_stop_that_never_comes_changes_nothing() -> None:
    outcomes = list(fan_out(TARGETS, lambda target: target.name, deadline=30, stop=threading.Event()))
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
    assert len(outcomes) == len(TARGETS)


@pytest.mark.parametrize("interrupt", [True, False])
def test_a_worker_that_hangs_does_not_keep_the_process_from_ending(interrupt: bool) -> None:
    script = f"""
import os, signal, threading
from gitopsd.fleet.fanout import fan_out
from gitopsd.fleet.target import Target
def call(target):
    if {interrupt}:
        os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(600)
try:
    list(fan_out([Target(name="a")], call, deadline=600 if {interrupt} else 0.1))
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ("interrupted" if interrupt else "")
