"""Which workers may take a step, and why each of the others may not."""

from collections.abc import Mapping

from gitopsd.compiler.placement.constraints import parse_constraint
from gitopsd.compiler.placement.features import unmet
from gitopsd.model.artifacts import ArtifactState, PlacedWorker
from gitopsd.model.system import Company, StepNeeds

_Wish = tuple[tuple[str, ...], tuple[str, ...]]
"""Constraints and required features: steps of a group that wish for the same have the same workers."""


class Eligibility:
    """Answers by group and wish, each worked out once: thousands of steps wish for the same."""

    def __init__(self, workers: Mapping[str, PlacedWorker], state: ArtifactState) -> None:
        self._lost = state.lost
        self._drained = state.drained | state.lost
        self._cordoned = state.cordoned | self._drained
        self._facts = state.facts
        self._groups: dict[str, list[PlacedWorker]] = {}
        for worker in workers.values():
            self._groups.setdefault(worker.group, []).append(worker)
        self._refusals: dict[tuple[str, str, _Wish], dict[str, str]] = {}
        self._fitting: dict[str, frozenset[str]] = {}
        self._open: dict[str, tuple[str, ...]] = {}
        self._closed: dict[str, tuple[str, ...]] = {}

    def fitting(self, company: Company) -> frozenset[str]:
        """The workers that every step of the company may run on, cordoned ones included: what is there may stay.

        Not those that are drained or lost: nothing stays there.
        """
        if company.wish not in self._fitting:
            self._fitting[company.wish] = self._able(company) - self._drained
        return self._fitting[company.wish]

    def open(self, company: Company) -> tuple[str, ...]:
        """Those that may take new jobs as well, in the order of their names."""
        if company.wish not in self._open:
            self._open[company.wish] = tuple(sorted(self.fitting(company) - self._cordoned))
        return self._open[company.wish]

    def closed(self, company: Company) -> tuple[str, ...]:
        """Those that only a cordon, a drain or being lost keeps from taking new jobs, in the order of their names."""
        if not self._cordoned:
            return ()
        if company.wish not in self._closed:
            self._closed[company.wish] = tuple(sorted(self._able(company) & self._cordoned))
        return self._closed[company.wish]

    def closed_because(self, worker: str) -> str:
        """Why a worker takes no new jobs although it could; empty where it does."""
        if worker in self._lost:
            return "it is lost"
        if worker in self._drained:
            return "it is being drained"
        return "it is cordoned" if worker in self._cordoned else ""

    def _able(self, company: Company) -> frozenset[str]:
        """All that every step of the company may run on, whatever was decided about them."""
        refused = [self._refused(step) for step in company.steps]
        names = {worker.name for worker in self._groups.get(company.group, ())}
        return frozenset(names.difference(*refused))

    def refusals(self, company: Company) -> dict[str, str]:
        """Every worker of the group with the reason why it may not take the company; empty where it may."""
        reasons: dict[str, str] = {}
        for worker in self._groups.get(company.group, ()):
            refused = (self._refused(step).get(worker.name, "") for step in company.steps)
            reasons[worker.name] = next(filter(None, refused), self.closed_because(worker.name))
        return reasons

    def _refused(self, step: StepNeeds) -> dict[str, str]:
        key = (step.group, step.use, _wish(step))
        if key not in self._refusals:
            workers = self._groups.get(step.group, ())
            reasons = {worker.name: self._refusal(step, worker) for worker in workers}
            self._refusals[key] = {name: reason for name, reason in reasons.items() if reason}
        return self._refusals[key]

    def _refusal(self, step: StepNeeds, worker: PlacedWorker) -> str:
        for text in step.constraints:
            constraint = parse_constraint(text)
            reason = constraint.refusal(worker.labels) if constraint else ""
            if reason:
                return f"{reason} (`{text.strip()}`)"
        for required in step.features:
            reason = unmet(required, worker.features, self._facts.get(worker.name, {}))
            if reason:
                return f"{reason} (`{step.use}` requires `{required}`)"
        return ""


def _wish(step: StepNeeds) -> _Wish:
    return step.constraints, step.features
