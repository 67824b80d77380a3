"""Whether workers may converge on a head of the artifact branch: whoever can push there would be root on all of them.

A head is good where a listed controller signed it, or where it is what we would have committed ourselves. Judging one
walks back to the last commit that is known to be good, or that stands alone, so what it costs grows with what is new.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gitopsd.daemon.artifacts.state import read_control, read_fleet
from gitopsd.daemon.configuration.policy import published_policy
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.secrets.signing import listed_controllers
from gitopsd.daemon.trust.recompute import AUTO_REVERT, Recomputed, recompute
from gitopsd.daemon.trust.remembered import trust_memory
from gitopsd.daemon.trust.source_commits import why_not_ours
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.excerpt import printable
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactCommit, ArtifactHead, history
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.ssh_signature import NotSigned, verify_commit

_RENDERED = "rendered"
_OURS = "written here"
"""Good only if what it took over from earlier commits is; nobody has to ask where its source is from."""

_DEEPEST = 20
"""Deployments that hold workflows of deployments that hold workflows, and so on."""


class HeldHeadError(ControllerError):
    """Workers are left as they are: `commit` is neither signed nor what we would have committed. `paths` differ."""

    def __init__(self, message: str, hint: str, *, commit: str, paths: Sequence[str]) -> None:
        super().__init__(message, hint)
        self.commit = commit
        self.paths = tuple(paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Why a commit isn't good."""

    commit: ArtifactCommit
    why: str
    recomputed: Recomputed


def require_good(workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead) -> None:
    """Raises HeldHeadError for a head that workers mustn't converge on; RepositoryError where a list can't be read."""
    held = find_held(workspace, branch, head.commit.id)
    if held is not None:
        found = held.recomputed
        told = f"{branch.environment} is held: {_sentence(branch, head, held)}"
        raise HeldHeadError(told, f"no worker was touched; {_way_out(held)}", commit=held.commit.id, paths=found.paths)


def tell_held(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead | None, tell: Callable[[str], None]
) -> None:
    """Says of a head that can't be trusted that the next commit goes on top of it: it is put right, and not lost."""
    held = find_held(workspace, branch, head.commit.id) if head is not None else None
    if head is not None and held is not None:
        tell(f"{_sentence(branch, head, held)}; what is committed now goes on top of it")


def find_held(workspace: Workspace, branch: ArtifactBranch, commit: str) -> Held | None:
    """The commit that keeps this one from being good; None where it is. What is good is remembered."""
    found = _Judge(workspace, branch).judge(commit)
    return found if isinstance(found, Held) else None


def remember_rendered(workspace: Workspace, branch: ArtifactBranch, commit: ArtifactCommit) -> None:
    """That the commit has just been found to be what a version renders to, so that it needn't be rendered again.

    Of one that took something over from earlier commits, that is judged all the same.
    """
    repository, memory = workspace.repository, trust_memory(workspace, branch)
    if memory.basis(commit.id) is not None:
        return
    leaving = any(worker.leaving or worker.draining for worker in read_fleet(repository, commit.tree).values())
    took_over = leaving or read_control(repository, commit.tree).quarantines
    memory.keep(commit.id, _OURS if took_over else _RENDERED)


class _Judge:
    """`judge` gives what a commit is good by, as it is remembered, or what keeps it from being good."""

    def __init__(self, workspace: Workspace, branch: ArtifactBranch) -> None:
        self._workspace = workspace
        self._branch = branch
        self._memory = trust_memory(workspace, branch)
        self._lists = listed_controllers(workspace.configuration)
        self._signed = f"signed by {_digest(self._lists)}" if self._lists else ""

    def judge(self, commit_id: str, depth: int = 0) -> str | Held:
        passed: list[str] = []
        bases: set[str] = set()
        for commit in history(self._workspace.repository, commit_id):
            known = self._memory.basis(commit.id)
            if known is not None and known in {_RENDERED, self._signed}:
                bases.add(known)
                break
            passed.append(commit.id)
            signature = verify_commit(self._workspace.repository, commit.id, self._lists) if self._lists else None
            if signature is not None and not isinstance(signature, NotSigned):
                bases.add(self._signed)
                break
            found = self._made_again(commit, ours=known == _OURS)
            if found.finding != "equal":
                signed = f", and {signature.why}" if signature is not None else ""
                return Held(commit=commit, why=f"{found.why}{signed}", recomputed=found)
            for origin in found.origins:
                if depth == _DEEPEST:
                    return Held(commit=commit, why="holds workflows of too many deployments", recomputed=found)
                of_origin = self.judge(origin, depth + 1)
                if isinstance(of_origin, Held):
                    return of_origin
                bases.add(of_origin)
            if found.stands_alone:
                break
        basis = self._signed if self._signed in bases else _RENDERED
        for one in reversed(passed):
            self._memory.keep(one, basis)
        return basis

    def _made_again(self, commit: ArtifactCommit, *, ours: bool) -> Recomputed:
        is_revert = commit.trailers is not None and commit.trailers.trigger == AUTO_REVERT
        takes_source = bool(commit.source_commit) and not is_revert and not ours
        why = why_not_ours(self._workspace, commit.source_commit) if takes_source else ""
        if why:
            missing = not self._workspace.repository.has(commit.source_commit)
            return Recomputed(
                finding="no-source" if missing else "differs",
                why=f"came from commit {commit.source_commit[:12]}, which {why}",
            )
        return recompute(
            self._workspace, self._branch, commit, own_policy=published_policy(self._workspace.configuration)
        )


def _sentence(branch: ArtifactBranch, head: ArtifactHead, held: Held) -> str:
    commit, found = held.commit, held.recomputed
    where = "the head" if commit.id == head.commit.id else "a commit that the head builds on"
    paths = f": {', '.join(found.paths)}" if found.paths else ""
    return printable(
        f"{where} of {branch.name} can't be trusted: commit {commit.id[:12]} by {commit.committer} ({commit.subject}) "
        f"{held.why}{paths}"
    )


def _way_out(held: Held) -> str:
    again = "`gitopsd apply` commits on top what the source branch renders to"
    match held.recomputed.finding:
        case "no-source":
            return f"push that commit to the source branch, or {again}"
        case "other-renderer":
            return f"{again} by this version; `policy.controllers` believes what another version signed"
        case _:
            audit = f"`gitopsd audit {held.commit.id[:12]}` shows what it is and should be"
            carried = (
                "a quarantine is ended by `gitopsd quarantine release`, a worker dropped by `gitopsd worker forget`"
            )
            return f"{audit}; {again}" if held.commit.trailers else f"{audit}; {again} ({carried})"


def _digest(lists: Sequence[Path]) -> str:
    """What was signed is good only as long as the very same keys are listed."""
    try:
        contents = [file.read_bytes() for file in lists]
    except OSError as error:
        raise RepositoryError(
            f"the list of controllers {error.filename} can't be read: {error.strerror}", "see `policy.controllers`"
        ) from None
    return sha256(b"\0".join(contents)).hexdigest()[:24]
