"""From a workspace and a version to a plan. Writes nothing but what `git fetch` does."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from gitopsd import __version__
from gitopsd.compiler.back import Compiled, compile_back
from gitopsd.compiler.compiled_form import compiled_form
from gitopsd.compiler.environment import find_branch
from gitopsd.compiler.front import Flow, Front, compile_front
from gitopsd.compiler.link import Linked
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.compiler.place import fleet_workers
from gitopsd.compiler.render.release import Rendering
from gitopsd.daemon.artifacts.control import control_file, control_of
from gitopsd.daemon.artifacts.state import CommittedReleases, kept_parts, policy_id, read_facts, read_state
from gitopsd.daemon.configuration.policy import published_policy, with_file
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.planning.deployed_jobs import deployment_before
from gitopsd.daemon.planning.earlier_placement import Earlier, earlier_placement
from gitopsd.daemon.planning.held_workflows import Quarantined, Surroundings, quarantined
from gitopsd.daemon.planning.pinning import PinnedSource, pinned_source
from gitopsd.daemon.planning.shipped import library
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import CONTROL_FILE, ArtifactState, FactsRecord
from gitopsd.model.diagnostic import Diagnostic, Location, has_errors
from gitopsd.model.memory import Memory
from gitopsd.model.not_json import NOT_JSON
from gitopsd.model.plan import Plan, PlanInputs
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.system import WorkflowSummary
from gitopsd.model.trees import TreeFile, build_tree
from gitopsd.planner.plan.diff import make_plan
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, artifact_branch, read_file, read_head
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.publish import fetch_artifacts
from gitopsd.repo.source import FileContents, SourceTree
from gitopsd.runner.bundle import runtime_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with what applying it needs.

    `compiled` tells what the version comes to before it is placed. `source` is what was compiled: with a pin, not all
    of it is the version's. `reverts`: all that differs from what is deployed is as an earlier deployment had it.
    `upgrade` is what has to be deployed before it; `upgrades_from`, the version of gitopsd before, says that it is one.
    """

    plan: Plan
    compiled: str
    source: SourceTree
    rendering: Rendering
    flows: tuple[Flow, ...]
    branch: ArtifactBranch
    head: ArtifactHead | None
    diagnostics: tuple[Diagnostic, ...]
    reverts: bool = False
    upgrade: "Planned | None" = None
    upgrades_from: str = ""

    @property
    def summaries(self) -> tuple[WorkflowSummary, ...]:
        """Of the workflows that run as this version has them: not of those that are held."""
        return tuple(flow.summary for flow in self.flows if flow.summary and flow.name not in self.rendering.held)

    @property
    def secrets(self) -> frozenset[str]:
        """The names of all that its jobs ask for, those included that are held or drain."""
        held = [job for workflow in self.rendering.held.values() for job in workflow.jobs]
        held += [one.job for draining in self.rendering.draining.values() for one in draining]
        own = {name for summary in self.summaries for step in summary.steps for name in step.secrets}
        return frozenset(own.union(*(job.record.get("secrets", ()) for job in held)))


def check_source(pinned: PinnedSource, environment: str | None, memory: Memory) -> Front:
    """The source as far as it can be judged without the artifact branch. Raises DiagnosticsError."""
    source = pinned.source
    contents = FileContents(source.files)
    if source.problems:
        refused = [
            Diagnostic(
                code=problem.code, message=problem.message, location=Location(path=problem.path), hint=problem.hint
            )
            for problem in source.problems
        ]
        raise DiagnosticsError(pinned.explain(refused), {})
    front = compile_front(source.files, environment, memory)
    if has_errors(front.diagnostics) or front.linked is None:
        raise DiagnosticsError(pinned.explain(front.diagnostics), contents)
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


def deployed_branch(workspace: Workspace) -> ArtifactBranch:
    """The artifact branch of the chosen environment: as the workspace knows it, else by gitopsd.yaml as it is now."""
    return workspace.branch or branch_of(workspace, workspace.source())


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledVersion:
    """A version that compiles, against the artifact branch as it is. `state` is what placing began from.

    `committed` is the placement at the head. `form` tells what the version comes to before it is placed; `earlier` is
    what of it was deployed before, so that placing began from where its jobs were.
    """

    source: SourceTree
    pinned: str
    linked: Linked
    compiled: Compiled
    rendering: Rendering
    branch: ArtifactBranch
    head: ArtifactHead | None
    state: ArtifactState
    committed: Mapping[str, str]
    form: str
    earlier: Earlier
    policy: str
    diagnostics: tuple[Diagnostic, ...]


def compile_version(
    workspace: Workspace, source: SourceTree, *, facts: FactsRecord | None = None, after: Rendering | None = None
) -> CompiledVersion:
    """The operator's own policy counts, and else the one that was published on the artifact branch. With `facts`, those
    are committed with the version in the place of the present ones. `after` is what is deployed before the version is.

    Raises DiagnosticsError where the version doesn't compile, RepositoryError where Git fails.
    """
    pinned = pinned_source(workspace, source)
    front = check_source(pinned, workspace.environment, workspace.memory)
    branch = declared_branch(front)
    fetch_artifacts(workspace.repository, branch, workspace.remote)
    head = read_head(workspace.repository, branch)
    policy = workspace.policy or published_policy(workspace.configuration)
    return compile_against(workspace, pinned, front, head, policy=policy, facts=facts, after=after)


