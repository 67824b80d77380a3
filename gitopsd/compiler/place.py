"""Pass 7: every replica to a worker.

Stable: what was placed and is still eligible stays. The rest goes where the fewest replicas of the same step are, then
where the fewest jobs are (with the strategy `pack`: where the most are), ties broken by rendezvous hashing, so that
neither the order of files nor a worker that comes or goes moves more than it must. Steps joined by a `worker` channel
are placed together.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from msgspec import UnsetType

from gitopsd.compiler.checks.machines import check_machines
from gitopsd.compiler.link import Linked
from gitopsd.compiler.placement.eligible import Eligibility
from gitopsd.compiler.words import short
from gitopsd.model.amounts import seconds
from gitopsd.model.artifacts import ArtifactState, PlacedWorker
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.system import Company, WorkflowSummary

MAX_JOBS = 100_000
"""More is taken for a slip of the pen: it would be rendered in memory before anybody could see it."""

_MULTIPLIER = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio, odd: multiplicative hashing (Knuth, 6.4)
_WORD = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Job -> worker, for every step of every workflow, and the workers that were there to choose from.

    `moved`: jobs that are no longer where they were, with the reason. `kept_away`: jobs that would have gone to another
    worker, and why not there.
    """

    workers: Mapping[str, PlacedWorker]
    jobs: Mapping[str, str]
    moved: Mapping[str, str] = field(default_factory=dict)
    kept_away: Mapping[str, str] = field(default_factory=dict)


def place(
    linked: Linked,
    workers: Mapping[str, PlacedWorker],
    summaries: Sequence[WorkflowSummary],
    state: ArtifactState,
    taken: Mapping[str, int] | None = None,
) -> tuple[Placement | None, list[Diagnostic]]:
    """`taken`: worker -> how many of its slots jobs have that aren't placed here."""
    diagnostics = [*check_machines(linked, workers, state), *_too_many(linked, summaries)]
    if diagnostics:
        return None, diagnostics
    together = [company for summary in summaries for company in summary.companies]
    eligibility = Eligibility(workers, state)
    load = Load(workers, per_worker=Counter(taken or {}))
    moving: dict[str, tuple[Company, list[tuple[str, ...]]]] = {}
    moved: dict[str, str] = {}
    kept_away: dict[str, str] = {}
    for company in together:
        fitting = eligibility.fitting(company)
        for jobs in company.jobs:
            stays = _stays(company, jobs, fitting, state, load)
            if stays:
                load.put(jobs, stays)
                moved |= _gathered(jobs, stays, state, fitting)
            else:
                moving.setdefault(company.name, (company, []))[1].append(jobs)
    left_over: list[tuple[Company, int]] = []
    for company, homeless in moving.values():
        for jobs, (worker, preferred) in zip(homeless, _places(company, homeless, eligibility, load), strict=False):
            for job in jobs:
                origin = state.placement.get(job, worker)
                if origin != worker:
                    moved[job] = _why_moved(company, origin, workers, eligibility)
                if preferred not in {worker, origin}:
                    kept_away[job] = f"not on `{preferred}`: {eligibility.closed_because(preferred)}"
        missing = sum(jobs[0] not in load.jobs for jobs in homeless)
        if missing:
            left_over.append((company, missing))
    diagnostics += [_no_worker(linked, company, count, eligibility, load) for company, count in left_over]
    if diagnostics:
        return None, diagnostics
    return Placement(workers=workers, jobs=load.jobs, moved=moved, kept_away=kept_away), []


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
                lost_after=0 if isinstance(group.lost_after, UnsetType) else round(seconds(group.lost_after)),
            )
    return dict(sorted(workers.items()))


@dataclass(slots=True)
class Load:
    """What has been put on the workers so far."""

    workers: Mapping[str, PlacedWorker]
    jobs: dict[str, str] = field(default_factory=dict)
    per_worker: Counter[str] = field(default_factory=Counter)
    _draws: dict[str, int] = field(default_factory=dict)

    def put(self, jobs: Sequence[str], worker: str) -> None:
        for job in jobs:
            self.jobs[job] = worker
        self.per_worker[worker] += len(jobs)

    def has_room(self, worker: str, company: Company) -> bool:
        return self.per_worker[worker] + len(company.steps) <= self.workers[worker].slots

    def draw(self, name: str) -> int:
        """A number of 64 bits that stands for the name, evenly spread."""
        if name not in self._draws:
            self._draws[name] = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
        return self._draws[name]


def _stays(
    company: Company, jobs: Sequence[str], fitting: frozenset[str], state: ArtifactState, load: Load
) -> str | None:
    """The worker where the replica is now, if it may stay; a company that was apart gathers where its first step is."""
    for job in jobs:
        worker = state.placement.get(job, "")
        if worker in fitting and load.has_room(worker, company):
            return worker
    return None


