"""The artifact branch checked against the source branch: each commit made again, and who signed it."""

from collections.abc import Collection, Iterator

from msgspec import Struct

from gitopsd.daemon.history.deployment_record import find
from gitopsd.daemon.planning.deployed import Deployed
from gitopsd.daemon.secrets.signing import listed_controllers
from gitopsd.daemon.trust.recompute import Finding, recompute
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import ArtifactCommit, history
from gitopsd.repo.commit_signature import split_signature
from gitopsd.repo.ssh_signature import SignedBy, verify_commit


class AuditedCommit(Struct, frozen=True, kw_only=True):
    """`deployment` is 0 for records alone. `why`, `paths` and `diff` say how it is not what it says it was made from.

    `signed_by` is who of `policy.controllers` signed it; empty where nobody did: then `signature` says what is known.
    """

    commit: str
    deployment: int
    source_commit: str
    renderer: str
    committer: str
    time: str
    subject: str
    finding: Finding
    why: str
    paths: tuple[str, ...]
    diff: str
    signed_by: str
    signature: str


def audit(
    workspace: Workspace, deployed: Deployed, names: Collection[str], *, everything: bool
) -> Iterator[AuditedCommit]:
    """The named deployments; without names the newest one and the records since, or every commit of the branch.

    Raises ControllerError for a name of none, RepositoryError.
    """
    if deployed.head is None:
        return
    if names:
        for commit in [find(workspace, deployed, name) for name in names]:
            yield _audited(workspace, deployed, commit)
        return
    for commit in history(workspace.repository, deployed.head.commit.id):
        yield _audited(workspace, deployed, commit)
        if commit.trailers is not None and not everything:
            return


def _audited(workspace: Workspace, deployed: Deployed, commit: ArtifactCommit) -> AuditedCommit:
    found = recompute(workspace, deployed.branch, commit)
    signed_by, signature = _signature(workspace, commit)
    return AuditedCommit(
        commit=commit.id,
        deployment=commit.trailers.deployment if commit.trailers else 0,
        source_commit=commit.source_commit,
        renderer=commit.renderer,
        committer=commit.committer,
        time=commit.time.isoformat(timespec="seconds"),
        subject=commit.subject,
        finding=found.finding,
        why=found.why,
        paths=found.paths,
        diff=found.diff,
        signed_by=signed_by,
        signature=signature,
    )


def _signature(workspace: Workspace, commit: ArtifactCommit) -> tuple[str, str]:
    """By whom, or else what can be said."""
    lists = listed_controllers(workspace.configuration)
    if lists is not None:
        found = verify_commit(workspace.repository, commit.id, lists)
        return (found.principal, "") if isinstance(found, SignedBy) else ("", found.why)
    try:
        signed = bool(split_signature(workspace.repository.read(commit.id, "commit")).signature)
    except ValueError as error:
        return "", f"can't be trusted: {error}"
    return "", "is signed, and `policy.controllers` doesn't say by whom it should be" if signed else "is not signed"
