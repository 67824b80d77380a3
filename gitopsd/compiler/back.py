"""The last passes: place → route → render, for one environment and what is deployed in it.

Placing sees all workflows at once; routing and rendering are by workflow, in `workflows.py`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gitopsd.compiler.checks.policy import check_fleet_policy, check_policy
from gitopsd.compiler.front import Flow, Front
from gitopsd.compiler.groups import fleet_groups
from gitopsd.compiler.link import Linked
from gitopsd.compiler.place import Placement, fleet_workers, place
from gitopsd.compiler.render.draining import Departures
from gitopsd.compiler.render.held import HeldWorkflow
from gitopsd.compiler.render.release import CompiledWorkflow, Kept, Rendering, assemble
from gitopsd.compiler.render.workflow import LibraryOf
from gitopsd.compiler.report import Report, Stop
from gitopsd.compiler.workflows import Workflows, once
from gitopsd.model.artifacts import ArtifactState, PlacedWorker
from gitopsd.model.diagnostic import Diagnostic, has_errors
from gitopsd.model.memory import Forgetful, Memory
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.system import WorkflowSummary
from gitopsd.model.trees import build_tree

MAX_RENDERED_BYTES = 512 << 20
"""Of all jobs' files together, each counted where it is used."""

_NOTHING = Forgetful()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What came of a source tree: a rendering, or the errors that kept it from being one."""

    diagnostics: tuple[Diagnostic, ...]
    rendering: Rendering | None = None
    placement: Placement | None = None
    flows: tuple[Flow, ...] = ()

    @property
    def moved(self) -> Mapping[str, str]:
        """Jobs that are placed elsewhere than before, with the reason."""
        return self.placement.moved if self.placement else {}

    @property
    def kept_away(self) -> Mapping[str, str]:
        """Jobs that a cordon keeps from the worker that they would have gone to, and how that is said."""
        return self.placement.kept_away if self.placement else {}


def compile_back(
    front: Front,
    state: ArtifactState,
    runtime_files: Mapping[str, tuple[bytes, bool]],
    kept: Kept,
    memory: Memory = _NOTHING,
    *,
    library: LibraryOf,
    held: Mapping[str, HeldWorkflow] = MappingProxyType({}),
    departures: Departures | None = None,
    max_bytes: int = MAX_RENDERED_BYTES,
) -> Compiled:
    """From place to render, for a front without errors. `kept` are files of the artifact branch that are put back.

    `library` gives what ships beside the runtime for the jobs that need it.

    `held` are the workflows that are neither placed nor rendered: their jobs are put back as they were. `departures`
    knows what is deployed, and which of that drains before it goes.
    """
    report = Report(list(front.diagnostics))
    if front.linked is None or has_errors(front.diagnostics):
        return Compiled(diagnostics=report.ordered())
    linked, flows = front.linked, front.flows
    try:
        workers = fleet_workers(linked)
        summaries = [flow.summary for flow in flows if flow.summary]
        report.take((None, _check_policy(linked, summaries, workers, state.policy)))
        own = [summary for summary in summaries if summary.workflow not in held]
        taken = Counter(job.worker for workflow in held.values() for job in workflow.jobs)
        placement = report.take(place(linked, workers, own, state, taken))
        if placement is None:
            return Compiled(diagnostics=report.ordered())
        back = Workflows(
            linked,
            placement,
            policy=state.policy,
            runtime=build_tree(runtime_files),
            library=library,
            memory=memory,
            max_bytes=max_bytes,
        )
        compiled = report.take(back.compile([flow for flow in flows if flow.name not in held]))
        compiled = sorted([*compiled, *map(_as_it_was, _with_record(held))], key=lambda workflow: workflow.name)
        report.take((None, _check_jobs(linked, compiled, state.policy)))
        rendering = assemble(
            linked.name,
            compiled,
            placement,
            groups=fleet_groups(linked, summaries),
            state=state,
            runtime=back.runtime,
            library=library,
            kept=kept,
            memory=memory,
            held=held,
            departures=departures,
        )
    except Stop:
        return Compiled(diagnostics=report.ordered(), flows=flows)
    return Compiled(diagnostics=report.ordered(), rendering=rendering, placement=placement, flows=flows)


def _with_record(held: Mapping[str, HeldWorkflow]) -> list[HeldWorkflow]:
    """Those that there is a deployment to return to, whether or not any of its jobs can be had back."""
    return [workflow for workflow in held.values() if workflow.returns_to]


def _as_it_was(held: HeldWorkflow) -> CompiledWorkflow:
    return CompiledWorkflow(
        name=held.name, digest=held.compiled, key=held.key, rendered=held.rendered, text=once(held.files, None)
    )


def _check_policy(
    linked: Linked,
    summaries: Sequence[WorkflowSummary],
    workers: Mapping[str, PlacedWorker],
    policy: PolicyRecord | None,
) -> list[Diagnostic]:
    if policy is None:
        return []
    fleet = linked.fleet
    return [
        *check_policy(policy, summaries, linked.locate_key),
        *check_fleet_policy(
            policy,
            workers,
            lambda name: fleet.document.locate_key("groups", workers[name].group, "workers", name),
        ),
    ]


def _check_jobs(linked: Linked, compiled: Sequence[CompiledWorkflow], policy: PolicyRecord | None) -> list[Diagnostic]:
    """The number of jobs with the adapters among them, which only routing knows."""
    jobs = sum(len(workflow.rendered.jobs) for workflow in compiled)
    if policy is None or policy.max_jobs is None or jobs <= policy.max_jobs:
        return []
    largest = max(compiled, key=lambda workflow: len(workflow.rendered.jobs)).name
    return [
        Diagnostic(
            code="too-many-jobs-for-policy",
            message=f"with their adapters all steps come to {jobs:,} jobs, and the policy allows {policy.max_jobs:,}",
            location=linked.workflows[largest].document.locate_key("steps"),
            hint="ask for fewer replicas, take channels that the steps speak, or have `policy.max_jobs` raised",
        )
    ]
