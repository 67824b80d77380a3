"""Pass 6: every replica to a worker.

Stable: what was placed and is still eligible stays. The rest goes where the fewest replicas of the same step are, then
where the fewest jobs are, ties broken by rendezvous hashing, so that neither the order of files nor a worker that
comes or goes moves more than it must. Steps joined by a `worker` channel are placed together.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitopsd.compiler.link import Linked
from gitopsd.model.artifacts import ArtifactState, PlacedWorker
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.names import did_you_mean
from gitopsd.model.system import BoundStep, System, job_name

_CONSTRAINT = re.compile(r"label\.([A-Za-z0-9_.-]+) *(==|!=) *([A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Job -> worker, for every step of every workflow, and the workers that were there to choose from."""

    workers: Mapping[str, PlacedWorker]
    jobs: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Company:
    """Steps of one workflow that `worker` channels keep together; replica i of each runs beside replica i of the others."""

    system: System
    steps: tuple[BoundStep, ...]

    @property
    def name(self) -> str:
        return f"{self.system.workflow}.{self.steps[0].name}"

    def jobs(self, replica: int) -> list[str]:
        return [job_name(self.system.workflow, step.name, replica) for step in self.steps]


@dataclass(slots=True)
class _Load:
    """What has been put on the workers so far."""

    jobs: dict[str, str] = field(default_factory=dict)
    per_worker: Counter[str] = field(default_factory=Counter)
    per_company: Counter[tuple[str, str]] = field(default_factory=Counter)

    def put(self, company: _Company, replica: int, worker: str) -> None:
        for job in company.jobs(replica):
            self.jobs[job] = worker
        self.per_worker[worker] += len(company.steps)
        self.per_company[company.name, worker] += 1


def place(
    linked: Linked, systems: Sequence[System], state: ArtifactState
) -> tuple[Placement | None, list[Diagnostic]]:  # fmt: skip
    workers = fleet_workers(linked)
    diagnostics: list[Diagnostic] = []
    companies: list[_Company] = []
    for system in systems:
        companies += _companies(linked, system, diagnostics)
    eligible: dict[str, list[PlacedWorker]] = {}
    for company in companies:
        fitting, refusals = _eligible(company, workers, state)
        eligible[company.name] = fitting
        if not fitting:
            diagnostics.append(_nowhere(linked, company, refusals))
    if diagnostics:
        return None, diagnostics
    load = _Load()
    moving: list[tuple[_Company, int]] = []
    for company in companies:
        for replica in range(company.steps[0].place.replicas):
            stays = _stays(company, replica, eligible[company.name], state, load)
            if stays:
                load.put(company, replica, stays)
            else:
                moving.append((company, replica))
    for company, replica in moving:
        worker = _best(company, replica, eligible[company.name], state, load)
        if worker is None:
            diagnostics.append(_full(linked, company, replica, eligible[company.name], load))
        else:
            load.put(company, replica, worker)
    return None if diagnostics else Placement(workers=workers, jobs=dict(sorted(load.jobs.items()))), diagnostics


def fleet_workers(linked: Linked) -> dict[str, PlacedWorker]:
    """The workers of the environment's fleet by name, with what their groups give them."""
    workers: dict[str, PlacedWorker] = {}
    for group_name, group in linked.fleet.value.groups.items():
        for name, worker in group.workers.items():
            remote = worker.connection == "ssh"
            workers[name] = PlacedWorker(
                name=name,
                group=group_name,
                connection=worker.connection,
                service_manager=worker.service_manager,
                address=worker.address if isinstance(worker.address, str) and remote else "",
                port=worker.port,
                user=worker.user if remote else "",
                host_key=" ".join(worker.host_key.split()[:2]) if isinstance(worker.host_key, str) and remote else "",
                slots=worker.slots,
                labels=dict(sorted({**group.labels, **worker.labels}.items())),
                features=tuple(sorted({*group.features, *worker.features})),
                mounts=dict(sorted(group.mounts.items())),
            )
    return dict(sorted(workers.items()))


def _companies(linked: Linked, system: System, diagnostics: list[Diagnostic]) -> list[_Company]:
    """The steps of a workflow in sets that must share workers; reports sets that can't."""
    leader = {name: name for name in system.steps}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    document = linked.workflows[system.workflow].document
    for channel in system.channels.values():
        if channel.transport != "worker":
            continue
        ends = sorted({end.step for end in (*channel.producers, *channel.consumers)})
        for name in ends[1:]:
            first, other = system.steps[ends[0]], system.steps[name]
            difference = _cannot_share(first, other)
            if difference:
                diagnostics.append(
                    Diagnostic(
                        code="cannot-colocate",
                        message=(
                            f"the `worker` channel `{channel.name}` keeps `{first.name}` and `{other.name}` on the same "
                            f"workers, but {difference}"
                        ),
                        location=document.locate("channels", channel.name, "transport"),
                        related=tuple(
                            Related(message=f"`{step.name}` is placed here", location=document.locate_key("steps", step.name, "place"))
                            for step in (first, other)
                        ),
                        hint="place both alike, or let the channel cross machines: `transport: file-store` with a shared path",
                    )
                )  # fmt: skip
            low, high = sorted((find(ends[0]), find(name)))
            leader[high] = low
    members: dict[str, list[BoundStep]] = {}
    for name, step in system.steps.items():
        members.setdefault(find(name), []).append(step)
    return [_Company(system=system, steps=tuple(steps)) for _, steps in sorted(members.items())]


