import pytest

from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning.runnable import refuse_what_cannot_run
from gitopsd.model.system import WorkflowSummary


def summary(workflow: str, *transports: str) -> WorkflowSummary:
    return WorkflowSummary(
        workflow=workflow, path=f"workflows/{workflow}.yaml", digest="0" * 40, companies=(), transports=transports
    )


def test_what_the_runner_has_is_let_through() -> None:
    refuse_what_cannot_run([summary("orders", "file-store", "worker")])


def test_a_transport_that_the_runner_lacks_is_refused_with_the_workflow() -> None:
    summaries = [summary("orders", "pigeon", "worker"), summary("other", "worker")]
    with pytest.raises(ControllerError, match=r"orders can't run yet.*`pigeon`") as refusal:
        refuse_what_cannot_run(summaries)
    assert "nothing was committed" in refusal.value.hint


def test_many_workflows_are_counted_and_not_all_listed() -> None:
    with pytest.raises(ControllerError, match="and 45 more"):
        refuse_what_cannot_run([summary(f"flow-{number}", "pigeon") for number in range(50)])
