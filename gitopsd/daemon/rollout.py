"""One run over workers: each made equal to the head of the artifact branch, and what became of it recorded."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

from gitopsd.daemon.converge import PayloadSource, State, WorkerResult, compare, converge
from gitopsd.daemon.differences import Differences
from gitopsd.daemon.errors import explain
from gitopsd.daemon.fleet_access import deployed_targets, is_away, reach_all, stage_of
from gitopsd.daemon.rollout_note import record_rollout
from gitopsd.daemon.secrets.handover import handover
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.fanout import Failed
from gitopsd.model.release import DesiredRelease
from gitopsd.model.secret import SecretValue
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead
from gitopsd.repo.errors import RepositoryError

_WORKER_SECONDS = 150.0
_FLEET_SECONDS = 1800.0


class RolloutReporter(Protocol):
    """Is told what a rollout comes to as it goes on."""

    def about_to_change(self, differences: Differences) -> None:
        """Before a worker is touched; called on many threads."""
        ...

    def warn(self, message: str) -> None: ...


def roll_out(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    desired: Mapping[str, DesiredRelease],
    *,
    secrets: Mapping[str, SecretValue],
    reporter: RolloutReporter,
    all_workers: bool = True,
) -> Iterator[WorkerResult]:
    """Every worker made equal to what is desired; results come in the order in which the workers end.

    What became of it is recorded, interrupted or not, with the edits by hand that were overwritten. `all_workers`:
    whether these are all that the head has. `secrets`: the values that are known; a worker that needs another one
    fails. To be called under the environment's lock.
    """
    started = datetime.now(UTC)
    results: list[WorkerResult] = []
    overwritten: dict[str, Differences] = {}

    def about_to_change(differences: Differences) -> None:
        if differences.edits:
            overwritten[differences.worker] = differences
        reporter.about_to_change(differences)

    def work(connection: WorkerConnection, release: DesiredRelease, blobs: PayloadSource) -> WorkerResult:
        return converge(
            connection,
            release,
            blobs,
            _WORKER_SECONDS,
            secrets=handover(release, secrets),
            about_to_change=about_to_change,
        )

    try:
        for result in _each(workspace, branch, head, desired, work):
            results.append(result)
            yield result
    finally:  # also when it is interrupted: what is known by then is the record
        try:
            record_rollout(
                workspace,
                branch,
                head,
                results,
                desired,
                started=started,
                overwritten={worker: found.edits for worker, found in dict(overwritten).items()},
                all_workers=all_workers,
            )
        except RepositoryError as error:
            reporter.warn(f"what became of this rollout could not be recorded: {error.message}")


def compare_all(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    desired: Mapping[str, DesiredRelease],
    secrets: Mapping[str, SecretValue],
) -> Iterator[WorkerResult]:
    """How every worker differs from what is desired, touching none."""

    def work(connection: WorkerConnection, release: DesiredRelease, blobs: PayloadSource) -> WorkerResult:
        return compare(connection, release, blobs, handover(release, secrets))

    return _each(workspace, branch, head, desired, work)


def _each(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    desired: Mapping[str, DesiredRelease],
    function: Callable[[WorkerConnection, DesiredRelease, PayloadSource], WorkerResult],
) -> Iterator[WorkerResult]:
    targets = deployed_targets(workspace, branch, head, desired)
    blobs = PayloadSource(workspace.repository)

    def work(connection: WorkerConnection) -> WorkerResult:
        return function(connection, desired[connection.target.name], blobs)

    for outcome in reach_all(workspace, targets, work, deadline=_FLEET_SECONDS):
        yield _failed_result(outcome) if isinstance(outcome, Failed) else outcome.result


def _failed_result(outcome: Failed) -> WorkerResult:
    state: State = "unreachable" if is_away(outcome.error) else "failed"
    return WorkerResult(worker=outcome.worker, state=state, error=explain(outcome.error), stage=stage_of(outcome.error))
