"""Something dies at a step of an apply: reconcile, once, brings the worker exactly to the head, and touches no more.

The full matrix is `make matrix`, which writes docs/crash-matrix.md; otherwise a sample meets each row and column.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import pytest

from tests.crash import bystanders
from tests.crash.matrix import all_trials, page, sample
from tests.crash.scene import DATA, DISKS, Scene, disks, scene
from tests.crash.trial import Outcome, Trial, attempt, enumerate_points
from tests.fleet.commands import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fleet.fixtures import StartFleet

PAGE = Path(__file__).parents[2] / "docs/crash-matrix.md"
FULL = os.environ.get("GITOPSD_FULL_MATRIX", "") == "1"
SCENES = 2
# for a look at the matrix in less than the half hour that all of it takes: every cell comes up before any a second time
SECONDS = float(os.environ.get("GITOPSD_MATRIX_SECONDS", "inf"))


@pytest.fixture(scope="module")
def scenes(fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Scene]]:
    """Machines of their own, each with a controller of its own; points are shared out among them."""
    with contextlib.ExitStack() as stack:
        opened = []
        for number in range(SCENES):
            folder = tmp_path_factory.mktemp(f"scene-{number}")
            stack.callback(execute, ["umount", "--lazy", str(folder / "system")], check=False)
            (machine,) = fleet(1, shared=disks(folder), data_size=DISKS[DATA]).values()
            opened.append(stack.enter_context(scene(machine, folder)))
            bystanders.settle_in(machine)
        yield opened


@pytest.mark.timeout(7200)
def test_reconcile_once_makes_good_whatever_died_at_whichever_step_of_an_apply(scenes: list[Scene]) -> None:
    started = time.monotonic()
    points = enumerate_points(scenes[0])
    assert all(len(found) > 20 for found in points.values()), "an apply has more effects than that"
    trials = all_trials(points) if FULL else sample(points)
    waiting: SimpleQueue[Trial] = SimpleQueue()
    for trial in trials:
        waiting.put(trial)
    with ThreadPoolExecutor(max_workers=len(scenes)) as threads:
        try:
            end = time.monotonic() + SECONDS
            found = list(threads.map(lambda own: list(_attempts(own, waiting, end)), scenes))
        finally:  # a Ctrl-C is not held up by what nobody has begun
            list(_taken(waiting))
    outcomes = [outcome for of_a_scene in found for outcome in of_a_scene]
    assert len(outcomes) == len(trials) or end < time.monotonic()
    sys.stderr.write(f"{len(outcomes)} points in {time.monotonic() - started:.0f} s\n")
    if FULL:
        PAGE.write_text(page(outcomes, points, trials=len(trials)))
    missed = [_told(outcome) for outcome in outcomes if not outcome.reached]
    assert len(missed) <= max(2, len(outcomes) // 50), "no apply came by\n" + "\n".join(missed)
    failed = [outcome for outcome in outcomes if outcome.problems]
    assert not failed, "\n\n".join(map(_told, failed[:20])) + f"\n{len(failed)} of {len(outcomes)} failed"


def _attempts(own: Scene, waiting: SimpleQueue[Trial], end: float) -> Iterator[Outcome]:
    for trial in _taken(waiting):
        if time.monotonic() > end:
            return
        outcome = attempt(own, trial)
        if outcome.problems or FULL:
            sys.stderr.write(f"{'FAILED' if outcome.problems else 'passed'} {_told(outcome)}\n")
        yield outcome


def _taken(waiting: SimpleQueue[Trial]) -> Iterator[Trial]:
    while True:
        try:
            yield waiting.get_nowait()
        except Empty:
            return


def _told(outcome: Outcome) -> str:
    trial = outcome.trial
    problems = "\n".join(f"  - {problem}" for problem in outcome.problems)
    where = f"{trial.fault.name} on the {trial.side} at {trial.point}"
    return f"{where}\n{problems}\n{outcome.said}" if outcome.problems else where
