"""Jobs of quarantined workflows: held as an earlier deployment has them, and how that is said."""

from collections.abc import Mapping

from gitopsd.compiler.render.held import HeldWorkflow
from gitopsd.model.plan import Action, JobChange, QuarantinedWorkflow


def quarantined(held: Mapping[str, HeldWorkflow]) -> tuple[QuarantinedWorkflow, ...]:
    """As the plan lists them, by name."""
    return tuple(
        QuarantinedWorkflow(
            workflow=name,
            returns_to=workflow.returns_to,
            reason=workflow.reason,
            left_out=dict(sorted(workflow.left_out.items())),
        )
        for name, workflow in sorted(held.items())
    )


def quarantine_lines(one: QuarantinedWorkflow) -> list[str]:
    """What stands in for the workflow, why, and what of that can't be had back."""
    instead = f"held as deployment {one.returns_to} has it" if one.returns_to else "nothing of it is to run"
    lines = [f"{one.workflow}: {instead}: {one.reason}."]
    return lines + [f"{one.workflow}: without {job}: {why}." for job, why in one.left_out.items()]


def held_workflow(held: Mapping[str, HeldWorkflow], job: str) -> HeldWorkflow | None:
    """That of the job, where it is held."""
    return held.get(job.partition(".")[0])


def stays(worker: str, job: str, workflow: HeldWorkflow) -> JobChange:
    """A job that is in place already."""
    reason = f"{_at(workflow)} has it: {workflow.reason}"
    return JobChange(worker=worker, job=job, action="held", effect="none", reason=reason)


def why_returned(job: str, workflow: HeldWorkflow, action: Action, told: str) -> str:
    """Why a job of a held workflow comes, goes or changes; `told` is what would be said of any job."""
    gone = action in {"delete", "held"}
    rules = (
        (job in workflow.left_out, workflow.left_out.get(job, "")),
        (gone and not workflow.returns_to, f"`{workflow.name}` never went well, so nothing of it is left"),
        (gone, f"{_at(workflow)} has no such job"),
        (True, f"{_at(workflow)} has it: {told}"),
    )
    return next(f"{reason}; {workflow.reason}" for applies, reason in rules if applies)


def _at(workflow: HeldWorkflow) -> str:
    return f"held as deployment {workflow.returns_to}"
