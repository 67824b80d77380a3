"""A person's word that a rewritten source branch is meant."""

from dataclasses import dataclass

from msgspec.structs import replace

from gitopsd.daemon.artifacts.control import change_control, moment, owner_of
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning.plan import branch_of
from gitopsd.daemon.secrets.signing import listed_controllers
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.control import Acceptance, ControlRecord
from gitopsd.repo.artifacts import ArtifactHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """`commit` is the artifact commit that says so; empty where nothing had to be changed."""

    environment: str
    accepted: Acceptance
    commit: str


def accept_history(workspace: Workspace, revision: str | None, *, reason: str) -> Accepted:
    """Commits that the version, by default the source branch's head, and whatever follows it may be deployed.

    Raises ControllerError where nobody would believe it, RepositoryError, DiagnosticsError.
    """
    if listed_controllers(workspace.configuration) is not None and workspace.repository.signer is None:
        raise ControllerError(
            "`policy.controllers` is set, so only a signed acceptance counts, and there is no `signing.key`",
            "nothing was committed; name the key in the configuration, or accept where the daemon runs",
        )
    source = workspace.source_of_commit(revision)
    branch = branch_of(workspace, source)
    asked = Acceptance(owner=owner_of(workspace), reason=reason, since=moment(), commit=source.commit or "")
    wanted = asked

    def change(record: ControlRecord, head: ArtifactHead | None) -> tuple[str, ControlRecord]:
        del head
        nonlocal wanted
        before = record.accepted
        wanted = before if before and replace(before, since=asked.since) == asked else asked
        return f"Accept the source branch at {wanted.commit[:12]}: {reason}", replace(record, accepted=wanted)

    commit = change_control(workspace, branch, change)
    return Accepted(environment=branch.environment, accepted=wanted, commit=commit)
