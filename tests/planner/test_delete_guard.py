import pytest

from gitopsd.model.policy import PolicyRecord
from gitopsd.planner.plan.delete_guard import why_held
from tests.planner.deployed import changed, plan, render


@pytest.mark.parametrize(
    ("deleted", "deployed", "max_delete", "held"),
    [
        (0, 0, 20, False),
        (0, 10, 0, False),
        (2, 10, 20, False),
        (3, 10, 20, True),
        (1, 4, 20, False),  # a large share, but one job
        (2, 4, 20, False),
        (3, 4, 20, True),
        (20, 100, 20, False),
        (21, 100, 20, True),
        (21, 101, 20, True),
        (1, 100, 0, True),
        (99, 100, 100, False),
    ],
)
def test_more_than_the_share_is_held_but_for_a_few_jobs(
    deleted: int, deployed: int, max_delete: int, *, held: bool
) -> None:
    jobs = [f"orders.step.{n}" for n in range(deleted)]
    assert bool(why_held(jobs, deployed, left_workflows={"orders"}, max_delete=max_delete)) == held


def test_a_workflow_that_goes_as_a_whole_is_held_however_small_it_is() -> None:
    held = why_held(["orders.collect.0"], 2, left_workflows={"other"}, max_delete=20)
    assert "all of the workflow `orders`" in held
    assert "1 of 2 deployed jobs (50 %" in held
    assert "`gitopsd apply --confirm-deletes`" in held
    assert not why_held(["orders.collect.0"], 5, left_workflows={"other"}, max_delete=20)


def test_the_share_that_is_shown_is_never_the_one_that_is_allowed() -> None:
    jobs = [f"orders.step.{n}" for n in range(21)]
    assert "(21 %)" in why_held(jobs, 104, left_workflows={"orders"}, max_delete=20)


def _source(*workflows: int, replicas: int = 1) -> dict[str, bytes]:
    files = {
        "gitopsd.yaml": b"environments: {production: {fleet: fleets/production.yaml}}",
        "fleets/production.yaml": b"groups: {edge: {workers: {e-1: {connection: local}}}}",
    }
    for number in workflows:
        files[f"workflows/w{number}.yaml"] = (
            f"workflow: w{number}\nsteps:\n"
            f"  read: {{use: std/read-files, with: {{glob: /srv/in/*}}, out: rows, place: &P}}\n"
            f"  write: {{use: std/write-files, with: {{path: /srv/out}}, in: rows, place: &P}}\n"
            f"channels: {{rows: {{transport: worker}}}}\n"
        ).replace("&P", f"{{group: edge, replicas: {replicas}}}").encode()  # fmt: skip
    return files


def test_a_plan_that_deletes_too_much_shows_its_deletes_as_held() -> None:
    before = render(_source(1, 2, 3))
    after = render(_source(1, 2), before)
    found = plan(after, before)
    assert {(change.action, change.effect) for change in changed(found).values()} == {("held", "stop")}
    assert changed(found)["w3.read.0"].reason == "the workflow `w3` is not in this version"
    assert "it deletes 2 of 6 deployed jobs (34 %, among them all of the workflow `w3`)" in found.held
    assert found.counts() == {"unchanged": 4, "held": 2}
    assert not found.is_empty


def test_the_limit_is_the_policys_and_the_plan_is_the_same_plan() -> None:
    before = render(_source(1, 2, 3))
    after = render(_source(1, 2), before)
    free = plan(after, before, PolicyRecord(max_delete=50))
    assert not free.held
    assert {change.action for change in changed(free).values()} == {"delete"}
    assert (free.tree, free.digest) == (plan(after, before).tree, plan(after, before).digest)
    assert plan(render(_source(1, 2, 3, replicas=1), before), before, PolicyRecord(max_delete=0)).held == ""


def test_jobs_that_move_are_not_deleted() -> None:
    before = render(_source(1, 2, 3))
    files = _source(1, 2, 3)
    files["fleets/production.yaml"] = files["fleets/production.yaml"].replace(b"e-1", b"e-2")
    found = plan(render(files, before), before)
    assert {change.action for change in found.changes} == {"move"}
    assert not found.held
