"""From a workspace and a version to a plan. Writes nothing but what `git fetch` does."""

from dataclasses import dataclass

from gitopsd import __version__
from gitopsd.compiler.compile import Front, compile_back, compile_front
from gitopsd.compiler.environment import find_branch
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.compiler.render.release import Rendering
from gitopsd.daemon.artifact_state import CommittedReleases, kept_parts, read_state
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.diagnostic import Diagnostic, Location, has_errors
from gitopsd.model.plan import Plan, PlanInputs
from gitopsd.planner.diff import make_plan
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, artifact_branch, read_head
from gitopsd.repo.publish import fetch_artifacts
from gitopsd.repo.source import SourceTree
from gitopsd.runner.bundle import runtime_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with what applying it needs."""

    plan: Plan
    rendering: Rendering
    branch: ArtifactBranch
    head: ArtifactHead | None
    diagnostics: tuple[Diagnostic, ...]


def check_source(source: SourceTree, environment: str | None) -> Front:
    """The source as far as it can be judged without the artifact branch. Raises DiagnosticsError."""
    contents = {path: file.data for path, file in source.files.items()}
    if source.problems:
        raise DiagnosticsError(
            [
                Diagnostic(
                    code=problem.code, message=problem.message, location=Location(path=problem.path), hint=problem.hint
                )
                for problem in source.problems
            ],
            {},
        )
    front = compile_front(contents, environment)
    if has_errors(front.diagnostics) or front.linked is None:
        raise DiagnosticsError(front.diagnostics, contents)
    return front


def branch_of(workspace: Workspace, source: SourceTree) -> ArtifactBranch:
    """The artifact branch of the chosen environment, by gitopsd.yaml alone. Raises DiagnosticsError."""
    file = source.files.get(ENVIRONMENTS_FILE)
    if file is None:
        raise DiagnosticsError(compile_front({}, None).diagnostics, {})
    found, mistakes = find_branch(file.data, workspace.environment)
    if found is None:
        raise DiagnosticsError(mistakes, {ENVIRONMENTS_FILE: file.data})
    return artifact_branch(*found)


def plan_version(workspace: Workspace, source: SourceTree) -> Planned:
    """The plan for one version against the artifact branch as it is now.

    Raises DiagnosticsError where the version doesn't compile, RepositoryError where Git fails.
    """
    front = check_source(source, workspace.environment)
    if front.linked is None:
        raise ValueError("the source didn't link")
    branch = artifact_branch(front.linked.name, front.branch)
    fetch_artifacts(workspace.repository, branch, workspace.remote)
    head = read_head(workspace.repository, branch)
    state = read_state(workspace.repository, head)
    compiled = compile_back(front, state, runtime_files(), kept_parts(workspace.repository, head))
    if compiled.rendering is None:
        raise DiagnosticsError(compiled.diagnostics, {path: file.data for path, file in source.files.items()})
    inputs = PlanInputs(
        environment=front.linked.name,
        source_commit=source.commit or "",
        source_tree=source.id,
        artifact_head=head.commit.id if head else "",
        renderer=__version__,
    )
    before = CommittedReleases(repository=workspace.repository, tree=head.commit.tree if head else None)
    return Planned(
        plan=make_plan(compiled.rendering, before, state, inputs, branch.name),
        rendering=compiled.rendering,
        branch=branch,
        head=head,
        diagnostics=compiled.diagnostics,
    )
