"""Which branch of a server's repository is deployed."""

from pathlib import Path

from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.errors import ControllerError
from gitopsd.repo.incoming import head_branch


def source_branch_of(configuration: Configuration, git_dir: Path) -> str:
    """By the operator's configuration, else the one that HEAD is on. Raises ControllerError where it is on none."""
    branch = configuration.source_branch or head_branch(git_dir)
    if not branch:
        raise ControllerError(
            f"HEAD of {git_dir} is on no branch", "name the branch with source_branch in the operator's configuration"
        )
    return branch
