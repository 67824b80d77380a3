import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.model.artifacts import ArtifactState
from gitopsd.model.plan import Plan
from gitopsd.planner.plan.diff import make_plan
from tests.compiler.cases import GOLDEN, Case
from tests.compiler.repositories import REPOSITORIES, Repository
from tests.planner.deployed import INPUTS, Deployed, changed, edited, placement_of, plan, render
from tests.planner.sources import WORKER, reads, source, writes

CASE = Case(path=GOLDEN / "two-groups-with-replicas")
OWN = Case(path=GOLDEN / "own-blueprint")
FLOW, FLEET = "workflows/orders.yaml", "fleets/production.yaml"


@given(repository=REPOSITORIES)
def test_applying_a_plan_leaves_an_empty_plan(repository: Repository) -> None:
    first = render(repository.source())
    again = render(repository.source(seed=7), first)
    assert again.id == first.id
    assert plan(again, first).is_empty
    assert not changed(plan(again, first))


@given(before=REPOSITORIES, after=REPOSITORIES)
def test_every_job_is_accounted_for_once(before: Repository, after: Repository) -> None:
    """Whatever changes: what was there and what will be there is in the plan, each job with one action and a reason."""
    first = render(before.source())
    second = render(after.source(), first)
    found = plan(second, first)
    assert {change.job for change in found.changes} == {*placement_of(first), *placement_of(second)}
    assert len({change.job for change in found.changes}) == len(found.changes)
    assert all(change.reason for change in found.changes)
    for change in found.changes:
        was, will_be = placement_of(first).get(change.job), placement_of(second).get(change.job)
        expected = {
            "create": was is None, "delete": will_be is None, "held": will_be is None,
            "move": None not in {was, will_be} and was != will_be,
            "update": was == will_be, "unchanged": was == will_be,
        }  # fmt: skip
        assert expected[change.action], change


@given(repository=REPOSITORIES, seed=st.integers(0, 3))
def test_the_digest_is_that_of_the_inputs_and_the_result(repository: Repository, seed: int) -> None:
    rendering = render(repository.source(seed))
    found = plan(rendering, None)
    assert found.digest == plan(render(repository.source()), None).digest
    for key in ("environment", "source_tree", "artifact_head", "renderer", "policy"):
        moved = msgspec.structs.replace(INPUTS, **{key: "other"})
        assert make_plan(rendering, Deployed(None), ArtifactState(), moved, "b").digest != found.digest
    renamed = msgspec.structs.replace(INPUTS, source_commit="other")
    assert make_plan(rendering, Deployed(None), ArtifactState(), renamed, "b").digest == found.digest


def test_the_first_plan_creates_everything() -> None:
    found = plan(render(CASE.source()), None)
    assert {change.action for change in found.changes} == {"create"}
    assert {change.effect for change in found.changes} == {"start"}
    assert found.changed_workers == ("core-1", "edge-1", "edge-2")


def test_only_the_step_that_changed_is_restarted() -> None:
    before = render(CASE.source())
    after = render(edited(CASE, FLOW, "rotate_bytes: 64M", "rotate_bytes: 32M"), before)
    changes = changed(plan(after, before))
    assert changes.keys() == {"orders.deliver.0"}
    change = changes["orders.deliver.0"]
    assert (change.action, change.effect, change.reason) == (
        "update",
        "restart",
        "changed: its argument `rotate_bytes`",
    )
    assert [file.path for file in change.files] == ["jobs/orders.deliver.0/job.json"]
    assert '-      "rotate_bytes": 67108864,\n+      "rotate_bytes": 33554432,\n' in change.files[0].diff


