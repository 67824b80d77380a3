"""One run over workers: each made equal to the head of the artifact branch, and what became of it recorded."""

from collections.abc import Generator, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from gitopsd.daemon.artifacts.state import read_fleet, read_groups
from gitopsd.daemon.artifacts.superseding import BranchWatch, number_of
from gitopsd.daemon.convergence.differences import Differences
from gitopsd.daemon.convergence.result import PayloadSource, State, WorkerResult, compare
from gitopsd.daemon.convergence.rollout_reporter import RolloutReporter
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.convergence.worker_run import WorkerRun
from gitopsd.daemon.errors import explain
from gitopsd.daemon.fleet_access import deployed_targets, is_away, open_workers, reach_all, stage_of
from gitopsd.daemon.history.completed import Record
from gitopsd.daemon.history.rollout_note import failed_last, record_rollout
from gitopsd.daemon.rollout.moves import moves_of
from gitopsd.daemon.rollout.run import RolloutRun
from gitopsd.daemon.secrets.handover import handover
from gitopsd.daemon.trust.heads import require_good
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.fanout import Failed
from gitopsd.model.artifacts import GroupRecord
from gitopsd.model.release import DesiredRelease
from gitopsd.model.secret import SecretValue
from gitopsd.planner.backoff import Trouble
from gitopsd.planner.rollout.decide import Standing
from gitopsd.planner.rollout.groups import rollout_groups
from gitopsd.planner.rollout.moves import begun_after
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead
from gitopsd.repo.errors import RepositoryError

__all__ = ["RolloutReporter", "compare_all", "roll_out"]

_FLEET_SECONDS = 1800.0
_NOBODY: Mapping[str, Trouble] = MappingProxyType({})


def roll_out(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    desired: Mapping[str, DesiredRelease],
    *,
    secrets: Mapping[str, SecretValue],
    reporter: RolloutReporter,
    all_workers: bool = True,
    settings: GroupRecord | None = None,
    left_out: Mapping[str, Trouble] = _NOBODY,
) -> Generator[WorkerResult, None, Rollout]:
    """Every worker made equal to what is desired, in the order that their groups ask for; results as workers end.

    Ends early when a newer deployment or a pause is committed, or when the reporter asks it to. What became of it is
    recorded, with the edits by hand that were overwritten, told to the reporter, and returned. `all_workers`: whether
    these are all that the head has. `secrets`: the values that are known; a worker that needs another one fails.
    `settings` stand in for those of every group. `left_out`: workers of `desired` that aren't tried now, with what
    became of them the last time: canaries and budgets count them. To be called under the environment's lock.
    Raises HeldHeadError where the head can't be trusted: every convergence passes here.
    """
    require_good(workspace, branch, head)
    started = datetime.now(UTC)
    overwritten: dict[str, Differences] = {}

    def about_to_change(differences: Differences) -> None:
        if differences.edits:
            overwritten[differences.worker] = differences
        reporter.about_to_change(differences)

    fleet = read_fleet(workspace.repository, head.commit.tree)
    failed_before = failed_last(workspace.repository, branch, head)
    unproven = _unproven(workspace, branch, head, desired)
    known = [name for name in desired if name in fleet]
    tried = {name: release for name, release in desired.items() if name not in left_out}
    records = read_groups(workspace.repository, head.commit.tree)
    groups = rollout_groups(fleet, records, known, first=failed_before, settings=settings)
    settings_of = {name: group.settings for group in groups for name in group.workers}
    targets = {target.name: target for target in deployed_targets(workspace, branch, head, known)}
    blobs = PayloadSource(workspace.repository)
    watch = BranchWatch(workspace, branch, head, alone=blobs.alone, warn=reporter.warn)
    with open_workers(workspace) as workers:
        standings = {
            name: _left_out(trouble, failed_before=name in failed_before) for name, trouble in left_out.items()
        }
        after = begun_after(moves_of(workspace.repository, head, desired), groups)
        run = RolloutRun(groups, reporter, watch.find, standings, failed_before, begun_after=after)
        run.workers = {
            name: WorkerRun(
                desired[name],
                targets[name],
                workers,
                blobs,
                secrets=handover(desired[name], secrets),
                settings=settings_of[name],
                deployment=number_of(head),
                on_trial=name in failed_before or name in unproven,
                progress=reporter.progress,
                observed=reporter.observed,
                about_to_change=about_to_change,
                stopping=lambda: run.is_ending,
                traffic=reporter.wants_traffic,
            )
            for name in known
            if name in tried
        }
        reporter.begins([name for group in groups for name in group.workers if name in tried])
        hurried = False
        try:
            yield from run.results()
        except KeyboardInterrupt:
            hurried = reporter.stop_asked()  # and now a second time
            raise
        finally:  # also when it is cut short: what is known by then is the record
            rollout = run.summary(tried)
            try:
                if not hurried:
                    with blobs.alone():
                        record_rollout(
                            workspace,
                            branch,
                            head,
                            rollout,
                            tried,
                            started=started,
                            overwritten={worker: found.edits for worker, found in dict(overwritten).items()},
                            all_workers=all_workers and not left_out,
                        )
            except RepositoryError as error:
                reporter.warn(f"what became of this rollout could not be recorded: {error.message}")
            finally:
                run.workers = {}  # they know the run: a circle, with the repository in it
                reporter.ended(rollout)
    return rollout


def compare_all(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    desired: Mapping[str, DesiredRelease],
    secrets: Mapping[str, SecretValue],
) -> Iterator[WorkerResult]:
    """How every worker differs from what is desired, touching none. Raises what `roll_out` would."""
    require_good(workspace, branch, head)
    targets = deployed_targets(workspace, branch, head, desired)
    blobs = PayloadSource(workspace.repository)

    def work(connection: WorkerConnection) -> WorkerResult:
        release = desired[connection.target.name]
        return compare(connection, release, blobs, handover(release, secrets))

    for outcome in reach_all(workspace, targets, work, deadline=_FLEET_SECONDS, only_looks=True):
        yield _failed_result(outcome) if isinstance(outcome, Failed) else outcome.result


def _unproven(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, desired: Mapping[str, DesiredRelease]
) -> frozenset[str]:
    """Nobody, where it can't be recorded that it was seen well: it would be asked again and again."""
    if workspace.remote is not None and workspace.remote.away:
        return frozenset()
    return Record(workspace.repository, branch, head).unproven(desired)


def _left_out(trouble: Trouble, *, failed_before: bool) -> Standing:
    """One on which this deployment failed still counts as that when it can't be reached since."""
    failed = failed_before or trouble == "failed"
    return Standing(phase="failed" if failed else "away", new=failed_before)


def _failed_result(outcome: Failed) -> WorkerResult:
    state: State = "unreachable" if is_away(outcome.error) else "failed"
    return WorkerResult(worker=outcome.worker, state=state, error=explain(outcome.error), stage=stage_of(outcome.error))
