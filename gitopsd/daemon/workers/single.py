"""Single workers, outside of any deployment: who they are, what they can, letting go of one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from gitopsd.compiler.place import fleet_workers
from gitopsd.daemon.artifacts.releases import target_of
from gitopsd.daemon.artifacts.state import read_fleet
from gitopsd.daemon.errors import ControllerError, DiagnosticsError, explain
from gitopsd.daemon.fleet_access import reach, reach_all
from gitopsd.daemon.planning.pinning import pinned_source
from gitopsd.daemon.planning.plan import branch_of, check_source
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet import verbs
from gitopsd.fleet.fanout import Failed
from gitopsd.fleet.protocol import Probe, TornDown
from gitopsd.fleet.target import Target
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.names import did_you_mean
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_head
from gitopsd.repo.lock import host_lock
from gitopsd.repo.publish import fetch_artifacts
from gitopsd.repo.source import SourceTree

_PROBE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorkers:
    """The workers of the fleet file, and those that the artifact branch still has as leaving; by name.

    `head` is that of the artifact branch, None where nothing was committed there.
    """

    environment: str
    head: ArtifactHead | None
    workers: Mapping[str, PlacedWorker]

    @property
    def root_commit(self) -> str | None:
        return self.head.root_commit if self.head else None

    @property
    def staying(self) -> frozenset[str]:
        """Those that are not leaving."""
        return frozenset(name for name, worker in self.workers.items() if not worker.leaving)

    def get(self, name: str) -> PlacedWorker:
        if name not in self.workers:
            raise ControllerError(f"there is no worker `{name}`", did_you_mean(name, self.workers))
        return self.workers[name]

    def target(self, name: str) -> Target:
        return target_of(self.get(name), self.root_commit, self.environment)


class Probed(Struct, frozen=True, kw_only=True):
    """A worker's facts, or why there are none."""

    worker: str
    facts: Probe | None
    error: str = ""


def known_workers(workspace: Workspace) -> KnownWorkers:
    """The fleet that is deployed will do where the source doesn't compile. Raises DiagnosticsError without either."""
    source = workspace.source()
    branch = branch_of(workspace, source)
    fetch_artifacts(workspace.repository, branch, workspace.remote)
    return workers_at(workspace, source, branch, read_head(workspace.repository, branch))


def workers_at(
    workspace: Workspace, source: SourceTree, branch: ArtifactBranch, head: ArtifactHead | None
) -> KnownWorkers:
    """As `known_workers`, for a head that was read already."""
    deployed = read_fleet(workspace.repository, head.commit.tree) if head else {}
    try:
        linked = check_source(pinned_source(workspace, source), workspace.environment, workspace.memory).linked
    except DiagnosticsError:
        if not deployed:
            raise
        linked = None
    return KnownWorkers(
        environment=branch.environment,
        head=head,
        workers=dict(sorted({**deployed, **(fleet_workers(linked) if linked else {})}.items())),
    )


def probe_workers(workspace: Workspace, names: Sequence[str]) -> Iterator[Probed]:
    """The named workers, or all, as they answer."""
    known = known_workers(workspace)
    targets = [known.target(name) for name in (names or known.workers)]
    for outcome in reach_all(workspace, targets, verbs.probe, deadline=_PROBE_SECONDS):
        if isinstance(outcome, Failed):
            yield Probed(worker=outcome.worker, facts=None, error=explain(outcome.error))
        else:
            yield Probed(worker=outcome.worker, facts=outcome.result)


def job_log(workspace: Workspace, name: str, job: str, lines: int) -> tuple[str, ...]:
    """The last lines that a job printed on a worker; none where the worker has no log of it. Raises WorkerError."""
    target = known_workers(workspace).target(name)
    with reach(workspace, target) as connection:
        return verbs.logs(connection, job, lines).lines


def teardown_worker(workspace: Workspace, known: KnownWorkers, name: str, *, with_copies: bool = False) -> TornDown:
    """Raises WorkerError, or ControllerError for a worker that isn't known or can't be ours."""
    target = known.target(name)
    if known.root_commit is None:
        raise ControllerError(
            f"nothing was deployed to {known.environment} from this repository, so nothing on {name} is its own",
            "tear it down from the repository that deployed to it",
        )
    with host_lock(workspace.identity, known.environment), reach(workspace, target) as connection:
        return verbs.teardown(connection, with_copies=with_copies)
