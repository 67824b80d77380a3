"""Why each job comes, changes, moves or goes."""

from typing import Any

import msgspec
import pytest

from gitopsd.model.plan import Returns
from gitopsd.planner.plan.job_document import JobDocument, read_document
from gitopsd.planner.plan.reasons import Census, why_deleted
from tests.planner.deployed import changed, changes_between, fleet_of, plan, render
from tests.planner.sources import WORKER, Steps, machine, reads, source, step, store, writes

BASE: Steps = {"read": reads(), "write": writes()}
ROWS = {"rows": store()}


def reasons(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, str]:
    return {job.removeprefix("orders."): change.reason for job, change in changes_between(before, after).items()}


def between(before: Steps, after: Steps, channels: Any = ROWS, after_channels: Any = None) -> dict[str, str]:
    return reasons(source(before, channels), source(after, after_channels or channels))


def test_what_comes() -> None:
    nothing = source(BASE, ROWS)
    del nothing["workflows/orders.yaml"]
    assert set(reasons(nothing, source(BASE, ROWS)).values()) == {"the workflow `orders` is new"}
    more = between(BASE, {"read": reads(replicas=2), "write": writes(), "keep": writes(path="/srv/keep")})
    assert more["read.1"] == "`read` has 2 replicas instead of 1"
    assert more["keep.0"] == "the step `keep` is new"


def test_what_goes() -> None:
    before = {"read": reads(replicas=2), "write": writes(), "keep": writes(path="/srv/keep")}
    less = between(before, BASE)
    assert less["read.1"] == "`read` has 1 replica instead of 2"
    assert less["keep.0"] == "the step `keep` is not in the workflow any more"


def test_an_adapter_that_goes_says_whether_its_step_went() -> None:
    counts = {**BASE, "count": step("std/exec", with_={"command": ["/usr/bin/wc"]}, in_="rows")}
    kept = between(counts, counts, ROWS, {"rows": WORKER})
    assert kept["count-in-rows.0"] == "`count` needs no adapter for `rows` any more"
    gone = between(counts, BASE)
    assert gone["count-in-rows.0"] == "the step `count`, which it joined to `rows`, is not in the workflow any more"


def test_a_part_of_a_module_names_the_step_that_went() -> None:
    before, after = Census(["orders.cleanse.filter.0", "orders.read.0"]), Census(["orders.read.0"])
    reason = why_deleted("orders.cleanse.filter.0", JobDocument(), before, after)
    assert reason == "the step `cleanse`, which it is a part of, is not in the workflow any more"
    other = Census(["orders.cleanse.count.0"])
    reason = why_deleted("orders.cleanse.filter.0", JobDocument(), before, other)
    assert reason == "the step `cleanse.filter` is not in the workflow any more"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ({"exec": ["/bin/a"]}, {"exec": ["/bin/b"]}, "changed: its command"),
        ({"unit": {"Nice": 5}}, {"unit": {"Nice": 6}}, "changed: its unit (Nice)"),
        ({"files": {"a.conf": "1"}}, {"files": {"a.conf": "2"}}, "changed: the file `a.conf`"),
        (
            {"on_change": "none", "files": {"a": "1"}},
            {"on_change": "none", "files": {"a": "2"}},
            "changed: the file `a`; by its `on_change: none` that counts from its next start",
        ),
        ({"ready": {"tcp": 80}}, {"ready": {"tcp": 81}}, "changed: how it is looked after (ready)"),
    ],
)
def test_what_changes(old: dict[str, Any], new: dict[str, Any], reason: str) -> None:
    def with_job(job: dict[str, Any]) -> dict[str, bytes]:
        return source({"job": step("blueprints/one")}, {}, one={"blueprint": "one", "job": {"exec": ["/bin/a"], **job}})

    assert reasons(with_job(old), with_job(new)) == {"job.0": reason}


def test_a_change_of_channels_names_them() -> None:
    more = between(BASE, {**BASE, "keep": writes(path="/srv/keep")})
    assert more["read.0"] == "changed: how it is joined to `rows`"


def test_another_message_is_named() -> None:
    def waiting_for(message: str) -> dict[str, bytes]:
        once = {"blueprint": "one", "job": {"kind": "once", "exec": ["/bin/a"]}}
        starts = {name: step("blueprints/one", signals=name) for name in ("first", "second")}
        others = {f"after-{name}": step("blueprints/one", on={"message": name}) for name in starts}
        steps = {**starts, **others, "job": step("blueprints/one", on={"message": message})}
        return source(steps, {}, messages=dict.fromkeys(starts, WORKER), one=once)

    found = reasons(waiting_for("first"), waiting_for("second"))
    assert found.pop("job.0").startswith("changed: how it is joined to `first`, `second`")
    assert found == {
        "first.0": "changed: how it is joined to `first`",
        "second.0": "changed: how it is joined to `second`",
    }