def declared_branch(front: Front) -> ArtifactBranch:
    """The artifact branch of the environment that was compiled."""
    if front.linked is None:
        raise ValueError("the source didn't link")
    return artifact_branch(front.linked.name, front.branch)


def compile_against(
    workspace: Workspace,
    pinned: PinnedSource,
    front: Front,
    head: ArtifactHead | None,
    *,
    policy: PolicyRecord | None,
    facts: FactsRecord | None = None,
    after: Rendering | None = None,
) -> CompiledVersion:
    """What `compile_version` does once the head is known, and the policy that is committed with the version, if any.

    Nothing else takes part: who gives the same again gets the same tree.
    """
    if front.linked is None:
        raise ValueError("the source didn't link")
    source = pinned.source
    committed = read_state(workspace.repository, head, policy, workspace.memory, facts=facts)
    if after is not None:
        committed = replace(committed, placement=after.placement, fleet=after.workers)
    kept = kept_parts(workspace.repository, head, policy, _without_drained(workspace, head, facts))
    allowed = committed.policy or PolicyRecord()
    summaries = [flow.summary for flow in front.flows if flow.summary]
    form = compiled_form(front.linked, summaries, workspace.memory)
    out = _quarantined(workspace, head, front.linked, summaries, replace(committed, policy=allowed))
    earlier = earlier_placement(workspace.repository, head, committed, form.without(out.held))
    placement = committed.placement if earlier.placement is None else earlier.placement
    state = replace(committed, placement=placement, policy=allowed)
    compiled = compile_back(
        front,
        state,
        runtime_files(),
        {**kept, **_without_ended(workspace, head, out.ended)},
        workspace.memory,
        library=library,
        held=out.held,
        departures=deployment_before(workspace.repository, head, front.linked, committed, after) if head else None,
    )
    # a policy that somebody else's plan goes by is not in the file that this machine has
    file = workspace.configuration_file if workspace.policy is None else None
    diagnostics = with_file(pinned.explain(compiled.diagnostics), file)
    if compiled.rendering is None:
        raise DiagnosticsError(diagnostics, FileContents(source.files))
    return CompiledVersion(
        source=source,
        pinned=pinned.commit,
        linked=front.linked,
        compiled=compiled,
        rendering=compiled.rendering,
        branch=declared_branch(front),
        head=head,
        state=state,
        committed=committed.placement,
        form=form.key,
        earlier=earlier,
        policy=policy_id(kept),
        diagnostics=diagnostics,
    )


def _without_drained(workspace: Workspace, head: ArtifactHead | None, facts: FactsRecord | None) -> FactsRecord | None:
    """The facts that are committed: what has drained is dropped with them. None where they stay as they are."""
    known = read_facts(workspace.repository, head.commit.tree) if head else FactsRecord()
    return structs.replace(facts or known, drained={}) if known.drained else facts


def _quarantined(
    workspace: Workspace,
    head: ArtifactHead | None,
    linked: Linked,
    summaries: Sequence[WorkflowSummary],
    state: ArtifactState,
) -> Quarantined:
    control = control_of(workspace.repository, head)
    if not control.quarantines:
        return Quarantined()
    surroundings = Surroundings(
        workers=fleet_workers(linked),
        policy=state.policy or PolicyRecord(),
        runtime=build_tree(runtime_files()).id,
        library=library,
        closed=state.cordoned | state.lost,
        placed=state.placement,
    )
    return quarantined(workspace.repository, head, control, summaries, surroundings)


def _without_ended(workspace: Workspace, head: ArtifactHead | None, ended: Collection[str]) -> Mapping[str, TreeFile]:
    """`control.json` without the quarantines that the version ends; nothing where it ends none."""
    if head is None or not ended:
        return {}
    control = control_of(workspace.repository, head)
    left = {name: one for name, one in control.quarantines.items() if name not in ended}
    present = read_file(workspace.repository, head.commit.tree, CONTROL_FILE)
    return {CONTROL_FILE: TreeFile(control_file(present, structs.replace(control, quarantines=left)))}


def plan_version(
    workspace: Workspace, source: SourceTree, *, facts: FactsRecord | None = None, after: Rendering | None = None
) -> Planned:
    """The plan for one version against the artifact branch as it is now, or as it will be with `after`.

    Raises what compile_version does.
    """
    version = compile_version(workspace, source, facts=facts, after=after)
    head, compiled = version.head, version.compiled
    inputs = PlanInputs(
        environment=version.linked.name,
        source_commit=source.commit or "",
        source_tree=version.source.id,
        artifact_head=head.commit.id if head else "",
        renderer=__version__,
        policy=version.policy,
        pinned=version.pinned,
    )
    before = CommittedReleases(repository=workspace.repository, tree=head.commit.tree if head else None)
    try:
        plan = make_plan(
            version.rendering,
            after or before,
            version.state,
            inputs,
            version.branch.name,
            moved_because=compiled.moved,
            kept_away=compiled.kept_away,
            returns=version.earlier.returns,
        )
    except NOT_JSON as error:
        raise RepositoryError(
            f"a release.json on the artifact branch can't be read: {error}",
            "`git log` of that branch says who changed it",
        ) from None
    return Planned(
        plan=plan,
        compiled=version.form,
        source=version.source,
        rendering=version.rendering,
        flows=compiled.flows,
        branch=version.branch,
        head=head,
        diagnostics=version.diagnostics,
        reverts=version.earlier.is_all,
    )
