"""Back to what an earlier deployment had, as one more commit on the source branch: history only grows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from msgspec import UNSET

from gitopsd.compiler.declarations.decode import decode
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.compiler.parts import workflow_parts
from gitopsd.compiler.pins import WrittenPin, find_pin
from gitopsd.compiler.yaml.reader import read_yaml
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.history.deployment_record import find
from gitopsd.daemon.holds.upgrade import plan_deployment
from gitopsd.daemon.planning.deployed import Deployed, open_deployed
from gitopsd.daemon.planning.pinning import PINNED_PARTS, pinned_source
from gitopsd.daemon.planning.plan import Planned, check_source
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.environments import Environments
from gitopsd.model.names import did_you_mean
from gitopsd.model.trees import Graft, TreeFile, build_tree
from gitopsd.repo.artifacts import (
    ArtifactCommit,
    deployments,
    find_entry,
    list_files,
    list_folder,
)
from gitopsd.repo.commit import write_commit
from gitopsd.repo.commit_source import commit_tree, read_commit
from gitopsd.repo.repository import Repository
from gitopsd.repo.revision import default_branch
from gitopsd.repo.source_branch import SourceBranch, advance, open_source_branch
from gitopsd.repo.trailers import format_message

_Files = dict[str, Graft | TreeFile | None]
"""Path -> what is there from now on; None for what goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A commit that is written and on no branch yet. `deployment` is what it returns to; `planned` what that changes.

    `pin` is the pin that it writes, for a pinned environment; else it restores files. `restored` is the commit that
    they are from, and `left` names what jobs go by as well, isn't restored, and differs from what that commit has.
    """

    deployment: int
    branch: SourceBranch
    commit: str
    planned: Planned
    restored: str
    left: tuple[str, ...]
    pin: str = ""


def prepare_rollback(
    workspace: Workspace, name: str | None, *, workflow: str | None, all_environments: bool
) -> Rollback:
    """The commit that returns to the named deployment, or to the one before the newest; nothing has moved yet.

    It restores workflows, modules, blueprints and files, never fleets; of a `workflow` only what that is made of. In a
    pinned environment it moves the pin. Raises ControllerError where there is nothing to return to, where it would
    reach other environments unasked, DiagnosticsError where what it restores doesn't compile with today's fleet.
    """
    repository = workspace.repository
    deployed = open_deployed(workspace)
    target = _target(workspace, deployed, name)
    number = target.trailers.deployment if target.trailers else 0
    branch_name = workspace.configuration.source_branch or default_branch(repository)
    branch = open_source_branch(repository, workspace.remote, branch_name)
    source = read_commit(repository, branch.commit)
    environments = source.files[ENVIRONMENTS_FILE].data
    pin = find_pin(environments, deployed.branch.environment)
    workspace = replace(workspace, environment=deployed.branch.environment)
    restored = _source_of(workspace, target)
    if pin is not None:
        if workflow is not None:
            raise ControllerError(
                f"{deployed.branch.environment} is pinned as a whole, so a single workflow can't be rolled back",
                "without --workflow its pin goes back",
            )
        files: _Files = {ENVIRONMENTS_FILE: TreeFile(_with_pin(environments, pin, restored))}
    else:
        _refuse_others(environments, deployed.branch.environment, allowed=all_environments)
        files = _whole(repository, restored) if workflow is None else _parts_of(workspace, restored, branch, workflow)
    tree = build_tree(_composed(repository, branch.commit, files))
    if tree.id == commit_tree(repository, branch.commit):
        raise ControllerError(
            f"{branch.name} has already what deployment {number} came from", "`gitopsd apply` deploys it"
        )
    what = f"{workflow}: return" if workflow else "Return"
    message = format_message(
        f"{what} to deployment {number}: {target.subject.removeprefix(f'Deployment {number}: ')}",
        {"Rollback-To": target.id, "Restores": restored},
    )
    commit = write_commit(repository, tree, parent=branch.commit, message=message)
    planned = plan_deployment(workspace, read_commit(repository, commit))
    return Rollback(
        deployment=number,
        branch=branch,
        commit=commit,
        planned=planned,
        restored=restored,
        left=_left(repository, restored, branch.commit),
        pin=restored if pin is not None else "",
    )


def carry_out(workspace: Workspace, rollback: Rollback) -> None:
    """Moves the source branch, here and in the remote. Raises RefMovedError when somebody else moved it first."""
    reason = f"gitopsd: return to deployment {rollback.deployment}"
    advance(workspace.repository, workspace.remote, rollback.branch, rollback.commit, reason=reason)


def _target(workspace: Workspace, deployed: Deployed, name: str | None) -> ArtifactCommit:
    """The named deployment; else the newest that came to something else than the head's does."""
    if name is not None or deployed.head is None:
        return find(workspace, deployed, name or "")
    newest = deployed.head.deployment
    for commit in deployments(workspace.repository, deployed.head.commit.id):
        if newest is not None and (commit.compiled or commit.id) != (newest.compiled or newest.id):
            return commit
    raise ControllerError(
        f"there is no deployment before this one in {deployed.branch.environment}", "`gitopsd history` lists them all"
    )


