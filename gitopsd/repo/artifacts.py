"""Reading the artifact branch: its head, its files, its deployments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pygit2

from gitopsd.model.trees import TREE, TreeEntry
from gitopsd.repo.errors import RepositoryError, UnknownDeploymentError
from gitopsd.repo.repository import Repository, unreadable_object
from gitopsd.repo.trailers import (
    DeploymentTrailers,
    compiled_in,
    is_off_branch,
    parse_deployment,
    parse_trailers,
    renderer_in,
    source_commit_in,
)

_MOST_ENTRIES = 100_000
_LARGEST_RECORD = 64 << 20
_MAX_DEPTH = 64  # folders; our own trees are under ten deep


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactBranch:
    """Where an environment's artifacts and notes are: `rendered/production`, as the environment declares it."""

    environment: str
    name: str

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.name}"

    @property
    def notes_ref(self) -> str:
        return f"refs/notes/gitopsd/{self.environment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactCommit:
    """One commit of an artifact branch. `trailers` is None where it is no deployment (a cordon, say).

    `subject` is the first line of its message, `author` and `committer` as `Name <email>`, `time` in UTC. `compiled`
    tells what the version that it is of came to before it was placed, `source_commit` which one that is; empty where
    it is of none. `renderer` is the version of gitopsd that rendered it. `off_branch`: a person named that version, and
    it was not on the source branch.
    """

    id: str
    tree: str
    parent: str | None
    subject: str
    author: str
    committer: str
    time: datetime
    trailers: DeploymentTrailers | None
    compiled: str = ""
    source_commit: str = ""
    renderer: str = ""
    off_branch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactHead:
    """The state of an artifact branch: desired state is `commit.tree`.

    `deployment` is the newest deployment at or before the head, None before the first. `root_commit` identifies the
    branch to the workers that belong to it.
    """

    commit: ArtifactCommit
    deployment: ArtifactCommit | None
    root_commit: str


def artifact_branch(environment: str, name: str | None = None) -> ArtifactBranch:
    """The branch of `environment`, by default `rendered/<environment>`. Raises RepositoryError for a bad name."""
    branch = ArtifactBranch(environment=environment, name=name or f"rendered/{environment}")
    for ref in (branch.ref, branch.notes_ref):
        if branch.name.startswith("-") or not pygit2.reference_is_valid_name(ref):
            raise RepositoryError(f"{ref!r} is not a valid name of a Git ref", "see `git help check-ref-format`")
    return branch


def read_head(repository: Repository, branch: ArtifactBranch) -> ArtifactHead | None:
    """The head of the branch as this repository has it now; None while it does not exist."""
    head = repository.ref(branch.ref)
    if head is None:
        return None
    deployment = next(deployments(repository, head), None)
    return ArtifactHead(
        commit=read_artifact_commit(repository, head), deployment=deployment, root_commit=root_commit(repository, head)
    )


def read_artifact_commit(repository: Repository, commit: str) -> ArtifactCommit:
    """One commit. Raises RepositoryError if it is missing or damaged."""
    try:
        found = repository.git[pygit2.Oid(hex=commit)].peel(pygit2.Commit)
        message = found.raw_message.decode("utf-8", "replace")
        author, committer = found.author, found.committer
        said = parse_trailers(message)
        return ArtifactCommit(
            id=str(found.id),
            tree=str(found.tree_id),
            parent=str(found.parent_ids[0]) if found.parent_ids else None,
            subject=message.lstrip("\n").split("\n", 1)[0],
            author=_text(author.raw_name) + " <" + _text(author.raw_email) + ">",
            committer=_text(committer.raw_name) + " <" + _text(committer.raw_email) + ">",
            time=datetime.fromtimestamp(found.commit_time, UTC),
            trailers=parse_deployment(said),
            compiled=compiled_in(said),
            source_commit=source_commit_in(said),
            renderer=renderer_in(said),
            off_branch=is_off_branch(said),
        )
    except (KeyError, ValueError, OverflowError, pygit2.GitError) as error:
        raise unreadable_object(commit, str(error).strip("'\"")) from None


def history(repository: Repository, head: str) -> Iterator[ArtifactCommit]:
    """`head` and the commits before it, newest first, along first parents."""
    following: str | None = head
    while following is not None:
        commit = read_artifact_commit(repository, following)
        yield commit
        following = commit.parent


def deployments(repository: Repository, head: str) -> Iterator[ArtifactCommit]:
    """The deployments of `history`: those commits that have trailers."""
    return (commit for commit in history(repository, head) if commit.trailers is not None)


