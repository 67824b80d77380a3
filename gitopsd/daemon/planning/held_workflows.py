"""Quarantined workflows: what stands in for them, read from the deployment that they return to.

`apply`, `plan` and an automatic revert all come here, so that what a revert commits is what planning would.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from gitopsd.compiler.checks.held import why_left_out
from gitopsd.compiler.render.held import HeldWorkflow
from gitopsd.compiler.render.workflow import LibraryOf, RenderedJob, RenderedWorkflow, WorkflowText
from gitopsd.daemon.artifacts.committed_jobs import committed_workflow, job_document, size_of, text_of
from gitopsd.daemon.artifacts.state import committed_policy, read_fleet
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.control import ControlRecord, Quarantine
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.system import WorkflowSummary
from gitopsd.planner.plan.job_document import read_document
from gitopsd.repo.artifacts import ArtifactCommit, ArtifactHead, deployments
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the jobs would run among now: the workers that stay, the policy in force, and the id of the runtime.

    `library` gives what ships beside it.

    `stores`: directory of a file-store -> the workflow that has it, of those that aren't held. `closed` are the workers
    that take no new jobs, being cordoned or lost; `placed`, job -> worker, is what they hold all the same.
    """

    workers: Mapping[str, PlacedWorker]
    policy: PolicyRecord
    runtime: str
    library: LibraryOf
    stores: Mapping[str, str] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()
    placed: Mapping[str, str] = field(default_factory=dict)

    def why_closed(self, job: str, worker: str) -> str:
        """Why the job can't come back to where it was; empty where it can, or never left."""
        if worker not in self.closed or self.placed.get(job) == worker:
            return ""
        return f"its worker {worker} takes no new jobs: it is cordoned or lost"

    def runs_on(self, job: RenderedJob) -> str:
        """What of gitopsd the job would run on now, by its ids. Raises LookupError for a library that is no more."""
        return " ".join([self.runtime, *(self.library(name).id for name in job.libraries)])

    def why_not_equipped(self, job: RenderedJob) -> str:
        """Which of the job's libraries this gitopsd doesn't have; empty where it has all of them."""
        try:
            self.runs_on(job)
        except LookupError as error:
            return f"this gitopsd ships no library {error}"
        return ""

    def clash(self, paths: Iterable[str]) -> str:
        """How a store of theirs lies where one of `paths` does, or inside, or around; empty where none does."""
        found = [
            f"its store {path} lies where `{workflow}` has one now, {store}"
            for path in sorted(set(paths))
            for store, workflow in sorted(self.stores.items())
            if f"{store}/".startswith(f"{path}/") or f"{path}/".startswith(f"{store}/")
        ]
        return found[0] if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """What of `control.json` counts for a version: the workflows to be held, and those whose quarantine it ends."""

    held: Mapping[str, HeldWorkflow] = field(default_factory=dict)
    ended: tuple[str, ...] = ()


def quarantined(
    repository: Repository,
    head: ArtifactHead | None,
    control: ControlRecord,
    summaries: Sequence[WorkflowSummary],
    surroundings: Surroundings,
) -> Quarantined:
    """A version that compiles a workflow to something else than what is quarantined ends its quarantine.

    One that doesn't have the workflow at all leaves it as it is. Raises RepositoryError for a deployment that can't
    be read.
    """
    forms = {summary.workflow: summary.digest for summary in summaries}
    present = {name: one for name, one in control.quarantines.items() if name in forms}
    held = {name: one for name, one in present.items() if forms[name] == one.compiled}
    if head is None or not held:
        return Quarantined(ended=tuple(sorted(present.keys() - held.keys())))
    origins = _deployments(repository, head, held)
    others = [summary for summary in summaries if summary.workflow not in held]
    stores = {store.path: summary.workflow for summary in others for store in summary.stores}
    surroundings = dataclasses.replace(surroundings, stores=stores)
    return Quarantined(
        held={
            name: hold(repository, name, one, origins.get(one.returns_to), surroundings)
            for name, one in sorted(held.items())
        },
        ended=tuple(sorted(present.keys() - held.keys())),
    )


def hold(
    repository: Repository,
    name: str,
    quarantine: Quarantine,
    origin: ArtifactCommit | None,
    surroundings: Surroundings,
) -> HeldWorkflow:
    """The workflow as deployment `origin` had it, as far as that can still run; nothing of it without an origin."""
    reason = f"`{name}` is quarantined by {quarantine.owner} since {quarantine.since}: {quarantine.reason}"
    if origin is None:
        return HeldWorkflow(name=name, compiled="", returns_to=0, reason=reason, files=_nothing)
    found = committed_workflow(repository, origin.tree, name)
    if found is None:
        raise _no_such_deployment(name, quarantine)
    fleet, policy_then = read_fleet(repository, origin.tree), committed_policy(repository, origin.tree)
    jobs: list[RenderedJob] = []
    left_out: dict[str, str] = {}
    for worker, release in found.releases.items():
        for job in release.jobs:
            document = read_document(job_document(repository, job))
            why = why_left_out(
                job,
                then=fleet.get(worker),
                now=surroundings.workers.get(worker),
                policy_then=policy_then,
                policy=surroundings.policy,
                clash=surroundings.clash(document.stores),
            )
            why = why or surroundings.why_closed(job.name, worker) or surroundings.why_not_equipped(job)
            if why:
                left_out[job.name] = why
            else:
                ran_on = " ".join([release.runtime, *(release.libraries.get(name, "") for name in job.libraries)])
                runs_on = surroundings.runs_on(job)
                jobs.append(_restarted(job, runs_on) if ran_on != runs_on and document.role else job)
    jobs.sort(key=lambda job: job.name)
    rendered = RenderedWorkflow(jobs=tuple(jobs), size=size_of(repository, jobs), placement="")
    return HeldWorkflow(
        name=name,
        compiled=found.placement.compiled,
        returns_to=quarantine.returns_to,
        reason=reason,
        jobs=rendered.jobs,
        left_out=left_out,
        size=rendered.size,
        files=lambda: text_of(repository, rendered),
    )


def _restarted(job: RenderedJob, runs_on: str) -> RenderedJob:
    """The job beside another runtime: a release has one runtime, so one that it runs must be restarted.

    Its digest says that; everything else of it stays byte for byte.
    """
    entry = msgspec.json.decode(job.entry)
    digest = sha256(f"{entry['digest']} {runs_on}".encode()).hexdigest()[:40]
    return replace(job, entry=msgspec.json.encode({**entry, "digest": digest}, order="sorted").decode())


def _deployments(
    repository: Repository, head: ArtifactHead, quarantines: Mapping[str, Quarantine]
) -> Mapping[int, ArtifactCommit]:
    """The deployments that quarantines return to, by their number."""
    wanted = {one.returns_to for one in quarantines.values()} - {0}
    found: dict[int, ArtifactCommit] = {}
    for commit in deployments(repository, head.commit.id) if wanted else ():
        if commit.trailers and commit.trailers.deployment in wanted:
            found.setdefault(commit.trailers.deployment, commit)
            if len(found) == len(wanted):
                break
    for name, one in quarantines.items():
        if one.returns_to and one.returns_to not in found:
            raise _no_such_deployment(name, one)
    return found


def _no_such_deployment(name: str, quarantine: Quarantine) -> RepositoryError:
    return RepositoryError(
        f"control.json has `{name}` return to deployment {quarantine.returns_to}, and none of that number has it",
        f"`gitopsd quarantine release {name}` ends its quarantine",
    )


def _nothing() -> WorkflowText:
    return WorkflowText(rendered=RenderedWorkflow(jobs=(), size=0, placement=""), files={})