def test_an_argument_of_a_std_blueprint_is_named() -> None:
    assert between(BASE, {"read": reads(glob="/srv/x/*"), "write": writes()}) == {
        "read.0": "changed: its argument `glob`"
    }


def test_a_worker_that_left_is_the_reason_for_a_move() -> None:
    found = reasons(
        source(BASE, ROWS, {"edge-1": machine(1)}),
        source(BASE, ROWS, {"edge-2": machine(2)}),
    )
    assert set(found.values()) == {"`edge-1` is not in the fleet any more"}


def test_a_label_that_no_longer_fits_is_the_reason_for_a_move() -> None:
    steps = {"read": reads(constraints=["label.region == eu"]), "write": writes(constraints=["label.region == eu"])}

    def where(one: str, other: str) -> dict[str, bytes]:
        return source(
            steps,
            {"rows": WORKER},
            {"edge-1": machine(1, labels={"region": one}), "edge-2": machine(2, labels={"region": other})},
        )

    found = reasons(where("eu", "us"), where("us", "eu"))
    assert found.keys() == {"read.0", "write.0"}
    assert all("`edge-1` can't take it any more" in reason and "label.region" in reason for reason in found.values())


def test_an_adapter_moves_with_its_step() -> None:
    steps = {**BASE, "count": step("std/exec", with_={"command": ["/usr/bin/wc"]}, in_="rows")}
    found = reasons(source(steps, ROWS, {"edge-1": machine(1)}), source(steps, ROWS, {"edge-2": machine(2)}))
    assert found["count-in-rows.0"] == "it is where its step `count` is"


def test_steps_that_a_worker_channel_joins_gather() -> None:
    two = {"edge-1": machine(1, labels={"n": "1"}), "edge-2": machine(2, labels={"n": "2"})}
    apart = {"read": reads(constraints=["label.n == 1"]), "write": writes(constraints=["label.n == 2"])}
    together = {"read": reads(), "write": writes()}
    found = reasons(
        source(apart, {"rows": store("/mnt/rows")}, two, mounts={"/mnt": "shared"}),
        source(together, {"rows": WORKER}, two, mounts={"/mnt": "shared"}),
    )
    assert found["write.0"] == "a `worker` channel keeps it beside `orders.read.0`, which is here already"


def test_what_a_drained_worker_gives_away() -> None:
    two = {"edge-1": machine(1), "edge-2": machine(2)}
    both = source({"read": reads(replicas=2), "write": writes(replicas=2)}, {"rows": WORKER}, two)
    found = changes_between(both, both, drained=["edge-1"])
    assert {(change.action, change.worker, change.moved_from, change.reason) for change in found.values()} == {
        ("move", "edge-2", "edge-1", "`edge-1` is being drained")
    }
    assert len(found) == 2


@pytest.mark.parametrize(("decision", "said"), [("cordoned", "it is cordoned"), ("drained", "it is being drained")])
def test_a_job_that_a_cordon_keeps_from_a_worker_says_so(decision: str, said: str) -> None:
    two = {"edge-1": machine(1), "edge-2": machine(2)}
    before = source({"read": reads(constraints=["label.n == 1"])}, {}, {"edge-1": machine(1, labels={"n": "1"})})
    del before["workflows/orders.yaml"]
    found = changes_between(before, source(BASE, {"rows": WORKER}, two), **{decision: ["edge-2"]})
    assert {change.reason for change in found.values()} <= {
        "the workflow `orders` is new",
        f"the workflow `orders` is new; not on `edge-2`: {said}",
    }
    others = changes_between(before, source(BASE, {"rows": WORKER}, two), **{decision: ["edge-1"]})
    kept_away = [change for change in (*found.values(), *others.values()) if "not on" in change.reason]
    assert len(kept_away) == 2, "both steps go to the same worker, and one of the two cordons is in their way"


def test_a_version_that_comes_back_takes_its_jobs_back() -> None:
    first = render(source(BASE, ROWS, {"edge-1": machine(1)}))
    second = render(source(BASE, ROWS, {"edge-2": machine(2)}), first)
    found = changed(plan(second, first, returns=Returns(deployment=1)))
    assert {change.reason for change in found.values()} == {
        "this version was deployed before, and its jobs go back to where they were then"
    }
    assert fleet_of(second)["edge-1"].leaving


@pytest.mark.parametrize("content", [b"", b"[]", b'{"runner": 3}', b'{"exec": "x"}', b"\xff"])
def test_a_document_of_a_form_that_is_not_known_is_empty(content: bytes) -> None:
    assert read_document(content) == JobDocument()


def test_an_end_of_a_transport_that_is_not_known_keeps_its_name() -> None:
    end = {"transport": "pigeon", "channel": "p.orders.rows", "replicas": "many", "consumers": 3}
    document = read_document(msgspec.json.encode({"runner": {"inputs": {"default": [end]}}}))
    assert [(known.transport, known.channel_name) for known in document.inputs] == [("pigeon", "rows")]