def find_deployment(repository: Repository, head: str, name: str) -> ArtifactCommit:
    """The deployment that `name` means: its number, or a prefix of 7 or more digits of its commit.

    Where digits could be either, the number wins. Raises UnknownDeploymentError.
    """
    if re.fullmatch(r"[1-9][0-9]{0,9}", name):
        for commit in deployments(repository, head):
            if commit.trailers is not None and commit.trailers.deployment == int(name):
                return commit
    if re.fullmatch(r"[0-9a-f]{7,40}", name.lower()):
        found = [commit for commit in deployments(repository, head) if commit.id.startswith(name.lower())]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownDeploymentError(f"{name!r} begins the commits of {len(found)} deployments", "give more digits")
    raise UnknownDeploymentError(
        f"there is no deployment {name!r}", "`gitopsd history` lists them; name one by number or 7 digits of its commit"
    )


def root_commit(repository: Repository, head: str) -> str:
    """The first commit of the history of `head`. Raises RepositoryError where a shallow clone cuts the history off."""
    try:
        root = repository.root_of(head)
    except RepositoryError as error:
        raise _history_cut_off(repository, head, error.message) from None
    shallow = repository.git_dir / "shallow"
    if shallow.exists() and root in shallow.read_text().split():
        raise _history_cut_off(repository, head, "this is a shallow clone")
    return root


def list_files(repository: Repository, tree: str, folder: str = "") -> dict[str, TreeEntry]:
    """Every file below `folder` of a tree, by its path relative to that folder, sorted; {} if there is no such folder.

    Modes are as they are in the tree, links and submodules included. Raises RepositoryError for damaged objects.
    """
    top = find_entry(repository, tree, folder) if folder else TreeEntry(TREE, tree)
    files: dict[str, TreeEntry] = {}
    pending = [("", top.id)] if top is not None and top.mode == TREE else []
    while pending:
        prefix, tree_id = pending.pop()
        if prefix.count("/") > _MAX_DEPTH:
            raise unreadable_object(tree_id, f"the tree {tree} is more than {_MAX_DEPTH} folders deep")
        for mode, name, entry in repository.tree(tree_id):
            path = prefix + name.decode("utf-8", "surrogateescape")
            if mode == TREE:
                pending.append((path + "/", entry))
            else:
                files[path] = TreeEntry(mode, entry)
        if len(files) + len(pending) > _MOST_ENTRIES:
            raise unreadable_object(tree, f"it holds more than {_MOST_ENTRIES:,} files and folders")
    return dict(sorted(files.items()))


def list_folder(repository: Repository, tree: str, folder: str = "") -> dict[str, TreeEntry]:
    """The entries directly in `folder` of a tree, folders included: `workers` gives every worker's release id."""
    top = find_entry(repository, tree, folder) if folder else TreeEntry(TREE, tree)
    if top is None or top.mode != TREE:
        return {}
    return {
        name.decode("utf-8", "surrogateescape"): TreeEntry(mode, entry) for mode, name, entry in repository.tree(top.id)
    }


def find_entry(repository: Repository, tree: str, path: str) -> TreeEntry | None:
    """The mode and id at `path` of a tree; None if there is nothing."""
    entry = TreeEntry(TREE, tree)
    for part in path.strip("/").split("/"):
        if entry.mode != TREE:
            return None
        wanted = part.encode("utf-8", "surrogateescape")
        found = next(((mode, id_) for mode, name, id_ in repository.tree(entry.id) if name == wanted), None)
        if found is None:
            return None
        entry = TreeEntry(*found)
    return entry


def read_file(repository: Repository, tree: str, path: str) -> bytes | None:
    """The content of the file at `path` of a tree; None if there is no file there. Raises RepositoryError."""
    entry = find_entry(repository, tree, path)
    if entry is None or entry.mode & 0o170000 != 0o100000:
        return None
    if repository.blob_size(entry.id) > _LARGEST_RECORD:
        raise unreadable_object(entry.id, f"{path} has more than {_LARGEST_RECORD:,} bytes")
    return repository.read(entry.id, "blob")


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def _history_cut_off(repository: Repository, head: str, why: str) -> RepositoryError:
    return RepositoryError(
        f"the history of {head} does not reach its first commit: {why}",
        "run `git fetch --unshallow`" if repository.git.is_shallow else "run `git fsck`; fetch the branch again",
    )
