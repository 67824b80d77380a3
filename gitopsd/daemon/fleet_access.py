"""The operator's way to the workers: one of them, or many side by side, each failing by itself."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from threading import Event
from typing import TypeVar

from gitopsd.daemon.artifacts.releases import target_of
from gitopsd.daemon.artifacts.state import read_fleet
from gitopsd.daemon.configuration.policy import published_policy
from gitopsd.daemon.secrets.ssh_identity import identities
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.errors import WorkerRefused, WorkerUnreachable
from gitopsd.fleet.fanout import Failed, Succeeded, fan_out
from gitopsd.fleet.target import SshSettings, Target
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead

_Result = TypeVar("_Result")


def ssh_settings(workspace: Workspace) -> SshSettings:
    """Raises ControllerError where the key can't be had."""
    ssh, policy = workspace.configuration.ssh, published_policy(workspace.configuration)
    external = policy is None or policy.external_workers
    return SshSettings(
        identity=identities(ssh),
        jump=ssh.jump or None,
        addresses=None if policy is None else policy.addresses if external else (),
        local_workers=policy is None or policy.local_workers,
    )


def deployed_targets(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, names: Collection[str]
) -> list[Target]:
    """The workers of these names that the head's `fleet.json` knows, by name."""
    fleet = read_fleet(workspace.repository, head.commit.tree)
    return [target_of(fleet[name], head.root_commit, branch.environment) for name in sorted(names) if name in fleet]


@contextmanager
def open_workers(workspace: Workspace) -> Iterator[Workers]:
    """The connections of one command, kept open for all that it asks of a worker; a controller's outlast that."""
    if workspace.workers is not None:
        yield workspace.workers
        return
    with Workers(ssh_settings(workspace)) as workers:
        yield workers


@contextmanager
def reach(workspace: Workspace, target: Target) -> Iterator[WorkerConnection]:
    """A connection to one worker, that opens on its first call."""
    with open_workers(workspace) as workers, workers.connect(target) as connection:
        yield connection


def reach_all(
    workspace: Workspace,
    targets: Sequence[Target],
    function: Callable[[WorkerConnection], _Result],
    *,
    deadline: float,
    workers: Workers | None = None,
    stop: Event | None = None,
    only_looks: bool = False,
) -> Iterator[Succeeded[_Result] | Failed]:
    """`function` with a connection to each worker, in threads; one outcome for each, in the order in which they end.

    deadline: seconds for all of them. workers: whose connections, of this call alone without it. stop: as for
    `fan_out`. only_looks: as for `Workers.connect`.
    """
    with nullcontext(workers) if workers is not None else open_workers(workspace) as opened:

        def work(target: Target) -> _Result:
            with opened.connect(target, only_looks=only_looks) as connection:
                return function(connection)

        yield from fan_out(targets, work, deadline=deadline, stop=stop)


def is_away(error: Exception) -> bool:
    """Whether the worker may answer later by itself: a wrong key or a refused login needs a person."""
    return isinstance(error, WorkerUnreachable) and error.stage not in {"host-key", "auth"}


def stage_of(error: Exception) -> str:
    """How far it got where no answer came; empty where the worker answered, whatever it said."""
    if isinstance(error, WorkerUnreachable):
        return error.stage
    return "" if isinstance(error, WorkerRefused) else "unexpected"