def _source_of(workspace: Workspace, target: ArtifactCommit) -> str:
    """The commit that the deployment's workflows came from: its pin's, where it had one."""
    if target.trailers and target.trailers.trigger == "auto-revert":
        raise ControllerError(
            f"deployment {target.trailers.deployment} is an automatic revert: the source that it came from is the one "
            "that failed",
            "name the deployment that it returned to, which `gitopsd quarantine list` shows",
        )
    commit = target.trailers.source_commit if target.trailers else ""
    if not workspace.repository.has(commit):
        raise ControllerError(
            f"the commit {commit[:12]} that the deployment came from is not in this clone",
            "fetch it: `git fetch --all`",
        )
    return pinned_source(workspace, read_commit(workspace.repository, commit)).commit or commit


def _refuse_others(environments: bytes, chosen: str, *, allowed: bool) -> None:
    document, _ = read_yaml(ENVIRONMENTS_FILE, environments)
    declared, _ = decode(document, Environments)
    known = declared.environments if declared else {}
    others = [name for name, one in known.items() if name != chosen and one.pin is UNSET]
    if others and not allowed:
        raise ControllerError(
            f"what {chosen} would return to is what {', '.join(others)} would get as well: no pin keeps them apart",
            "say --all-environments to roll all of them back, or pin those that are to stay as they are",
        )


def _with_pin(content: bytes, pin: WrittenPin, commit: str) -> bytes:
    """gitopsd.yaml with another pin, and not a byte else."""
    place = pin.location
    lines = content.decode().splitlines(keepends=True)
    line = lines[place.line - 1]
    lines[place.line - 1] = line[: place.column - 1] + commit + line[place.end_column - 1 :]
    return "".join(lines).encode()


def _whole(repository: Repository, commit: str) -> _Files:
    entries = list_folder(repository, commit_tree(repository, commit))
    return {
        name: Graft(id=entries[name].id, mode=entries[name].mode) if name in entries else None
        for name in sorted(PINNED_PARTS)
    }


def _left(repository: Repository, then: str, now: str) -> tuple[str, ...]:
    """Of what no rollback restores, that which differs."""
    before, after = (list_folder(repository, commit_tree(repository, commit)) for commit in (then, now))
    return tuple(name for name in (ENVIRONMENTS_FILE, "fleets") if before.get(name) != after.get(name))


def _composed(repository: Repository, commit: str, files: _Files) -> dict[str, Graft | TreeFile]:
    """Everything that the commit holds, grafted, but for what takes its place."""
    tree = commit_tree(repository, commit)
    inside = any("/" in path for path in files)
    entries = list_files(repository, tree) if inside else list_folder(repository, tree)
    kept = {path: Graft(id=entry.id, mode=entry.mode) for path, entry in entries.items() if path not in files}
    return {**kept, **{path: content for path, content in files.items() if content is not None}}


def _parts_of(workspace: Workspace, restored: str, branch: SourceBranch, workflow: str) -> _Files:
    """The files that the workflow was made of then; its own file goes where it was. Others that use them are named."""
    repository = workspace.repository
    then, then_others = _paths(workspace, restored, workflow)
    now, others = _paths(workspace, branch.commit, workflow)
    if not then:
        raise ControllerError(
            f"that deployment had no workflow `{workflow}`", did_you_mean(workflow, [*then_others, *others])
        )
    old, new = (commit_tree(repository, commit) for commit in (restored, branch.commit))
    files = {path: entry for path in sorted(then) if (entry := find_entry(repository, old, path)) is not None}
    differing = {path for path, entry in files.items() if find_entry(repository, new, path) != entry}
    shared = sorted(name for name, paths in others.items() if paths & differing)
    if shared:
        raise ControllerError(
            f"{workflow} shares files that changed since with {', '.join(shared)}: "
            f"{', '.join(sorted(differing & frozenset().union(*others.values())))}",
            "without --workflow all workflows return together; or edit the files by hand",
        )
    gone = [path for path in now if path.startswith("workflows/") and path not in then]
    return {
        **dict.fromkeys(gone),
        **{path: Graft(id=entry.id, mode=entry.mode) for path, entry in files.items()},
    }


def _paths(workspace: Workspace, commit: str, workflow: str) -> tuple[frozenset[str], Mapping[str, frozenset[str]]]:
    """What the workflow is made of at a commit, and what every other one is."""
    pinned = pinned_source(workspace, read_commit(workspace.repository, commit))
    linked = check_source(pinned, workspace.environment, workspace.memory).linked
    if linked is None:
        raise ValueError("the source didn't link")
    paths = {name: workflow_parts(linked, name).paths for name in linked.workflows}
    return paths.pop(workflow, frozenset()), paths
