"""Why a step of a version is as it is, and where."""

import re

from gitopsd.compiler.explanation import StepExplanation, explain_step
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning.plan import compile_version
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.names import did_you_mean
from gitopsd.repo.source import SourceTree


def explain(workspace: Workspace, source: SourceTree, step: str) -> StepExplanation:
    """`step` is `<workflow>.<step>`, or a job's name; an adapter job is explained by its step.

    Raises DiagnosticsError, ControllerError for an unknown step.
    """
    version = compile_version(workspace, source)
    placement, rendering = version.compiled.placement, version.compiled.rendering
    if placement is None or rendering is None:
        raise ValueError("a version that compiles is placed")
    workflow, _, name = step.partition(".")
    if workflow in version.rendering.held:
        held = version.rendering.held[workflow]
        raise ControllerError(
            f"{held.reason}: none of its steps runs as this version has it",
            f"`gitopsd quarantine release {workflow}` ends that",
        )
    for flow in version.compiled.flows:
        if flow.name == workflow and flow.summary:
            steps = flow.system.steps
            head, _, replica = name.rpartition(".")
            known = name if name in steps else head if replica.isdecimal() else name
            adapted = [step for step in steps if re.match(rf"{re.escape(step)}-(in|out)-", known)]
            known = max(adapted, key=len) if known not in steps and adapted else known
            if known not in steps:
                raise ControllerError(f"the workflow `{workflow}` has no step `{name}`", did_you_mean(name, steps))
            return explain_step(
                version.linked,
                flow.system,
                steps[known],
                summary=flow.summary,
                placement=placement,
                state=version.state,
                committed=version.committed,
                schedules=rendering.schedules(workflow),
            )
    names = [flow.name for flow in version.compiled.flows]
    raise ControllerError(
        f"there is no workflow `{workflow}`; name a step as WORKFLOW.STEP", did_you_mean(workflow, names)
    )
