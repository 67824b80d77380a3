"""The artifact commit of an automatic revert.

It has the workflows that failed as they were when they last went well, everything else as the head has it, and their
quarantine: so no version that compiles them to the same is tried again, by whomever.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from gitopsd import __version__
from gitopsd.compiler.render.held import HeldWorkflow
from gitopsd.compiler.render.workflow import LibraryOf
from gitopsd.daemon.artifacts.committed_jobs import committed_release, committed_workflow, job_document
from gitopsd.daemon.artifacts.control import control_of, known_pause, moment, owner_of
from gitopsd.daemon.artifacts.state import committed_policy, read_facts, read_fleet, read_placement
from gitopsd.daemon.configuration.policy import published_policy
from gitopsd.daemon.history.completed import Record
from gitopsd.daemon.planning import shipped
from gitopsd.daemon.planning.held_workflows import Surroundings, hold
from gitopsd.daemon.reverting.reverted_tree import RevertedTree, reverted_tree
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import WORKERS_FOLDER
from gitopsd.model.control import ControlRecord, Quarantine
from gitopsd.model.plan import PlanInputs
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.trees import BuiltTree, build_tree
from gitopsd.planner.plan.diff import plan_digest
from gitopsd.planner.plan.job_document import read_document
from gitopsd.repo.artifacts import (
    ArtifactBranch,
    ArtifactCommit,
    ArtifactHead,
    list_folder,
    read_artifact_commit,
    read_head,
)
from gitopsd.repo.errors import RefMovedError
from gitopsd.repo.publish import fetch_artifacts, write_deployment
from gitopsd.repo.repository import Repository
from gitopsd.repo.trailers import DeploymentTrailers
from gitopsd.runner.bundle import runtime_files

_ATTEMPTS = 5
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Revert:
    """What was committed because deployment `failed` did: `quarantines` by workflow, and the workers that change."""

    failed: int
    deployment: int
    head: ArtifactHead
    quarantines: Mapping[str, Quarantine]
    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Returning:
    """A workflow to be reverted; `origin` is the deployment that it returns to, None where there is none."""

    quarantine: Quarantine
    origin: ArtifactCommit | None


def commit_revert(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    failed_workflows: Mapping[str, str],
    *,
    note: Callable[[str], None],
) -> Revert | None:
    """None where there is nothing to go back to, or the branch went on to a newer deployment; `note` is told why.

    `head` is what was rolled out, and `failed_workflows` are those to go back, with what went wrong. Compare-and-swap:
    records such as cordons that came meanwhile are kept. Raises RepositoryError.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _commit(workspace, branch, head, failed_workflows, note)
        except RefMovedError:  # by a cordon, say; by a newer deployment the next attempt tells
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _commit(
    workspace: Workspace,
    branch: ArtifactBranch,
    rolled_out: ArtifactHead,
    failed_workflows: Mapping[str, str],
    note: Callable[[str], None],
) -> Revert | None:
    repository = workspace.repository
    fetch_artifacts(repository, branch, workspace.remote)
    head = read_head(repository, branch)
    failed = rolled_out.deployment
    if head is None or failed is None or failed.trailers is None:
        return None
    if head.deployment is None or head.deployment.id != failed.id:
        note("nothing is reverted: a newer deployment came meanwhile")
        return None
    pause = known_pause(repository, head)
    if pause and not pause.expired and pause != known_pause(repository, rolled_out):
        note(f"nothing is reverted: {branch.environment} was paused meanwhile by {pause.owner}")
        return None
    chosen = _chosen(workspace, branch, head, failed_workflows, note)
    if not chosen:
        return None
    quarantines = {name: one.quarantine for name, one in chosen.items()}
    control = control_of(repository, head)
    after = replace(control, quarantines={**control.quarantines, **quarantines})
    reverted = revert_onto(workspace, branch, head, chosen, after)
    number = failed.trailers.deployment + 1
    source = failed.trailers.source_commit
    inputs = PlanInputs(
        environment=branch.environment,
        source_commit=source,
        source_tree="",
        artifact_head=head.commit.id,
        renderer=__version__,
    )
    trailers = DeploymentTrailers(
        deployment=number,
        source_commit=source,
        environment=branch.environment,
        trigger="auto-revert",
        plan_digest=plan_digest(inputs, reverted.tree.id),
        renderer=__version__,
        compiled=failed.trailers.compiled,  # what the version comes to is the same; what runs of it isn't
        off_branch=failed.off_branch,
    )
    subject = f"Deployment {number}: {'; '.join(returns(name, one) for name, one in quarantines.items())}"
    commit = write_deployment(
        repository, branch, workspace.remote, reverted.tree, head=head, subject=subject, trailers=trailers
    )
    written = read_artifact_commit(repository, commit)
    return Revert(
        failed=failed.trailers.deployment,
        deployment=number,
        head=ArtifactHead(commit=written, deployment=written, root_commit=head.root_commit),
        quarantines=quarantines,
        workers=reverted.workers,
    )