def _cannot_share(first: BoundStep, other: BoundStep) -> str:
    if first.place.group != other.place.group:
        return f"one is placed in the group `{first.place.group}` and the other in `{other.place.group}`"
    if first.place.replicas != other.place.replicas:
        return f"one has {first.place.replicas} replicas and the other {other.place.replicas}"
    return ""


def _eligible(
    company: _Company, workers: Mapping[str, PlacedWorker], state: ArtifactState
) -> tuple[list[PlacedWorker], dict[str, str]]:
    """Workers that every step of the company may run on, and why each of the others may not."""
    refusals: dict[str, str] = {}
    for worker in workers.values():
        for step in company.steps:
            reason = _refusal(step, worker)
            if reason:
                refusals[worker.name] = reason
                break
    fitting = [worker for worker in workers.values() if worker.name not in refusals]
    if fitting and all(worker.name in state.cordoned for worker in fitting):
        placed_before = {state.placement.get(job) for job in company.jobs(0)}
        if not placed_before & {worker.name for worker in fitting}:
            return [], refusals | {worker.name: "it is cordoned" for worker in fitting}
    return fitting, refusals


def _refusal(step: BoundStep, worker: PlacedWorker) -> str:
    if worker.group != step.place.group:
        return f"it is in the group `{worker.group}`, not `{step.place.group}`"
    for constraint in step.place.constraints:
        match = _CONSTRAINT.fullmatch(constraint.strip())
        if match is None:
            return f"the constraint `{constraint}` can't be read: write `label.KEY == VALUE` or `label.KEY != VALUE`"
        key, operator, wanted = match.groups()
        actual = worker.labels.get(key)
        if (actual == wanted) != (operator == "=="):
            return f"its label `{key}` is `{actual}`" if actual is not None else f"it has no label `{key}`"
    missing = [feature for feature in step.blueprint.requires.features if not _has_feature(worker, feature)]
    if missing:
        return f"it doesn't declare the feature `{missing[0]}` that `{step.use}` requires"
    return ""


def _has_feature(worker: PlacedWorker, wanted: str) -> bool:
    return wanted in worker.features


def _stays(
    company: _Company, replica: int, eligible: Iterable[PlacedWorker], state: ArtifactState, load: _Load
) -> str | None:
    """The worker where the replica is now, if it may stay; a company that was apart gathers where its first step is."""
    fitting = {worker.name: worker for worker in eligible}
    for job in company.jobs(replica):
        worker = fitting.get(state.placement.get(job, ""))
        if worker and load.per_worker[worker.name] + len(company.steps) <= worker.slots:
            return worker.name
    return None


def _best(
    company: _Company, replica: int, eligible: Iterable[PlacedWorker], state: ArtifactState, load: _Load
) -> str | None:
    candidates = [
        worker
        for worker in eligible
        if worker.name not in state.cordoned
        and load.per_worker[worker.name] + len(company.steps) <= worker.slots
    ]  # fmt: skip
    if not candidates:
        return None

    def rank(worker: PlacedWorker) -> tuple[int, int, bytes]:
        draw = hashlib.sha256(f"{company.name}.{replica}\0{worker.name}".encode()).digest()
        return (load.per_company[company.name, worker.name], load.per_worker[worker.name], draw)

    return min(candidates, key=rank).name


def _nowhere(linked: Linked, company: _Company, refusals: Mapping[str, str]) -> Diagnostic:
    document = linked.workflows[company.system.workflow].document
    step = company.steps[0]
    groups = linked.fleet.value.groups
    unknown = next((one for one in company.steps if one.place.group not in groups), None)
    if unknown:
        return Diagnostic(
            code="unknown-group",
            message=f"there is no worker group `{unknown.place.group}` in {linked.environment.fleet}",
            location=document.locate("steps", unknown.name, "place", "group"),
            hint=did_you_mean(unknown.place.group, groups),
        )
    in_group = {
        name: reason for name, reason in refusals.items() if not reason.startswith("it is in the group")
    }  # fmt: skip
    shown = list(in_group.items())[:10]
    reasons = "; ".join(f"`{name}`: {reason}" for name, reason in shown) or "the group has no workers"
    more = f"; and {len(in_group) - len(shown)} more" if len(in_group) > len(shown) else ""
    return Diagnostic(
        code="no-eligible-worker",
        message=f"no worker can take the step `{step.name}`: {reasons}{more}",
        location=document.locate_key("steps", step.name, "place"),
        hint=f"change the step's `place`, or the workers of `{step.place.group}` in {linked.environment.fleet}",
    )


def _full(
    linked: Linked, company: _Company, replica: int, eligible: Sequence[PlacedWorker], load: _Load
) -> Diagnostic:
    document = linked.workflows[company.system.workflow].document
    step = company.steps[0]
    reasons = "; ".join(
        f"`{worker.name}`: {load.per_worker[worker.name]} of {worker.slots} slots are taken" for worker in eligible[:10]
    )
    return Diagnostic(
        code="no-eligible-worker",
        message=f"there is no room for replica {replica} of the step `{step.name}`: {reasons}",
        location=document.locate_key("steps", step.name, "place"),
        hint="add workers or slots, or ask for fewer replicas",
    )
