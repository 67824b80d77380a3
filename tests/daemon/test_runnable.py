from collections.abc import Mapping

import pytest

from gitopsd.compiler.placement.colocate import company_of
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.runnable import refuse_what_cannot_run
from gitopsd.model.system import Origin, StepNeeds, WorkflowSummary


def summary(
    workflow: str, *, secrets: Mapping[str, tuple[str, ...]], transports: tuple[str, ...] = ()
) -> WorkflowSummary:
    origin = Origin(path=f"workflows/{workflow}.yaml", pointer=("steps",))
    steps = tuple(
        StepNeeds(name=name, use="std/exec", origin=origin, placed_at=origin, group="edge", replicas=1, secrets=needed)
        for name, needed in secrets.items()
    )
    return WorkflowSummary(
        workflow=workflow,
        path=origin.path,
        digest="0" * 40,
        companies=tuple(company_of(workflow, [step]) for step in steps),
        transports=transports,
    )


def test_what_the_runner_has_is_let_through() -> None:
    refuse_what_cannot_run([summary("orders", secrets={"a": ()}, transports=("file-store", "worker"))])


def test_a_step_with_secrets_is_refused_by_name() -> None:
    with pytest.raises(ControllerError, match=r"orders\.b can't run yet.*orders\.b needs `token`") as refusal:
        refuse_what_cannot_run([summary("orders", secrets={"a": (), "b": ("token",)})])
    assert "nothing was committed" in refusal.value.hint


def test_many_steps_are_counted_and_not_all_listed() -> None:
    steps = {f"step-{number}": ("token",) for number in range(50)}
    with pytest.raises(ControllerError, match="and 45 more"):
        refuse_what_cannot_run([summary("orders", secrets=steps)])


def test_a_transport_that_the_runner_lacks_is_refused_with_the_workflow() -> None:
    summaries = [
        summary("orders", secrets={}, transports=("pigeon", "worker")),
        summary("other", secrets={}, transports=("worker",)),
    ]
    with pytest.raises(ControllerError, match=r"orders can't run yet.*`pigeon`"):
        refuse_what_cannot_run(summaries)
