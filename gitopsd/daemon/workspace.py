"""A repository with its remote and configuration: where every command starts."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gitopsd.daemon.configuration.configuration import (
    Configuration,
    configuration_path,
    read_configuration,
    secret_variables,
)
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.memory.memory import PlanMemory, plan_memory
from gitopsd.daemon.secrets.environment import take_variables
from gitopsd.daemon.secrets.signing import signer_of
from gitopsd.daemon.secrets.ssh_identity import identities
from gitopsd.model.policy import PolicyRecord
from gitopsd.repo.artifacts import ArtifactBranch
from gitopsd.repo.commit_source import read_commit, source_id
from gitopsd.repo.remote import Remote, find_remote
from gitopsd.repo.repository import Repository, discover, open_repository
from gitopsd.repo.revision import default_branch, resolve_commit
from gitopsd.repo.source import SourceTree
from gitopsd.repo.source_rules import is_tests
from gitopsd.repo.worktree_source import read_work_tree

if TYPE_CHECKING:
    from gitopsd.fleet.connect import Workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """`environment` is None where the command line names none. What `memory` gathers is lost without `close`.

    `workers` are connections that outlast what is done with them: a controller's. `branch` is the environment's
    artifact branch where that is known beforehand, whatever gitopsd.yaml says by now. `policy` counts instead of what
    the configuration and the artifact branch have of it. `configuration_file` is where the configuration is, or would
    be.
    """

    repository: Repository
    remote: Remote | None
    configuration: Configuration
    environment: str | None = None
    memory: PlanMemory = field(default_factory=plan_memory, repr=False, compare=False)
    workers: "Workers | None" = field(default=None, repr=False, compare=False)
    branch: ArtifactBranch | None = None
    policy: PolicyRecord | None = None
    configuration_file: Path | None = None

    @property
    def identity(self) -> str:
        """One name for the repository however it was spelt: that of the remote where there is one."""
        return self.remote.identity if self.remote else self.repository.identity

    def source(self, revision: str | None = None) -> SourceTree:
        """The version named by the revision; without one the work tree as it is, or the source branch's head.

        A work tree without edits that matter is the commit that it was checked out from.
        """
        if revision is not None or self.repository.work_tree is None:
            return self.source_of_commit(revision)
        edited = read_work_tree(self.repository)
        head = resolve_commit(self.repository, "HEAD")
        if edited.problems or source_id(self.repository, head) != edited.id:
            return edited
        return read_commit(self.repository, head)

    def source_of_commit(self, revision: str | None = None) -> SourceTree:
        """The version named by the revision; without one the source branch's head."""
        name = revision or self.configuration.source_branch or default_branch(self.repository)
        return read_commit(self.repository, resolve_commit(self.repository, name))

    def tests(self, revision: str | None, source: SourceTree) -> SourceTree:
        """The folder `tests/` beside what `source(revision)` gave: of that commit, or of the work tree as it is."""
        if source.commit and (revision is not None or self.repository.work_tree is None):
            return read_commit(self.repository, source.commit, is_tests)
        return read_work_tree(self.repository, is_tests)

    def close(self) -> None:
        """Writes down what was worked out, for the next command."""
        self.memory.close()


def _around(configuration: Configuration) -> str | None:
    """The repository around the current directory comes before the configured one."""
    return None if discover(Path.cwd()) else configuration.repository or None


def _identity(configuration: Configuration) -> str:
    """The key to the workers opens the repository too; where it can't be had, there may be others that do."""
    try:
        return next((str(Path(path).expanduser()) for path in identities(configuration.ssh)), "")
    except ControllerError:
        return ""


def open_workspace(
    location: str | None, config: Path | None, environment: str | None, *, for_daemon: bool = False
) -> Workspace:
    """`for_daemon`, which waits for what others do: of a repository elsewhere, what was fetched before will do where
    it can't be reached, and the first push may have yet to come.

    Raises RepositoryError or DiagnosticsError.
    """
    configuration = read_configuration(config)
    take_variables(secret_variables(configuration))
    repository = open_repository(
        location or _around(configuration),
        Path.cwd(),
        ssh_identity=_identity(configuration),
        may_be_away=for_daemon,
        may_be_empty=for_daemon,
    )
    repository = replace(repository, signer=signer_of(configuration))
    return Workspace(
        repository=repository,
        remote=find_remote(repository),
        configuration=configuration,
        environment=environment,
        configuration_file=configuration_path(config),
    )
