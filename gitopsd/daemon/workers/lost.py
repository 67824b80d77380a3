"""Workers that are given up as lost: what ran there is placed elsewhere, by a deployment that says so.

What is deployed is compiled again, the very version, with the one fact more that those workers are lost; nothing of a
newer version comes along.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from msgspec import structs

from gitopsd.daemon.artifacts.deployed_version import deployed_version
from gitopsd.daemon.artifacts.records import RecordsEdit, commit_records, record_file
from gitopsd.daemon.artifacts.state import CommittedReleases, read_facts, read_fleet
from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.convergence.attempts import Remembered
from gitopsd.daemon.convergence.left_out import utc
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.holds.upgrade import plan_deployment, renderer_before
from gitopsd.daemon.planning.plan import Planned, plan_version
from gitopsd.daemon.planning.runnable import refuse_what_cannot_run
from gitopsd.daemon.secrets.resolve import require_secrets
from gitopsd.daemon.trust.heads import remember_rendered
from gitopsd.daemon.trust.source_history import is_off_branch
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import FACTS_FILE, FactsRecord, LostWorker
from gitopsd.model.not_json import NOT_JSON
from gitopsd.planner.lost import Verdict, is_over, judge, local_spools
from gitopsd.planner.plan.sides import side_of
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_artifact_commit, read_head
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.errors import RefMovedError
from gitopsd.repo.publish import fetch_artifacts, write_deployment
from gitopsd.repo.repository import Repository
from gitopsd.repo.trailers import DeploymentTrailers

_COMMIT_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """Workers that are lost from `head` on. `moves`: job -> (from, to); `deployment` is None where nothing had to move.

    `staying` are jobs that the plan leaves there all the same, such as those of a workflow that is held as it was.
    In a dry run `head` is that of now, and `deployment` the one that it would be.
    """

    workers: Mapping[str, LostWorker]
    moves: Mapping[str, tuple[str, str]]
    deployment: int | None
    head: ArtifactHead
    changed_workers: frozenset[str]
    staying: tuple[str, ...] = ()


def find_lost(
    repository: Repository, head: ArtifactHead, known: Mapping[str, Remembered], silent: Collection[str]
) -> tuple[Verdict, ...]:
    """Those whose time is over, by name: to be given up, or kept for a reason. Raises RepositoryError.

    Only a worker that was `silent` just now is given up; of the others' absences it is only known that they were.
    """
    fleet = read_fleet(repository, head.commit.tree)
    absences = {name: one.absence for name, one in known.items() if one.absence is not None and name in fleet}
    over = [name for name, absence in absences.items() if name in silent and is_over(fleet[name], absence)]
    if not over:
        return ()
    before = CommittedReleases(repository=repository, tree=head.commit.tree)
    releases = before.release_ids()
    held_back: dict[str, str] = {}
    for name in over:
        try:
            side = side_of(before.files(releases[name]), before.blob)
            held_back[name] = local_spools({job: side.document(job) for job in side.jobs}, fleet[name])
        except (KeyError, *NOT_JSON) as error:
            held_back[name] = f"what it holds can't be known: its release can't be read: {error}"
    verdicts = judge(fleet, absences, read_facts(repository, head.commit.tree).lost, held_back)
    return tuple(verdict for verdict in verdicts if verdict.worker in over)


def plan_without(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, lost: Mapping[str, LostWorker]
) -> Planned:
    """The deployed version, planned anew without these workers. Writes nothing.

    Raises ControllerError where it can't be had as it was deployed, DiagnosticsError where what ran there has nowhere
    to go, RepositoryError.
    """
    version = deployed_version(workspace.repository, head)
    if version is None or not workspace.repository.has(version.source_commit):
        commit = version.source_commit[:12] if version else "that was deployed"
        raise ControllerError(f"the commit {commit} is not in this clone, so nothing is moved", "fetch it")
    workspace = replace(workspace, environment=branch.environment)
    source = read_commit(workspace.repository, version.source_commit)
    if renderer_before(workspace.repository, head):
        upgrade = plan_deployment(workspace, source).plan.upgrade
        if upgrade is not None:
            raise ControllerError(
                f"{upgrade.words}; nothing is moved before that",
                "`gitopsd apply` deploys what this version renders",
            )
    planned = plan_version(
        workspace,
        source,
        facts=_with_lost(workspace.repository, head, lost),
    )
    if planned.branch != branch or planned.compiled != version.compiled:
        raise ControllerError(
            f"the commit {version.source_commit[:12]} comes to something else than when it was deployed, "
            "so nothing is moved",
            "its pin may be another commit by now: `gitopsd plan` shows, and `gitopsd apply` deploys that",
        )
    if planned.plan.held:
        raise ControllerError(f"the plan is held, so nothing is moved: {planned.plan.held}")
    return planned


def describe(planned: Planned, head: ArtifactHead, lost: Mapping[str, LostWorker]) -> GivenUp:
    """What committing the plan comes to."""
    changes = planned.plan.changes
    return GivenUp(
        workers=lost,
        moves={change.job: (change.moved_from, change.worker) for change in changes if change.action == "move"},
        deployment=None if planned.plan.is_empty else number_of(head) + 1,
        head=head,
        changed_workers=frozenset(planned.plan.changed_workers) - lost.keys(),
        staying=tuple(
            job.name
            for name in sorted(lost)
            if name in planned.rendering.releases
            for job in planned.rendering.releases[name].jobs
        ),
    )


def give_up(workspace: Workspace, branch: ArtifactBranch, lost: Mapping[str, LostWorker]) -> GivenUp:
    """Commits that these workers are lost, with what follows; planned again whenever another writer came first.

    Raises what `plan_without` does, and ControllerError for a secret of what moves that can't be had: then nothing is
    committed.
    """
    for attempt in range(1, _COMMIT_ATTEMPTS + 1):
        head = read_head(workspace.repository, branch)
        if head is None:
            raise ControllerError(f"the branch {branch.name} is gone", "`git reflog` of it says who removed it")
        planned = plan_without(workspace, branch, head, lost)
        found = describe(planned, head, lost)
        _require_secrets(workspace, planned, found)
        refuse_what_cannot_run(planned.summaries)
        try:
            if planned.head == head:
                written = _write(workspace, branch, head, planned, found)
                if written:
                    remember_rendered(workspace, branch, read_artifact_commit(workspace.repository, written))
                return replace(found, head=read_head(workspace.repository, branch) or head)
        except RefMovedError:
            if attempt == _COMMIT_ATTEMPTS:
                raise
        fetch_artifacts(workspace.repository, branch, workspace.remote)
    raise ControllerError(f"{branch.name} kept moving while this was planned", "the next run tries again")


def lost_worker(verdict: Verdict, seen: float | None) -> LostWorker:
    """As `facts.json` has it. `seen`: when the worker answered last, in seconds since the epoch."""
    return LostWorker(since=utc(verdict.absence.first.wall), seen="" if seen is None else utc(seen))


def note_returned(workspace: Workspace, branch: ArtifactBranch, seen: Collection[str]) -> tuple[str, ...]:
    """Commits that those of the lost workers that were seen again are not lost; gives their names.

    What was moved away stays where it is. Raises RepositoryError.
    """
    returned: tuple[str, ...] = ()

    def edit(head: ArtifactHead | None) -> RecordsEdit | None:
        nonlocal returned
        facts = read_facts(workspace.repository, head.commit.tree) if head else FactsRecord()
        returned = tuple(sorted(facts.lost.keys() & set(seen)))
        if not returned:
            return None
        kept = structs.replace(facts, lost={name: one for name, one in facts.lost.items() if name not in returned})
        return RecordsEdit(subject=f"Seen again: {', '.join(returned)}", files={FACTS_FILE: record_file(kept)})

    commit_records(workspace, branch, edit)
    return returned


def lost_workers(repository: Repository, head: ArtifactHead | None) -> Mapping[str, LostWorker]:
    """Those that are recorded as lost, by name."""
    return read_facts(repository, head.commit.tree).lost if head else {}


def _write(workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, planned: Planned, found: GivenUp) -> str:
    """The id of the deployment; empty where records alone were committed."""
    names = ", ".join(found.workers)
    if found.deployment is None:
        commit_records(workspace, branch, lambda now: _lost_edit(workspace.repository, now or head, found.workers))
        return ""
    inputs = planned.plan.inputs
    before = CommittedReleases(repository=workspace.repository, tree=head.commit.tree)
    return write_deployment(
        workspace.repository,
        branch,
        workspace.remote,
        planned.rendering.tree(before),
        head=head,
        subject=f"Deployment {found.deployment}: {names} lost, so what ran there moves",
        trailers=DeploymentTrailers(
            deployment=found.deployment,
            source_commit=inputs.source_commit,
            environment=inputs.environment,
            trigger="lost",
            plan_digest=planned.plan.digest,
            renderer=inputs.renderer,
            compiled=planned.compiled,
            off_branch=is_off_branch(workspace, inputs.source_commit),
        ),
    )


def _lost_edit(repository: Repository, head: ArtifactHead, lost: Mapping[str, LostWorker]) -> RecordsEdit:
    return RecordsEdit(
        subject=f"Lost: {', '.join(lost)}", files={FACTS_FILE: record_file(_with_lost(repository, head, lost))}
    )


def _with_lost(repository: Repository, head: ArtifactHead, lost: Mapping[str, LostWorker]) -> FactsRecord:
    facts = read_facts(repository, head.commit.tree)
    return structs.replace(facts, lost=dict(sorted({**facts.lost, **lost}.items())))


def _require_secrets(workspace: Workspace, planned: Planned, found: GivenUp) -> None:
    """Those of the steps that move: what others lack is no reason to leave these where they are."""
    moved = {job.rpartition(".")[0] for job in found.moves}
    names = {
        name
        for summary in planned.summaries
        for step in summary.steps
        if f"{summary.workflow}.{step.name}" in moved
        for name in step.secrets
    }
    commit = planned.plan.inputs.source_commit
    require_secrets(workspace.configuration, names, workspace.repository, commit)
