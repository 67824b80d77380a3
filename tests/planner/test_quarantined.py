"""Whatever two workflows were and become: the one that is held is byte for byte as it was, the other as it would be."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gitopsd.compiler.back import compile_back
from gitopsd.compiler.front import compile_front
from gitopsd.compiler.render.held import HeldWorkflow
from gitopsd.compiler.render.release import Rendering
from gitopsd.compiler.render.workflow import WorkflowText
from gitopsd.model.artifacts import ArtifactState
from gitopsd.model.trees import BuiltTree
from tests.compiler.cases import RUNTIME, library
from tests.contents import in_memory
from tests.planner.deployed import changed, fleet_of, placement_of, plan, render
from tests.planner.sources import machine, reads, source, store, writes

WORKERS = {f"edge-{number}": machine(number, slots=40) for number in (1, 2, 3)}


def files(orders: int, alerts: int, path: str) -> dict[str, bytes]:
    """The two workflows `orders` and `alerts`, with so many replicas."""
    found: dict[str, bytes] = {}
    for name, replicas in (("orders", orders), ("alerts", alerts)):
        steps = {"in": reads(replicas=replicas), "out": writes(path=f"/srv/{path}/{name}", replicas=replicas)}
        one = source(steps, {"rows": store(f"/mnt/{name}")}, WORKERS, mounts={"/mnt": "shared"})
        text = one.pop("workflows/orders.yaml").replace(b'"workflow": "orders"', f'"workflow": "{name}"'.encode())
        found |= {**one, f"workflows/{name}.yaml": text}
    return found


def hold(before: Rendering, name: str) -> HeldWorkflow:
    workflow = before.workflows[name]
    text = workflow.text()
    return HeldWorkflow(
        name=name,
        compiled=workflow.digest,
        returns_to=1,
        reason=f"`{name}` is quarantined",
        jobs=tuple(sorted(workflow.rendered.jobs, key=lambda job: job.name)),
        size=workflow.rendered.size,
        files=lambda: WorkflowText(rendered=workflow.rendered, files=text.files),
    )


def compile_holding(after: dict[str, bytes], before: Rendering, held: dict[str, HeldWorkflow]) -> Rendering:
    state = ArtifactState(placement=placement_of(before), fleet=fleet_of(before))
    compiled = compile_back(compile_front(in_memory(after), None), state, RUNTIME, {}, library=library, held=held)
    assert compiled.rendering is not None, compiled.diagnostics
    return compiled.rendering


def of(tree: BuiltTree, name: str) -> dict[str, str]:
    ours = (f"/jobs/{name}.", f"/units/gitopsd-{name}.")
    return {
        path: entry.id
        for path, entry in tree.entries.items()
        if any(part in path for part in ours) or path == f"placement/{name}.json"
    }


counts = st.integers(min_value=1, max_value=7)


@settings(max_examples=40)
@given(was=st.tuples(counts, counts), becomes=st.tuples(counts, counts), path=st.sampled_from(["same", "other"]))
def test_the_held_workflow_is_as_it_was_and_the_other_as_the_version_has_it(
    was: tuple[int, int], becomes: tuple[int, int], path: str
) -> None:
    first = render(files(*was, "same"))
    after = files(*becomes, path)
    held = {"orders": hold(first, "orders")}
    rendering = compile_holding(after, first, held)
    tree = rendering.tree()
    assert tree.id == rendering.id
    assert of(tree, "orders") == of(first.tree(), "orders")
    found = {job.name: job for release in rendering.releases.values() for job in release.jobs}
    assert {name for name in found if name.startswith("alerts.")} == {
        f"alerts.{step}.{replica}" for step in ("in", "out") for replica in range(becomes[1])
    }
    alone = {name: text for name, text in after.items() if name != "workflows/orders.yaml"}
    new = compile_holding(alone, first, {})
    stays = {job: worker for job, worker in placement_of(new).items() if placement_of(first).get(job) == worker}
    assert stays.items() <= placement_of(rendering).items(), "what may stay stays, whatever is held beside it"
    for job, entry in of(new.tree(), "alerts").items():
        if job.split("/")[-1].removeprefix("gitopsd-").rpartition(".service")[0] in stays and job in tree.entries:
            assert tree.entries[job].id == entry
    shown = plan(rendering, first)
    assert {change.action for change in shown.changes if change.job.startswith("orders.")} == {"held"}
    assert not any(change.job.startswith("orders.") and change.effect != "none" for change in shown.changes)
    again = compile_holding(after, rendering, held)
    assert plan(again, rendering).is_empty, "held once, it stays so"


def test_jobs_that_come_back_say_of_which_deployment_they_are() -> None:
    first = render(files(3, 1, "same"))
    bad = render(files(2, 1, "bad"), first)
    rendering = compile_holding(files(2, 1, "bad"), bad, {"orders": hold(first, "orders")})
    found = changed(plan(rendering, bad))
    assert {job: change.action for job, change in found.items() if job.startswith("orders.")} == {
        "orders.in.0": "update",
        "orders.in.1": "update",
        "orders.in.2": "create",
        "orders.out.0": "update",
        "orders.out.1": "update",
        "orders.out.2": "create",
    }
    assert found["orders.out.0"].reason.startswith("held as deployment 1 has it: changed: its argument")
    assert found["orders.in.2"].reason.endswith("; `orders` is quarantined")


def test_a_workflow_that_has_nothing_to_return_to_has_no_jobs_and_leaves_no_record() -> None:
    first = render(files(3, 2, "same"))
    nothing = HeldWorkflow(name="orders", compiled="", returns_to=0, reason="bad", files=never)
    rendering = compile_holding(files(3, 2, "same"), first, {"orders": nothing})
    assert not of(rendering.tree(), "orders")
    found = changed(plan(rendering, first))
    assert {change.action for change in found.values()} == {"held"}, "by the guard of deletes"
    assert "never went well" in found["orders.in.0"].reason
    assert [one.workflow for one in plan(rendering, first).quarantined] == ["orders"]


def test_placing_knows_where_held_jobs_are() -> None:
    """What is new goes to where the fewest jobs are, the held ones counted."""
    for replicas in range(1, 8):
        both = files(replicas, 1, "same")
        first = render({path: text for path, text in both.items() if path != "workflows/alerts.yaml"})
        rendering = compile_holding(both, first, {"orders": hold(first, "orders")})
        load = Counter({worker: len(release.jobs) for worker, release in first.releases.items()})
        at = placement_of(rendering)["alerts.in.0"]
        assert load[at] == min(load[worker] for worker in WORKERS), replicas


def never() -> WorkflowText:
    raise AssertionError("nothing of it is to be read")
