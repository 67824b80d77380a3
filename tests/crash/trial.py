"""One cell's worth of the matrix: an apply, a fault at one point of it, one reconcile, and a look at everything."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.crash import bystanders, verdict
from tests.crash.steps import AGENT, CONTROLLER, step_of
from tests.fleet.deadline import DeadlineError, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.faults import Fault
    from tests.crash.scene import Scene

_REACHED_SECONDS = 60.0
_ENDS = 90.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    side: str
    point: str
    fault: Fault

    @property
    def row(self) -> tuple[str, str]:
        return self.side, step_of(self.side, self.point)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`problems` is empty where all went well; `said` is what apply and reconcile printed.

    Not every apply comes by the same points: one notes a job that took long to get ready, say. `reached` is False where
    two in a row didn't come by this one, so that nothing is known of it.
    """

    trial: Trial
    problems: tuple[str, ...]
    said: str
    reached: bool = True


def enumerate_points(scene: Scene) -> dict[str, list[str]]:
    """Side -> the points that every apply of this scene has, in the order in which they come."""
    runs: list[dict[str, list[str]]] = []
    for _ in range(4):  # versions differ by turns, and the first finds things that the later ones don't
        scene.advance()
        scene.plan(None, "", "")
        apply = scene.start_apply()
        apply.stop(_ENDS)
        assert apply.code == 0, apply.said()
        runs.append({side: (folder / "log").read_text().splitlines() for side, folder in _folders(scene).items()})
    common = {side: set.intersection(*(set(run[side]) for run in runs)) for side in (AGENT, CONTROLLER)}
    return {side: [point for point in runs[-1][side] if point in common[side]] for side in common}


def attempt(scene: Scene, trial: Trial) -> Outcome:
    """Raises nothing but what keeps a whole scene from going on."""
    outcome = _attempt(scene, trial)
    return outcome if outcome.reached else _attempt(scene, trial)


def _attempt(scene: Scene, trial: Trial) -> Outcome:
    scene.advance()
    before = bystanders.look_at(scene.machine)
    where = _folders(scene)[trial.side]
    scene.plan(where, trial.point, trial.fault.action)
    apply = scene.start_apply()
    try:
        wait_until(lambda: (where / "reached").exists() or apply.is_over(), timeout=_REACHED_SECONDS, what="the point")
    except DeadlineError:
        apply.stop(0.0)
        return Outcome(trial=trial, problems=("the point was not reached in time",), said=apply.said())
    if not (where / "reached").exists():
        return Outcome(trial=trial, problems=(), said=apply.said(), reached=False)
    striking = trial.fault.strike

    def go() -> None:
        with suppress(OSError):  # nobody is held any more where a machine was killed
            (where / "go").touch()

    with striking(scene, apply, go) if striking is not None else nullcontext():
        apply.stop(_ENDS)
    said = apply.said()
    problems = ["apply did not end well"] if trial.fault.harmless and apply.code != 0 else []
    scene.forget_plan()
    # by name: a worker that an apply tried in vain a moment ago is left alone for a while otherwise
    reconcile = scene.commands.run("reconcile", scene.machine.name)
    problems += [] if reconcile.code == 0 else [f"reconcile gave {reconcile.code}"]
    problems += verdict.differences(scene)
    problems += bystanders.look_at(scene.machine).touched_since(before, booted=trial.fault.boots)
    return Outcome(trial=trial, problems=tuple(problems), said=f"{said}\n{reconcile.said()}")


def _folders(scene: Scene) -> dict[str, Path]:
    return {AGENT: scene.worker_points(), CONTROLLER: scene.controller_points}
