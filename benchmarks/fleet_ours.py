"""gitopsd in this process, as a controller that stays up has it: connections and agents kept from round to round."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.fleet_clock import Sample, timed
from benchmarks.fleet_work import Work
from gitopsd.daemon.artifacts.releases import desired_releases
from gitopsd.daemon.convergence.differences import find_differences
from gitopsd.daemon.convergence.result import PayloadSource
from gitopsd.daemon.deploying.apply import apply_version
from gitopsd.daemon.deploying.committing import Applied
from gitopsd.daemon.fleet_access import deployed_targets, reach_all
from gitopsd.daemon.workspace import Workspace, open_workspace
from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.fanout import Failed, fan_out
from gitopsd.fleet.protocol import Activation
from gitopsd.fleet.target import SshSettings, Target
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.drift import find_drift

_SECONDS = 600.0
_CONFIRM_SECONDS = 120.0


class _CommittedError(Exception):
    """Raised once a deployment is committed, so that its rollout can be measured by itself."""

    def __init__(self, applied: Applied) -> None:
        super().__init__()
        self.applied = applied


class _CommitOnly:
    """A reporter of `apply` that lets it go no further than to its commit."""

    wants_traffic = False

    def planned(self, planned: object) -> None: ...

    def committed(self, applied: Applied) -> None:
        raise _CommittedError(applied)

    def note(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...

    def observed(self, worker: str, observation: object) -> None: ...

    def about_to_change(self, differences: object) -> None: ...

    def begins(self, workers: object) -> None: ...

    def progress(self, worker: str, stage: object, detail: str = "") -> None: ...

    def stop_asked(self) -> bool:
        return False

    def ended(self, rollout: object) -> None: ...

    def reverted(self, revert: object) -> None: ...


@dataclass(kw_only=True)
class Controller:
    workspace: Workspace
    workers: Workers
    targets: list[Target] = field(default_factory=list)
    desired: Mapping[str, DesiredRelease] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def commit(self) -> None:
        """Plan and commit what the source branch's head renders to."""
        try:
            for _ in apply_version(
                self.workspace,
                self.workspace.source_of_commit,
                named=False,
                expected=None,
                reporter=_CommitOnly(),
            ):
                pass
        except _CommittedError as committed:
            head = committed.applied.head
            self.desired = desired_releases(self.workspace.repository, head.commit.tree)
            self.targets = deployed_targets(self.workspace, committed.applied.branch, head, self.desired)

    def deploy(self) -> Sample:
        """Every worker: observe, decide, send what it lacks, activate under the switch, and compare what it is then."""
        blobs = PayloadSource(self.workspace.repository)

        def deploy(connection: WorkerConnection) -> None:
            desired = self.desired[connection.target.name]
            observed, found = find_differences(connection, desired, blobs)
            if not found.drift:
                raise RuntimeError("there was nothing to deploy")
            activation = self._activate(connection, desired, blobs, observed.releases)
            drift = find_drift(desired, activation.observation, connection.target.service_manager, None)
            left = [one for one in drift if one.subject not in activation.pending]  # those are the health gate's
            if left or activation.failed:
                raise RuntimeError(f"{left} {activation.failed}")
            self.tokens[connection.target.name] = activation.token or ""

        return timed(lambda: self._all(deploy))

    def confirm(self) -> Sample:
        """Over a new connection each, as it is done after every activation."""

        def confirm(target: Target) -> None:
            with self.workers.connect_anew(target) as connection:
                verbs.confirm(connection, self.tokens[target.name], self.desired[target.name].id)

        def confirm_all() -> None:
            for outcome in fan_out(self.targets, confirm, deadline=_SECONDS):
                if isinstance(outcome, Failed):
                    raise outcome.error

        return timed(confirm_all)

    def compare(self) -> Sample:
        """Nothing to do: observe and decide that it is so. The same for an apply and for a drift check."""
        blobs = PayloadSource(self.workspace.repository)

        def compare(connection: WorkerConnection) -> None:
            _, found = find_differences(connection, self.desired[connection.target.name], blobs)
            if found.drift:
                raise RuntimeError(f"{connection.target.name} differs: {found.drift}")

        return timed(lambda: self._all(compare))

    def _activate(
        self, connection: WorkerConnection, desired: DesiredRelease, blobs: PayloadSource, held: tuple[str, ...]
    ) -> Activation:
        sent = blobs.lacking(desired, held)
        manifest = [(path, mode, blob) for path, (mode, blob) in desired.files.items()]
        return verbs.activate(
            connection, desired.id, manifest, (sent.blobs, sent.content), confirm_timeout=_CONFIRM_SECONDS
        )

    def _all(self, function: Callable[[WorkerConnection], None]) -> None:
        for outcome in reach_all(self.workspace, self.targets, function, deadline=_SECONDS, workers=self.workers):
            if isinstance(outcome, Failed):
                raise outcome.error


@contextmanager
def controller(work: Work) -> Iterator[Controller]:
    workspace = open_workspace(str(work.repository), work.config, "production")
    try:
        with Workers(SshSettings(identity=(str(work.client_key),), config="/dev/null")) as workers:
            yield Controller(workspace=workspace, workers=workers)
    finally:
        workspace.close()
