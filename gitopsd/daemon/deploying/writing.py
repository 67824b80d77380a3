"""The artifact commit of a version: a numbered deployment that says why, or a mere update of records."""

from gitopsd.daemon.artifacts.deployed_version import deployed_version
from gitopsd.daemon.artifacts.state import CommittedReleases
from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.holds.asked import Asked
from gitopsd.daemon.planning.plan import Planned
from gitopsd.daemon.trust.source_history import is_off_branch
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.plan import Returns
from gitopsd.planner.trigger import Trigger, trigger_of
from gitopsd.repo.artifacts import ArtifactHead, read_artifact_commit
from gitopsd.repo.commit import author_of, write_commit
from gitopsd.repo.publish import publish, write_deployment
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.repository import Repository
from gitopsd.repo.revision import is_ancestor
from gitopsd.repo.trailers import ROLLBACK, DeploymentTrailers, parse_trailers, records_message


def write_version(workspace: Workspace, planned: Planned, asked: Asked) -> str:
    """One commit, its id: a deployment where a release changes, else records alone.

    Its author is who wrote the version; of gitopsd's own upgrade, we are. Raises RefMovedError when another writer
    came first.
    """
    repository, branch, head = workspace.repository, planned.branch, planned.head
    source = planned.plan.inputs.source_commit
    tree = planned.rendering.tree(CommittedReleases(repository=repository, tree=head.commit.tree) if head else None)
    subject = read_artifact_commit(repository, source).subject
    author = None if planned.upgrades_from else author_of(repository, source)
    if planned.plan.is_empty and head is not None:
        message = records_message(
            subject,
            source_commit=source,
            compiled=planned.compiled,
            renderer=planned.plan.inputs.renderer,
            off_branch=is_off_branch(workspace, source),
        )
        commit = write_commit(repository, tree, parent=head.commit.id, message=message, author=author)
        update = RefUpdate(ref=branch.ref, new=commit, old=head.commit.id)
        publish(repository, [update], workspace.remote, reason="gitopsd: records")
        return commit
    number = number_of(head) + 1
    trailers = DeploymentTrailers(
        deployment=number,
        source_commit=source,
        environment=planned.plan.inputs.environment,
        trigger=_trigger(repository, planned, head, asked),
        plan_digest=planned.plan.digest,
        renderer=planned.plan.inputs.renderer,
        compiled=planned.compiled,
        returns=planned.plan.returns,
        off_branch=is_off_branch(workspace, source),
    )
    return write_deployment(
        repository,
        branch,
        workspace.remote,
        tree,
        head=head,
        subject=f"Deployment {number}: {_upgrade_subject(planned) or _subject(subject, planned.plan.returns)}",
        trailers=trailers,
        author=author,
    )


def _trigger(repository: Repository, planned: Planned, head: ArtifactHead | None, asked: Asked) -> Trigger:
    source = planned.plan.inputs.source_commit
    deployed = deployed_version(repository, head) if head else None
    before = deployed.source_commit if deployed else ""
    return trigger_of(
        asked.trigger,
        is_upgrade=bool(planned.upgrades_from),
        is_new=source != before,
        goes_back=bool(before) and repository.has(before) and is_ancestor(repository, source, before),
        rolls_back=ROLLBACK in parse_trailers(repository.read(source, "commit").decode("utf-8", "replace")),
        reverts=planned.reverts,
    )


def _upgrade_subject(planned: Planned) -> str:
    upgrade = planned.plan.upgrade
    if not planned.upgrades_from or upgrade is None:
        return ""
    if upgrade.before == upgrade.after:
        return f"what is deployed, with another runtime of gitopsd {upgrade.after}"
    return f"what is deployed, by gitopsd {upgrade.after} instead of {upgrade.before}"


def _subject(subject: str, returns: Returns) -> str:
    """A return says so first, unless the commit of the source does already, as `gitopsd rollback` writes it."""
    words = returns.words
    if not words or subject.lower().startswith(words.lower()):
        return subject
    return f"{words[0].upper() + words[1:] if returns.deployment else words}: {subject}"