def revert_onto(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    chosen: Mapping[str, Returning],
    control: ControlRecord,
) -> RevertedTree:
    """The head with these workflows as they return, and this `control.json`. Raises RepositoryError."""
    return reverted_tree(
        workspace.repository,
        head,
        branch.environment,
        _held(workspace, head, chosen),
        control=control,
        runtime=_runtime(workspace.repository, head),
        library=_libraries(workspace.repository, head),
    )


def returns(workflow: str, quarantine: Quarantine) -> str:
    """What becomes of the workflow, in words."""
    if not quarantine.returns_to:
        return f"{workflow} is taken out: none of its deployments went well"
    return f"{workflow} goes back to deployment {quarantine.returns_to}"


def _chosen(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    failed_workflows: Mapping[str, str],
    note: Callable[[str], None],
) -> dict[str, Returning]:
    """Those of the workflows that have something else to return to than what failed."""
    repository, tree = workspace.repository, head.commit.tree
    number = head.deployment.trailers.deployment if head.deployment and head.deployment.trailers else 0
    record = Record(repository, branch, head)
    known = control_of(repository, head).quarantines
    found: dict[str, Returning] = {}
    for workflow, what in sorted(failed_workflows.items()):
        now = committed_workflow(repository, tree, workflow)
        if now is None:
            continue
        compiled = now.placement.compiled
        if workflow in known and known[workflow].compiled != compiled:
            note(f"{workflow} is not reverted: it is quarantined, and what failed is what it was returned to")
            continue
        if not compiled:
            note(f"{workflow} is not reverted: an older version of gitopsd deployed it, without its digest")
            continue
        completed = next((one for one in record.completed(workflow) if one.number != number), None)
        before = committed_workflow(repository, completed.commit.tree, workflow) if completed else None
        if completed and before and before.is_the_same(now):
            note(f"{workflow} is not reverted: its jobs are those of deployment {completed.number}, which went well")
            continue
        quarantine = Quarantine(
            owner=owner_of(workspace),
            reason=_line(f"deployment {number} failed: {what}"),
            since=moment(),
            compiled=compiled,
            failed=number,
            returns_to=completed.number if completed else 0,
        )
        found[workflow] = Returning(quarantine=quarantine, origin=completed.commit if completed else None)
    return found


def _held(workspace: Workspace, head: ArtifactHead, chosen: Mapping[str, Returning]) -> dict[str, HeldWorkflow]:
    repository, tree = workspace.repository, head.commit.tree
    control = control_of(repository, head)
    surroundings = Surroundings(
        workers={name: worker for name, worker in read_fleet(repository, tree).items() if not worker.leaving},
        policy=published_policy(workspace.configuration) or committed_policy(repository, tree) or PolicyRecord(),
        runtime=_runtime(repository, head),
        library=_libraries(repository, head),
        stores=_stores(repository, head, {*chosen, *control.quarantines}),
        closed=frozenset(control.cordons) | frozenset(read_facts(repository, tree).lost),
        placed=read_placement(repository, tree),
    )
    return {name: hold(repository, name, one.quarantine, one.origin, surroundings) for name, one in chosen.items()}


def _stores(repository: Repository, head: ArtifactHead, held: Collection[str]) -> dict[str, str]:
    """Directory of a file-store -> the workflow that has it, of those that aren't held."""
    found: dict[str, str] = {}
    for worker in list_folder(repository, head.commit.tree, WORKERS_FOLDER):
        for job in committed_release(repository, head.commit.tree, worker).jobs:
            if job.workflow not in held:
                found |= dict.fromkeys(read_document(job_document(repository, job)).stores, job.workflow)
    return found


def _runtime(repository: Repository, head: ArtifactHead) -> str:
    """The runner's folder of the releases at the head; they all have the same one."""
    for worker in list_folder(repository, head.commit.tree, WORKERS_FOLDER):
        runtime = committed_release(repository, head.commit.tree, worker).runtime
        if runtime:
            return runtime
    return build_tree(runtime_files()).id


def _libraries(repository: Repository, head: ArtifactHead) -> LibraryOf:
    """Those of the releases at the head, which is where they are; this gitopsd's where the head has none."""
    found: dict[str, str] = {}
    for worker in list_folder(repository, head.commit.tree, WORKERS_FOLDER):
        found |= committed_release(repository, head.commit.tree, worker).libraries

    def library(name: str) -> BuiltTree:
        if name not in found:
            return shipped.library(name)
        return BuiltTree(id=found[name], entries={}, objects={}, grafts=frozenset({found[name]}))

    return library


def _line(text: str) -> str:
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1].rstrip() + "…"
