"""Pass 6: every replica to a worker.

Stable: what was placed and is still eligible stays. The rest goes where the fewest replicas of the same step are, then
where the fewest jobs are, ties broken by rendezvous hashing, so that neither the order of files nor a worker that
comes or goes moves more than it must. Steps joined by a `worker` channel are placed together.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from gitopsd.compiler.colocate import Company, companies
from gitopsd.compiler.eligible import Eligibility
from gitopsd.compiler.link import Linked
from gitopsd.compiler.machines import check_machines
from gitopsd.compiler.words import short
from gitopsd.model.artifacts import ArtifactState, PlacedWorker
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.names import did_you_mean
from gitopsd.model.system import System

MAX_JOBS = 100_000
"""More is taken for a slip of the pen: it would be rendered in memory before anybody could see it."""

_MULTIPLIER = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio, odd: multiplicative hashing (Knuth, 6.4)
_WORD = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Job -> worker, for every step of every workflow, and the workers that were there to choose from."""

    workers: Mapping[str, PlacedWorker]
    jobs: Mapping[str, str]


def place(linked: Linked, systems: Sequence[System], state: ArtifactState) -> tuple[Placement | None, list[Diagnostic]]:
    workers = fleet_workers(linked)
    together, diagnostics = companies(linked, systems)
    diagnostics += check_machines(linked, workers, state)
    eligibility = Eligibility(workers, state.cordoned)
    diagnostics += _too_many(linked, systems)
    for company in together:
        diagnostics += _check_groups(linked, company)
    if diagnostics:
        return None, diagnostics
    load = _Load(workers)
    moving: list[tuple[Company, int]] = []
    for company in together:
        fitting = eligibility.fitting(company)
        for replica in range(company.replicas):
            stays = _stays(company, replica, fitting, state, load)
            if stays:
                load.put(company, replica, stays)
            else:
                moving.append((company, replica))
    left_over: dict[str, tuple[Company, int]] = {}
    for company, replica in moving:
        worker = _best(company, replica, eligibility.open(company), load)
        if worker is None:
            left_over[company.name] = (company, left_over.get(company.name, (company, 0))[1] + 1)
        else:
            load.put(company, replica, worker)
    diagnostics += [_no_worker(linked, company, count, eligibility, load) for company, count in left_over.values()]
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


@dataclass(slots=True)
class _Load:
    """What has been put on the workers so far."""

    workers: Mapping[str, PlacedWorker]
    jobs: dict[str, str] = field(default_factory=dict)
    per_worker: Counter[str] = field(default_factory=Counter)
    per_company: dict[str, Counter[str]] = field(default_factory=dict)
    _draws: dict[str, int] = field(default_factory=dict)

    def put(self, company: Company, replica: int, worker: str) -> None:
        for job in company.jobs(replica):
            self.jobs[job] = worker
        self.per_worker[worker] += len(company.steps)
        self.per_company.setdefault(company.name, Counter())[worker] += 1

    def has_room(self, worker: str, company: Company) -> bool:
        return self.per_worker[worker] + len(company.steps) <= self.workers[worker].slots

    def draw(self, name: str) -> int:
        """A number of 64 bits that stands for the name, evenly spread."""
        if name not in self._draws:
            self._draws[name] = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
        return self._draws[name]


def _stays(company: Company, replica: int, fitting: frozenset[str], state: ArtifactState, load: _Load) -> str | None:
    """The worker where the replica is now, if it may stay; a company that was apart gathers where its first step is."""
    for job in company.jobs(replica):
        worker = state.placement.get(job, "")
        if worker in fitting and load.has_room(worker, company):
            return worker
    return None


def _best(company: Company, replica: int, candidates: Sequence[str], load: _Load) -> str | None:
    of_company: Mapping[str, int] = load.per_company.get(company.name, {})
    ranks = {
        name: (of_company.get(name, 0), load.per_worker[name]) for name in candidates if load.has_room(name, company)
    }
    if not ranks:
        return None
    least = min(ranks.values())
    job = load.draw(company.jobs(replica)[0])
    # rendezvous: each pair has a draw of its own, so a worker that comes or goes changes no other pair's
    return min(
        (((job ^ load.draw(name)) * _MULTIPLIER) & _WORD, name) for name, rank in ranks.items() if rank == least
    )[1]


def _too_many(linked: Linked, systems: Sequence[System]) -> Iterator[Diagnostic]:
    jobs = sum(step.place.replicas for system in systems for step in system.steps.values())
    if jobs <= MAX_JOBS:
        return
    largest = max(systems, key=lambda system: sum(step.place.replicas for step in system.steps.values()))
    step = max(largest.steps.values(), key=lambda step: step.place.replicas)
    yield Diagnostic(
        code="too-many-jobs",
        message=f"all replicas of all steps come to {jobs:,} jobs; the limit is {MAX_JOBS:,}",
        location=linked.workflows[largest.workflow].document.locate_key("steps", step.name, "place", "replicas"),
        hint="ask for fewer replicas, or split the repository",
    )


def _check_groups(linked: Linked, company: Company) -> Iterator[Diagnostic]:
    groups = linked.fleet.value.groups
    for step in company.steps:
        if step.place.group not in groups:
            yield Diagnostic(
                code="unknown-group",
                message=f"there is no worker group `{step.place.group}` in {linked.environment.fleet}",
                location=linked.workflows[company.system.workflow].document.locate(
                    "steps", step.name, "place", "group"
                ),
                hint=did_you_mean(step.place.group, groups),
            )


def _no_worker(linked: Linked, company: Company, left_over: int, eligibility: Eligibility, load: _Load) -> Diagnostic:
    """Names every worker of the group with the reason why it can't take more; workers with one reason together."""
    workers_by_reason: dict[str, list[str]] = {}
    for name, reason in eligibility.refusals(company).items():
        taken = f"{load.per_worker[name]} of {load.workers[name].slots} slots are taken"
        workers_by_reason.setdefault(reason or taken, []).append(f"`{name}`")
    reasons = "; ".join(
        f"{short(', '.join(names), 1000)}: {reason}" for reason, names in sorted(workers_by_reason.items())
    )
    step = company.steps[0]
    count = "" if left_over == company.replicas else f"{left_over} of the {company.replicas} replicas of "
    needs = f" (which needs {len(company.steps)} slots with the steps beside it)" if len(company.steps) > 1 else ""
    return Diagnostic(
        code="no-eligible-worker",
        message=f"no worker can take {count}the step `{step.name}`{needs}: {reasons or 'the group has no workers'}",
        location=linked.workflows[company.system.workflow].document.locate_key("steps", step.name, "place"),
        hint=f"change the step's `place`, or the workers of `{step.place.group}` in {linked.environment.fleet}",
    )
