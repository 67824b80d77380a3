"""What showing pull requests reaches."""

from dataclasses import dataclass

from gitopsd.daemon.configuration.configuration import ForgeConfiguration
from gitopsd.daemon.pull_requests.shown import ShownMemory
from gitopsd.daemon.workspace import Workspace
from gitopsd.forge.errors import ForgeRefusedError
from gitopsd.forge.forge import CommitStatus, Forge, PullRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The repository, the forge, and what was shown before. `only` is the one environment that the controller is for,
    or None.
    """

    workspace: Workspace
    forge: Forge
    settings: ForgeConfiguration
    memory: ShownMemory
    only: str | None = None


def set_status(reach: Reach, pull_request: PullRequest, status: CommitStatus) -> None:
    """Of its head. GitLab takes none for a commit that the project doesn't have, as that of a fork; its comment tells
    all the same.
    """
    try:
        reach.forge.set_status(pull_request.head_commit, status)
    except ForgeRefusedError:
        if not pull_request.from_fork:
            raise