def _places(
    company: Company, homeless: Sequence[Sequence[str]], eligibility: Eligibility, load: Load
) -> Iterator[tuple[str, str]]:
    """A worker for each replica in turn, which is put there; ends early when all are full.

    The other name is that of the worker where it would be if nobody were cordoned: mostly the same. Candidates are kept
    by rank, since placing a replica changes that of one worker only.
    """
    of_company = Counter(load.jobs[jobs[0]] for jobs in company.jobs if jobs[0] in load.jobs)
    by_rank: dict[tuple[int, int], set[str]] = {}
    for name in eligibility.open(company):
        if load.has_room(name, company):
            by_rank.setdefault(rank(company, name, of_company, load), set()).add(name)
    # nothing is put there, so that their ranks stay
    closed = {
        name: rank(company, name, of_company, load)
        for name in eligibility.closed(company)
        if load.has_room(name, company)
    }
    for jobs in homeless:
        if not by_rank:
            return
        least = min(by_rank)
        draw = load.draw(jobs[0])
        # rendezvous: each pair has a draw of its own, so a worker that comes or goes changes no other pair's
        lowest, worker = min((((draw ^ load.draw(name)) * _MULTIPLIER) & _WORD, name) for name in by_rank[least])
        preferred = (least, lowest, worker)
        for name, order in closed.items():
            preferred = min(preferred, (order, ((draw ^ load.draw(name)) * _MULTIPLIER) & _WORD, name))
        by_rank[least].discard(worker)
        if not by_rank[least]:
            del by_rank[least]
        load.put(jobs, worker)
        of_company[worker] += 1
        if load.has_room(worker, company):
            by_rank.setdefault(rank(company, worker, of_company, load), set()).add(worker)
        yield worker, preferred[2]


def rank(company: Company, worker: str, of_company: Mapping[str, int], load: Load) -> tuple[int, int]:
    """The lowest is taken: the fewest replicas of the company, then the fewest jobs; packing, the most jobs."""
    jobs = load.per_worker[worker]
    return (0, -jobs) if company.packs else (of_company.get(worker, 0), jobs)


def _gathered(jobs: Sequence[str], worker: str, state: ArtifactState, fitting: frozenset[str]) -> dict[str, str]:
    """Jobs that come to where another one of their replica stays, with the reason."""
    if len(jobs) == 1 or all(state.placement.get(job) == worker for job in jobs):
        return {}
    beside = next(job for job in jobs if state.placement.get(job) == worker)
    return {
        job: f"a `worker` channel keeps it beside `{beside}`, which is here already"
        + ("" if origin in fitting else f"; `{origin}` doesn't fit the two of them")
        for job in jobs
        if (origin := state.placement.get(job, worker)) != worker
    }


def _why_moved(company: Company, origin: str, workers: Mapping[str, PlacedWorker], eligibility: Eligibility) -> str:
    if origin not in workers:
        return f"`{origin}` is not in the fleet any more"
    group = company.group
    if workers[origin].group != group:
        return f"`{origin}` is in the group `{workers[origin].group}`, and the step is placed in `{group}`"
    refusal = eligibility.refusals(company)[origin]
    if refusal in {"it is being drained", "it is lost"}:
        return refusal.replace("it", f"`{origin}`", 1)
    if refusal and refusal != "it is cordoned":
        return f"`{origin}` can't take it any more: {refusal}"
    beside = " with the steps that a `worker` channel keeps beside it" if len(company.steps) > 1 else ""
    return f"`{origin}` has no room for it{beside}"


def _too_many(linked: Linked, summaries: Sequence[WorkflowSummary]) -> Iterator[Diagnostic]:
    counts = [sum(step.replicas for step in summary.steps) for summary in summaries]
    jobs = sum(counts)
    if jobs <= MAX_JOBS:
        return
    largest = summaries[counts.index(max(counts))]
    step = max(largest.steps, key=lambda step: step.replicas)
    yield Diagnostic(
        code="too-many-jobs",
        message=f"all replicas of all steps come to {jobs:,} jobs; the limit is {MAX_JOBS:,}",
        location=linked.locate_key(step.origin, "place", "replicas"),
        hint="ask for fewer replicas, or split the repository",
    )


def _no_worker(linked: Linked, company: Company, left_over: int, eligibility: Eligibility, load: Load) -> Diagnostic:
    """Names every worker of the group with the reason why it can't take more; workers with one reason together."""
    workers_by_reason: dict[str, list[str]] = {}
    for name, reason in eligibility.refusals(company).items():
        taken = f"{load.per_worker[name]} of {load.workers[name].slots} slots are taken"
        workers_by_reason.setdefault(reason or taken, []).append(f"`{name}`")
    reasons = "; ".join(
        f"{short(', '.join(names), 1000)}: {reason}" for reason, names in sorted(workers_by_reason.items())
    )
    closed = [name for name in eligibility.closed(company) if eligibility.closed_because(name) != "it is lost"]
    uncordon = f"; or let {_those(closed)} take jobs again: `gitopsd worker uncordon`" if closed else ""
    step = company.steps[0]
    count = "" if left_over == len(company.jobs) else f"{left_over} of the {len(company.jobs)} replicas of "
    needs = f" (which needs {len(company.steps)} slots with the steps beside it)" if len(company.steps) > 1 else ""
    return Diagnostic(
        code="no-eligible-worker",
        message=f"no worker can take {count}the step `{step.name}`{needs}: {reasons or 'the group has no workers'}",
        location=linked.locate_key(step.placed_at, "place"),
        hint=f"change the step's `place`, or the workers of `{step.group}` in {linked.environment.fleet}{uncordon}",
    )


def _those(workers: Sequence[str]) -> str:
    return f"`{workers[0]}`" if len(workers) == 1 else f"one of {len(workers)} cordoned workers"
