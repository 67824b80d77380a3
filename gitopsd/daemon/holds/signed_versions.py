"""`policy.signers`: only versions that a listed key signed deploy.

The version's own commit counts, whatever its parents are: who signs it signs its whole tree, vendored code included. A
pin that is written as a whole commit id is part of that tree. A tag can be moved by others, so what it leads to must be
signed as well.
"""

from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning.pinning import pinned_source
from gitopsd.daemon.secrets.signing import listed_signers
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.excerpt import printable
from gitopsd.repo.artifacts import read_artifact_commit
from gitopsd.repo.source import SourceTree
from gitopsd.repo.ssh_signature import NotSigned, verify_commit


def refuse_unsigned(workspace: Workspace, source: SourceTree) -> None:
    """Raises ControllerError for a version that policy doesn't let deploy; RepositoryError where a list can't be read.

    Also DiagnosticsError, for a pin that names nothing.
    """
    allowed = listed_signers(workspace.configuration)
    if allowed is None or source.commit is None:
        return
    _require(workspace, source.commit, "the version")
    pinned = pinned_source(workspace, source)
    if pinned.written is not None and pinned.commit != pinned.written.name.lower():
        _require(workspace, pinned.commit, f"the pin `{pinned.written.name}`")


def _require(workspace: Workspace, commit: str, what: str) -> None:
    allowed = listed_signers(workspace.configuration) or ()
    found = verify_commit(workspace.repository, commit, allowed)
    if not isinstance(found, NotSigned):
        return
    known = read_artifact_commit(workspace.repository, commit)
    lists = ", ".join(map(str, allowed)) or "`policy.signers`, which is empty"
    raise ControllerError(
        printable(f"{what}, commit {commit[:12]} by {known.author} ({known.subject}), {found.why}"),
        f"nothing was committed; a commit on top of it deploys once `git commit -S` signs it with a key of {lists}. "
        "Merges that a forge makes carry the forge's own signature: merge on your machine instead",
    )
