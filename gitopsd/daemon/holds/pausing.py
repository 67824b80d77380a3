"""An environment to which nothing is applied for a while."""

from msgspec.structs import replace

from gitopsd.daemon.artifacts.control import change_control, moment, owner_of
from gitopsd.daemon.planning.plan import branch_of
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.control import ControlRecord, Pause
from gitopsd.repo.artifacts import ArtifactHead


def pause_environment(workspace: Workspace, *, reason: str, until: str) -> tuple[str, Pause, str]:
    """The environment, its pause from now on, and the commit; that is empty where it is paused like that already.

    `until` is empty, or a Moment. Raises RepositoryError, DiagnosticsError.
    """
    branch = branch_of(workspace, workspace.source())
    asked = Pause(owner=owner_of(workspace), reason=reason, since=moment(), until=until)
    wanted = asked

    def change(record: ControlRecord, head: ArtifactHead | None) -> tuple[str, ControlRecord]:
        del head
        nonlocal wanted
        before = record.pause
        wanted = before if before and replace(before, since=asked.since) == asked else asked
        return f"Pause: {reason}", replace(record, pause=wanted)

    commit = change_control(workspace, branch, change)
    return branch.environment, wanted, commit


def resume_environment(workspace: Workspace) -> tuple[str, str]:
    """The environment, and the commit that ends its pause and its hold; that is empty where there was neither."""
    branch = branch_of(workspace, workspace.source())
    commit = change_control(workspace, branch, lambda record, _: ("Resume", replace(record, pause=None, hold=None)))
    return branch.environment, commit
