"""What changes between the releases at the artifact branch's head and those just rendered."""

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Protocol

import msgspec

from gitopsd.compiler.render.release import RenderedRelease, Rendering
from gitopsd.model.artifacts import ArtifactState
from gitopsd.model.plan import JobChange, Plan, PlanInputs, Returns
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.trees import EXECUTABLE, FILE, TreeEntry, object_id
from gitopsd.planner.plan.compare import Comparison, goes_on_draining
from gitopsd.planner.plan.delete_guard import why_held
from gitopsd.planner.plan.quarantined import quarantined
from gitopsd.planner.plan.sides import Side, no_side, side_of


class ReleaseReader(Protocol):
    """Reads the releases at the artifact branch's head."""

    def release_ids(self) -> Mapping[str, str]:
        """Worker -> the id of its release."""
        ...

    def files(self, release: str) -> Mapping[str, TreeEntry]:
        """Path below the release -> mode and blob id."""
        ...

    def blob(self, blob_id: str) -> bytes: ...


def make_plan(
    rendering: Rendering,
    before: ReleaseReader | Rendering,
    state: ArtifactState,
    inputs: PlanInputs,
    branch: str,
    *,
    moved_because: Mapping[str, str] | None = None,
    kept_away: Mapping[str, str] | None = None,
    returns: Returns | None = None,
) -> Plan:
    """The plan whose application commits exactly `rendering`, on top of what is committed or of another rendering.

    `moved_because` is what placing says of jobs that are elsewhere now, `kept_away` of those that a cordon keeps from a
    worker; `returns` names the deployments that placing began from where their jobs were.
    """
    returns = returns or Returns()
    old_ids = _release_ids(before)
    new_ids = _release_ids(rendering)
    workers = sorted({*old_ids, *new_ids})
    changed = tuple(worker for worker in workers if old_ids.get(worker) != new_ids.get(worker))
    differs = frozenset(changed)
    comparison = Comparison(
        old={worker: _old_side(before, worker, old_ids[worker]) for worker in changed if worker in old_ids},
        new={
            worker: _new_side(rendering, rendering.releases[worker]) if worker in new_ids else no_side()
            for worker in changed
        },
        same_jobs=[
            job.name
            for worker in workers
            if worker not in differs
            for job in rendering.releases[worker].jobs
            if not job.drains
        ],
        fleet_before=state.fleet,
        fleet=rendering.workers,
        moved_because=moved_because or {},
        kept_away=kept_away or {},
        returns=bool(returns.words),
        held=rendering.held,
    )
    held = _why_held(comparison, state.policy or PolicyRecord())
    changes: list[JobChange] = []
    for worker in workers:
        if worker in differs:
            changes += comparison.changes(worker, gone="held" if held else "delete")
        else:
            changes += [
                goes_on_draining(worker, job.name, job.record) if job.drains else comparison.same(worker, job.name)
                for job in rendering.releases[worker].jobs
            ]
    return Plan(
        inputs=inputs,
        tree=rendering.id,
        digest=plan_digest(inputs, rendering.id),
        branch=branch,
        held=held,
        changed_workers=changed,
        changes=tuple(changes),
        quarantined=quarantined(rendering.held),
        returns=returns,
    )


def plan_digest(inputs: PlanInputs, tree: str) -> str:
    """40 hex digits over everything that the plan follows from, and what it comes to.

    Whether it is held follows from these too, so a plan that is confirmed is the very plan that was held.
    """
    moved = msgspec.structs.replace(inputs, source_commit="")  # two commits of one tree are one plan
    return hashlib.sha256(msgspec.json.encode([moved, tree])).hexdigest()[:40]


def _why_held(comparison: Comparison, policy: PolicyRecord) -> str:
    if not comparison.deleted:
        return ""
    return why_held(
        comparison.deleted,
        comparison.deployed,
        left_workflows=comparison.after.workflows,
        max_delete=policy.max_delete,
    )


def _release_ids(of: ReleaseReader | Rendering) -> Mapping[str, str]:
    if isinstance(of, Rendering):
        return {worker: release.id for worker, release in of.releases.items()}
    return of.release_ids()


def _old_side(before: ReleaseReader | Rendering, worker: str, release: str) -> Side:
    if isinstance(before, Rendering):
        return _new_side(before, before.releases[worker])
    return side_of(before.files(release), before.blob)


def _new_side(rendering: Rendering, release: RenderedRelease) -> Side:
    """A rendered release; the text of a job is made only when it is compared."""
    jobs = {job.name: job for job in release.jobs}
    blobs: dict[str, bytes] = {}

    def files_of(name: str) -> dict[str, TreeEntry]:
        if name not in jobs:
            return {}
        found = {path: (object_id("blob", file.data), file) for path, file in rendering.files(jobs[name]).items()}
        blobs.update((blob, file.data) for blob, file in found.values())
        return {path: TreeEntry(EXECUTABLE if file.executable else FILE, blob) for path, (blob, file) in found.items()}

    return Side(
        jobs={name: job.record for name, job in jobs.items() if not job.drains},
        draining={name: job.record for name, job in jobs.items() if job.drains},
        files_of=cache(files_of),
        blob=blobs.__getitem__,
        runtime=rendering.runtime.id if jobs else "",
        libraries={name: rendering.library(name).id for name in release.libraries},
        adapters=rendering.adapters,
    )
