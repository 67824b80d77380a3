"""What a pull request comes to in each environment, as a controller and CI ask for it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import UnsetType
from msgspec.structs import replace

from gitopsd.compiler.environment import find_branch
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.daemon.configuration.configuration import PolicyConfiguration
from gitopsd.daemon.configuration.policy import published_policy
from gitopsd.daemon.convergence.attempts import attempts_of
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.pull_requests.exchange import Limits, Links, Outcome, Question
from gitopsd.daemon.pull_requests.planning import environments_of, unknown
from gitopsd.daemon.pull_requests.process import ask_bounded
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import ArtifactBranch, artifact_branch
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.publish import fetch_artifacts

_NOWHERE = Links()
_USUAL = Limits()


def outcomes_of(
    workspace: Workspace,
    head: str,
    base: str,
    *,
    objects: Path | None = None,
    environments: Iterable[str] = (),
    links: Links = _NOWHERE,
    limits: Limits = _USUAL,
) -> tuple[Outcome, ...]:
    """Of `head` merged into `base`, full commit ids, for the named environments, or all that the base has. `objects`: a
    folder of objects that has what the repository lacks of the head.

    The artifact branches that the base names are fetched first, and no others. No worker is reached, and no secret is
    read. There is one outcome at least. Raises RepositoryError where the base can't be read, or the remote can't be
    reached, and ControllerError where there is no environment that it could be about.
    """
    branches = _branches(workspace, base)
    chosen = tuple(environments)
    for name, branch in branches.items():
        if not chosen or name in chosen:
            fetch_artifacts(workspace.repository, branch, workspace.remote)
    question = Question(
        git_dir=str(workspace.repository.git_dir),
        objects=str(objects or ""),
        identity=workspace.identity,
        branch_prefix=workspace.repository.branch_prefix,
        head=head,
        base=base,
        environments=chosen,
        operator=_for_planning(workspace.configuration.policy),
        policy=published_policy(workspace.configuration),
        drift={name: attempts_of(workspace, branch).drift() for name, branch in branches.items()},
        links=links,
        limits=limits,
    )
    answer = ask_bounded(question)
    outcomes = answer.outcomes or tuple(unknown(question, name, answer.problem) for name in chosen or branches)
    if not outcomes:
        raise ControllerError(
            answer.problem or f"{ENVIRONMENTS_FILE} declares no environment, neither in the base nor in the head",
            "`gitopsd check` says what is wrong with it",
        )
    return outcomes


def _for_planning(policy: PolicyConfiguration | UnsetType) -> PolicyConfiguration | UnsetType:
    """What isn't merged can't have been reviewed, and that needn't be said."""
    if isinstance(policy, UnsetType):
        return policy
    return replace(policy, require_reviewed_plan=False, require_approval=False)


def _branches(workspace: Workspace, commit: str) -> Mapping[str, ArtifactBranch]:
    """Environment -> its artifact branch, as that commit has them."""
    file = read_commit(workspace.repository, commit).files.get(ENVIRONMENTS_FILE)
    found: dict[str, ArtifactBranch] = {}
    for name in environments_of(workspace.repository, commit):
        branch = find_branch(file.data, name)[0] if file is not None else None
        if branch is not None:
            found[name] = artifact_branch(*branch)
    return found