def test_a_unit_is_not_shown_where_supervisor_starts_the_job() -> None:
    shown = {}
    for manager in ("supervisor", "systemd"):
        local = {"edge-1": {"connection": "local", "service_manager": manager}}
        before = render(source({"read": reads(), "write": writes()}, {"rows": WORKER}, local))
        after = render(source({"read": reads(), "write": writes(path="/srv/other")}, {"rows": WORKER}, local), before)
        shown[manager] = changed(plan(after, before))["orders.write.0"]
    assert "its unit" not in shown["supervisor"].reason
    assert [file.path for file in shown["supervisor"].files] == ["jobs/orders.write.0/job.json"]
    assert "its unit (ReadWritePaths, " in shown["systemd"].reason


def test_a_step_that_is_removed_is_stopped() -> None:
    before = render(OWN.source())
    files = edited(OWN, "blueprints/alert.yaml", "in: {default: {speaks: [worker]}}", "in: {}")
    flow = files["workflows/alerts.yaml"]
    files["workflows/alerts.yaml"] = (
        flow[: flow.index(b"  collect:")] + flow[flow.index(b"  alert:") : flow.index(b"channels:")]
    )
    files["workflows/alerts.yaml"] = files["workflows/alerts.yaml"].replace(b"    in: raw\n", b"")
    changes = changed(plan(render(files, before), before))
    assert (changes["alerts.collect.0"].action, changes["alerts.collect.0"].effect) == ("delete", "stop")


def test_a_job_that_moves_is_told_once_at_its_destination() -> None:
    before = render(CASE.source())
    origin = placement_of(before)["orders.collect.0"]
    after = render(edited(CASE, FLEET, f"      {origin}:", f"      {origin}-new:"), before)
    found = plan(after, before)
    moved = changed(found)["orders.collect.0"]
    assert (moved.action, moved.effect, moved.moved_from, moved.worker) == ("move", "start", origin, f"{origin}-new")
    assert [change.job for change in found.changes].count("orders.collect.0") == 1


def test_on_change_decides_what_happens_to_what_runs() -> None:
    before = render(OWN.source())
    blueprint = "blueprints/alert.yaml"
    reloaded = render(edited(OWN, blueprint, "batch = ", "batch: "), before)
    assert changed(plan(reloaded, before))["alerts.alert.0"].effect == "reload"
    with_another_unit = render(edited(OWN, blueprint, "Nice: 5", "Nice: 6"), before)
    assert changed(plan(with_another_unit, before))["alerts.alert.0"].effect == "restart"
    with_another_argument = render(edited(OWN, blueprint, "--batch", "--batches"), before)
    assert changed(plan(with_another_argument, before))["alerts.alert.0"].effect == "restart"


def test_a_change_of_how_a_job_is_looked_after_touches_nothing_that_runs_and_is_shown() -> None:
    before = render(OWN.source())
    after = render(edited(OWN, "blueprints/alert.yaml", "ready: {tcp: 8080}", "ready: {tcp: 8081}"), before)
    change = changed(plan(after, before))["alerts.alert.0"]
    assert (change.action, change.effect, change.reason) == (
        "update",
        "none",
        "changed: how it is looked after (ready)",
    )


def test_a_file_that_only_becomes_executable_is_shown() -> None:
    before = render(OWN.source())
    after = render(edited(OWN, "blueprints/alert.yaml", ', mode: "0755"', ""), before)
    (file,) = changed(plan(after, before))["alerts.alert.0"].files
    assert file.diff == "mode 100755 becomes 100644\n"


def test_an_adapter_job_says_why_it_is_there() -> None:
    found = plan(render(Case(path=GOLDEN / "adapters-around-a-filter").source()), None)
    assert "doesn't speak file-store" in changed(found)["orders.count-in-raw.0"].reason


def test_a_worker_without_jobs_makes_the_plan_not_empty() -> None:
    before = render(CASE.source())
    files = edited(
        CASE, FLEET, "      core-1:", "      core-2: {connection: local, service_manager: supervisor}\n      core-1:"
    )
    found = plan(render(files, before), before)
    assert not changed(found)
    assert found.changed_workers == ("core-2",)
    assert not found.is_empty


def test_a_plan_reads_back_from_its_json() -> None:
    found = plan(render(CASE.source()), None)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Plan) == found
