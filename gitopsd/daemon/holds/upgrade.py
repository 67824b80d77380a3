"""Another version of gitopsd renders what is deployed to something else: that is deployed first, and by itself.

Else the next push, whatever it is about, would restart the fleet in passing.
"""

from dataclasses import replace

from msgspec import Struct, structs

from gitopsd import __version__
from gitopsd.daemon.artifacts.deployed_version import deployed_version
from gitopsd.daemon.configuration.configuration import policy_of
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.history.outcomes import worker_outcomes
from gitopsd.daemon.history.rollout_note import failed_last, read_rollouts
from gitopsd.daemon.planning.plan import Planned, plan_version
from gitopsd.daemon.planning.shipped import library
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import LIBRARIES_FOLDER, WORKERS_FOLDER
from gitopsd.model.diagnostic import Severity
from gitopsd.model.memory import memory_key
from gitopsd.model.plan import Upgrade
from gitopsd.model.trees import TREE, build_tree
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, find_entry, list_folder
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.repository import Repository
from gitopsd.repo.source import SourceTree
from gitopsd.runner.bundle import runtime_files

_HELD = "`policy.upgrades` is `hold`: `gitopsd apply --upgrade` deploys it, and nothing else is deployed before"


class _NothingChanges(Struct, frozen=True):
    """Remembered of a head that this version renders to the same."""


def plan_deployment(workspace: Workspace, source: SourceTree) -> Planned:
    """The plan for one version, after gitopsd's own upgrade where one is due: that is its `upgrade`.

    Raises what plan_version does.
    """
    planned = plan_version(workspace, source)
    before = renderer_before(workspace.repository, planned.head)
    if not before or planned.head is None:
        return planned
    shipped = [
        _runtime(),
        *sorted(library(name).id for name in _deployed_libraries(workspace.repository, planned.head)),
    ]
    key = memory_key("upgrade", __version__, shipped, planned.head.commit.id, planned.plan.inputs.policy)
    if workspace.memory.recall(key, _NothingChanges) is not None:
        return planned
    upgraded = _render_deployed(workspace, planned, planned.head)
    described = Upgrade(before=before, after=__version__, held=_HELD if _is_held(workspace) else "")
    if isinstance(upgraded, str):
        return _with(planned, None, structs.replace(described, problem=upgraded))
    if upgraded.plan.is_empty:
        workspace.memory.keep(key, _NothingChanges())
        return planned
    described = structs.replace(
        described,
        tree=upgraded.plan.tree,
        changed_workers=upgraded.plan.changed_workers,
        changes=upgraded.plan.changes,
    )
    upgraded = _with(replace(upgraded, upgrades_from=before), None, described)
    return _with(plan_version(workspace, source, after=upgraded.rendering), upgraded, described)


def renderer_before(repository: Repository, head: ArtifactHead | None) -> str:
    """The version of gitopsd that rendered what is deployed, where it isn't this one; else empty.

    A library of the runtime may have changed without gitopsd's version: that restarts jobs just as well.
    """
    trailers = head.deployment.trailers if head and head.deployment else None
    if head is None or trailers is None:
        return ""
    if trailers.renderer != __version__:
        return trailers.renderer
    return trailers.renderer if _runs_on_another(repository, head) else ""


def why_not_through(repository: Repository, branch: ArtifactBranch, head: ArtifactHead | None) -> str:
    """What is left to be done of an upgrade that was deployed last; empty where nothing is, or that was no upgrade.

    A worker that is away catches up when it returns, and keeps nothing back.
    """
    deployment = head.deployment if head else None
    trailers = deployment.trailers if deployment else None
    if head is None or deployment is None or trailers is None or trailers.trigger != "upgrade":
        return ""
    what = f"gitopsd's upgrade, deployment {trailers.deployment},"
    outcomes = worker_outcomes(repository, deployment, read_rollouts(repository, branch, deployment).rollouts)
    failed = failed_last(repository, branch, head)
    if failed:
        return f"{what} failed on {min(failed)}{f' and {len(failed) - 1} more' if len(failed) > 1 else ''}"
    if any(one.outcome in {"not-attempted", "unknown"} for one in outcomes):
        return f"{what} is not rolled out yet"
    return ""


def _render_deployed(workspace: Workspace, planned: Planned, head: ArtifactHead) -> Planned | str:
    """The deployed version as this gitopsd renders it; or why it doesn't."""
    version = deployed_version(workspace.repository, head)
    if version is None or not workspace.repository.has(version.source_commit):
        commit = version.source_commit[:12] if version else "that it came from"
        return f"what is deployed can't be rendered anew, since the commit {commit} is not in this clone"
    workspace = replace(workspace, environment=planned.branch.environment)
    try:
        upgraded = plan_version(workspace, read_commit(workspace.repository, version.source_commit))
    except DiagnosticsError as error:
        first = next((one.message for one in error.diagnostics if one.severity is Severity.ERROR), str(error))
        return f"what is deployed doesn't compile any more: {first}"
    if upgraded.branch != planned.branch or upgraded.head is None or upgraded.head.commit.id != head.commit.id:
        return "what is deployed can't be rendered anew: the artifact branch is another one, or has just moved"
    return upgraded


def _with(planned: Planned, upgrade: Planned | None, described: Upgrade) -> Planned:
    return replace(planned, upgrade=upgrade, plan=structs.replace(planned.plan, upgrade=described))


def _is_held(workspace: Workspace) -> bool:
    return policy_of(workspace.configuration).upgrades == "hold"


def _runtime() -> str:
    return build_tree(runtime_files()).id


def _runs_on_another(repository: Repository, head: ArtifactHead) -> bool:
    """Whether what is deployed has another runtime than this gitopsd ships, or another library."""
    if _deployed_runtime(repository, head) not in {"", _runtime()}:
        return True
    return any(library(name).id != found for name, found in _deployed_libraries(repository, head).items())


def _deployed_libraries(repository: Repository, head: ArtifactHead) -> dict[str, str]:
    """The ids of the libraries in the releases, by their names: each is the same in all."""
    found: dict[str, str] = {}
    for release in list_folder(repository, head.commit.tree, WORKERS_FOLDER).values():
        if find_entry(repository, release.id, LIBRARIES_FOLDER) is not None:
            found |= {name: one.id for name, one in list_folder(repository, release.id, LIBRARIES_FOLDER).items()}
    return found


def _deployed_runtime(repository: Repository, head: ArtifactHead) -> str:
    """The id of the runner's folder in the releases, which is the same in all; empty where none has one."""
    for release in list_folder(repository, head.commit.tree, WORKERS_FOLDER).values():
        entry = find_entry(repository, release.id, "runtime")
        if entry is not None and entry.mode == TREE:
            return entry.id
    return ""
