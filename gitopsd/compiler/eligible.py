"""Which workers may take a step, and why each of the others may not."""

from collections.abc import Mapping

from gitopsd.compiler.colocate import Company
from gitopsd.compiler.constraints import parse_constraint
from gitopsd.compiler.features import unmet
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.system import BoundStep

_Wish = tuple[tuple[str, ...], tuple[str, ...]]
"""Constraints and required features: steps of a group that wish for the same have the same workers."""


class Eligibility:
    """Answers by group and wish, each worked out once: thousands of steps wish for the same."""

    def __init__(self, workers: Mapping[str, PlacedWorker], cordoned: frozenset[str]) -> None:
        self._cordoned = cordoned
        self._groups: dict[str, list[PlacedWorker]] = {}
        for worker in workers.values():
            self._groups.setdefault(worker.group, []).append(worker)
        self._refusals: dict[tuple[str, _Wish], dict[str, str]] = {}
        self._fitting: dict[tuple[str, frozenset[_Wish]], frozenset[str]] = {}
        self._open: dict[tuple[str, frozenset[_Wish]], tuple[str, ...]] = {}

    def fitting(self, company: Company) -> frozenset[str]:
        """The workers that every step of the company may run on, cordoned ones included: what is there may stay."""
        key = _key(company)
        if key not in self._fitting:
            refused = [self._refused(step) for step in company.steps]
            names = {worker.name for worker in self._groups.get(key[0], ())}
            self._fitting[key] = frozenset(names.difference(*refused))
        return self._fitting[key]

    def open(self, company: Company) -> tuple[str, ...]:
        """Those that may take new jobs as well, in the order of their names."""
        key = _key(company)
        if key not in self._open:
            self._open[key] = tuple(sorted(self.fitting(company) - self._cordoned))
        return self._open[key]

    def refusals(self, company: Company) -> dict[str, str]:
        """Every worker of the group with the reason why it may not take the company; empty where it may."""
        reasons: dict[str, str] = {}
        for worker in self._groups.get(company.steps[0].place.group, ()):
            refused = (self._refused(step).get(worker.name, "") for step in company.steps)
            cordoned = "it is cordoned" if worker.name in self._cordoned else ""
            reasons[worker.name] = next(filter(None, refused), cordoned)
        return reasons

    def _refused(self, step: BoundStep) -> dict[str, str]:
        key = (step.place.group, _wish(step))
        if key not in self._refusals:
            workers = self._groups.get(step.place.group, ())
            reasons = {worker.name: _refusal(step, worker) for worker in workers}
            self._refusals[key] = {name: reason for name, reason in reasons.items() if reason}
        return self._refusals[key]


def _key(company: Company) -> tuple[str, frozenset[_Wish]]:
    return company.steps[0].place.group, frozenset(map(_wish, company.steps))


def _wish(step: BoundStep) -> _Wish:
    return step.place.constraints, step.blueprint.requires.features


def _refusal(step: BoundStep, worker: PlacedWorker) -> str:
    for text in step.place.constraints:
        constraint = parse_constraint(text)
        reason = constraint.refusal(worker.labels) if constraint else ""
        if reason:
            return f"{reason} (`{text.strip()}`)"
    for required in step.blueprint.requires.features:
        reason = unmet(required, worker.features)
        if reason:
            return f"{reason} (`{step.use}` requires `{required}`)"
    return ""
