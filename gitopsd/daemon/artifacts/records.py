"""Commits to the artifact branch that are no deployment: records that commands own, such as facts and cordons.

They take no host lock: compare-and-swap is enough, and a worker can be cordoned while a rollout is under way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from gitopsd.daemon.workspace import Workspace
from gitopsd.model.trees import TREE, BuiltTree, Graft, TreeFile, build_tree
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, list_folder, read_head
from gitopsd.repo.commit import write_commit
from gitopsd.repo.errors import RefMovedError
from gitopsd.repo.publish import fetch_artifacts, publish
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.repository import Repository
from gitopsd.repo.trailers import format_message

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsEdit:
    """What one such commit changes: path -> the file's new content, or None for a file or folder that goes.

    A path is at most one folder deep. `details` are lines of the commit's message, below its subject.
    """

    subject: str
    files: Mapping[str, bytes | None]
    details: tuple[str, ...] = field(default=())


def commit_records(
    workspace: Workspace, branch: ArtifactBranch, edit: Callable[[ArtifactHead | None], RecordsEdit | None]
) -> str:
    """The id of the commit that makes the edit; empty where `edit` finds nothing to change.

    `edit` is asked again with the new head whenever another writer came first; the branch is made where there is none.
    Raises RepositoryError, and what `edit` raises.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _commit(workspace, branch, edit)
        except RefMovedError:
            continue
    return _commit(workspace, branch, edit)


def record_file(record: msgspec.Struct | Mapping[str, object]) -> bytes:
    """A record as it is committed: the same bytes for the same content."""
    return msgspec.json.format(msgspec.json.encode(record, order="sorted"), indent=2) + b"\n"


def _commit(
    workspace: Workspace, branch: ArtifactBranch, edit: Callable[[ArtifactHead | None], RecordsEdit | None]
) -> str:
    repository = workspace.repository
    fetch_artifacts(repository, branch, workspace.remote)
    head = read_head(repository, branch)
    wanted = edit(head)
    if wanted is None:
        return ""
    tree = edited_tree(repository, head.commit.tree if head else None, wanted.files)
    parent = head.commit.id if head else None
    commit = write_commit(repository, tree, parent=parent, message=_message(branch, wanted))
    publish(
        repository, [RefUpdate(ref=branch.ref, new=commit, old=parent)], workspace.remote, reason="gitopsd: records"
    )
    return commit


def edited_tree(repository: Repository, tree: str | None, files: Mapping[str, bytes | None]) -> BuiltTree:
    """A tree of the artifact branch with these edits, of a RecordsEdit."""
    return build_tree(_edited(repository, tree, files))


def _edited(repository: Repository, tree: str | None, files: Mapping[str, bytes | None]) -> dict[str, Graft | TreeFile]:
    """Everything that the tree holds, grafted, but for what the edit puts in its place."""
    kept: dict[str, Graft | TreeFile] = {}
    opened = {path.partition("/")[0] for path in files if "/" in path}
    for name, entry in (list_folder(repository, tree) if tree else {}).items():
        if name in opened and entry.mode == TREE and tree:
            below = list_folder(repository, tree, name)
            kept |= {f"{name}/{path}": Graft(id=inner.id, mode=inner.mode) for path, inner in below.items()}
        else:
            kept[name] = Graft(id=entry.id, mode=entry.mode)
    new = {path: TreeFile(content) for path, content in files.items() if content is not None}
    return {**{path: entry for path, entry in kept.items() if path not in files}, **new}


def _message(branch: ArtifactBranch, edit: RecordsEdit) -> str:
    """The subject is cut to its length; the details stand whole in the body."""
    subject, _, trailers = format_message(edit.subject, {"Environment": branch.environment}).partition("\n\n")
    return "\n\n".join([subject, *(["\n".join(edit.details)] if edit.details else []), trailers])
