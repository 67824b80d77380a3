"""The values that what is deployed asks for, as far as they can be had here."""

from collections.abc import Mapping

from gitopsd.daemon.convergence.rollout_reporter import RolloutReporter
from gitopsd.daemon.secrets.handover import secret_names
from gitopsd.daemon.secrets.resolve import resolve_secrets
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.release import DesiredRelease
from gitopsd.model.secret import SecretValue
from gitopsd.repo.artifacts import ArtifactHead


def deployed_values(
    workspace: Workspace, head: ArtifactHead, desired: Mapping[str, DesiredRelease], reporter: RolloutReporter
) -> Mapping[str, SecretValue]:
    """Those that can be had, from where the deployed version has them; the others are told, and fail their workers."""
    names = {name for release in desired.values() for name in secret_names(release)}
    trailers = head.deployment.trailers if head.deployment else None
    commit = trailers.source_commit if trailers else ""
    resolved = resolve_secrets(workspace.configuration, names, workspace.repository, commit)
    for name, problem in resolved.problems.items():
        reporter.warn(f"the secret `{name}` can't be compared or handed out: {problem}")
    return resolved.values
