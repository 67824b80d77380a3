"""Which jobs drain when they leave, in what form, for how long; and what the plan says of it."""

import json
from typing import Any

import pytest

from gitopsd.compiler.render.release import Rendering
from gitopsd.model.plan import JobChange
from tests.planner.deployed import changed, compile_after, plan, render
from tests.planner.sources import WORKER, Steps, machine, reads, source, step, store, writes

ROWS = {"rows": store()}
BASE: Steps = {"read": reads(), "write": writes()}
KEEP: Steps = {"more": reads("others"), "keep": writes("others", "/srv/keep")}
OTHERS = {"others": store("/srv/others")}
ONE, TWO = {"edge-1": machine(1)}, {"edge-2": machine(2)}


def after(before: Rendering, files: dict[str, bytes], **more: Any) -> Rendering:
    found = compile_after(files, before, **{"drain_seconds": 300, **more}).rendering
    assert found is not None
    return found


def draining(rendering: Rendering) -> dict[str, list[str]]:
    """Worker -> jobs, as the record says, and as the releases do."""
    recorded = {name: list(worker.draining) for name, worker in rendering.workers.items() if worker.draining}
    rendered = {
        name: [job.name for job in release.jobs if job.drains]
        for name, release in rendering.releases.items()
        if any(job.drains for job in release.jobs)
    }
    assert recorded == rendered
    return recorded


def said(before: Rendering, rendering: Rendering) -> dict[str, JobChange]:
    return changed(plan(rendering, before))


def test_a_reader_of_a_store_that_ends_drains_and_its_writer_does_not() -> None:
    before = render(source({**BASE, **KEEP}, {**ROWS, **OTHERS}))
    rendering = after(before, source(BASE, ROWS))
    assert draining(rendering) == {"edge-1": ["orders.keep.0"]}
    changes = said(before, rendering)
    assert (changes["orders.keep.0"].action, changes["orders.keep.0"].effect) == ("delete", "drain")
    assert changes["orders.keep.0"].data == (
        "it drains on `edge-1`: it reads what is left in /srv/others, for 5m at most, and ends"
    )
    assert (changes["orders.more.0"].action, changes["orders.more.0"].effect) == ("delete", "stop")


def test_it_is_the_job_of_before_but_for_how_it_ends() -> None:
    before = render(source({**BASE, **KEEP}, {**ROWS, **OTHERS}))
    rendering = after(before, source(BASE, ROWS))
    old, new = before.tree(), rendering.tree()

    def text(tree: Any, path: str) -> str:
        return str(tree.objects[tree.entries[f"workers/edge-1/{path}"].id].data, "utf-8")

    was = json.loads(text(old, "jobs/orders.keep.0/job.json"))
    drains = json.loads(text(new, "jobs/orders.keep.0/job.json"))
    assert drains == {**was, "kind": "once", "drain": {"deadline_seconds": 300}}
    entry = json.loads(text(new, "release.json"))["jobs"]["orders.keep.0"]
    assert entry["draining"] == {"deadline_seconds": 300}
    assert entry["kind"] == "once"
    unit = text(new, "units/gitopsd-orders.keep.0.service")
    assert "Type=exec\n" in unit
    assert "Type=notify" not in unit
    assert "Restart=on-failure\n" in unit
    assert "Restart=always" not in unit
    assert "ConditionPathExists=!/var/lib/gitopsd/state/orders.keep.0/completed\n" in unit
    directories = "ReadWritePaths=/srv/keep /srv/others\n"
    assert directories in unit


def test_it_drains_until_it_is_known_to_have_ended() -> None:
    files = source(BASE, ROWS)
    first = after(render(source({**BASE, **KEEP}, {**ROWS, **OTHERS})), files)
    second = after(first, files)
    assert second.id == first.id, "nothing has happened since"
    edited = after(second, source({**BASE, "write": writes(path="/srv/new")}, ROWS))
    assert draining(edited) == {"edge-1": ["orders.keep.0"]}
    assert "orders.keep.0" not in said(second, edited)
    third = after(edited, files, ended={"edge-1": ("orders.keep.0",)})
    assert draining(third) == {}
    change = said(edited, third)["orders.keep.0"]
    assert (change.action, change.effect, change.reason) == ("delete", "none", "it has drained, and has ended")


def test_a_job_that_comes_back_does_not_drain_any_more() -> None:
    files = source({**BASE, **KEEP}, {**ROWS, **OTHERS})
    before = render(files)
    back = after(after(before, source(BASE, ROWS)), files)
    assert draining(back) == {}
    assert back.id == before.id


def test_a_workflow_that_goes_drains_from_its_stores_on() -> None:
    nothing = source(BASE, ROWS)
    del nothing["workflows/orders.yaml"]
    before = render(source(BASE, ROWS))
    rendering = after(before, nothing)
    assert draining(rendering) == {"edge-1": ["orders.write.0"]}


@pytest.mark.parametrize("drain_seconds", [0, 300])
def test_a_moved_reader_drains_what_only_its_old_machine_has(drain_seconds: int) -> None:
    before = render(source(BASE, ROWS, ONE))
    rendering = after(before, source(BASE, ROWS, TWO), drain_seconds=drain_seconds)
    if drain_seconds:
        assert draining(rendering) == {"edge-1": ["orders.write.0"]}
        assert said(before, rendering)["orders.write.0"].data.startswith(
            "it drains on `edge-1`: it reads what is left in /srv/store, for 5m at most, and ends"
        )
    else:
        assert draining(rendering) == {}
        assert "stays there" in said(before, rendering)["orders.write.0"].data


def test_a_moved_reader_goes_on_by_itself_where_the_store_is_shared() -> None:
    mounts = {"/srv/store": "shared"}
    before = render(source(BASE, ROWS, ONE, mounts=mounts))
    assert draining(after(before, source(BASE, ROWS, TWO, mounts=mounts))) == {}


def test_a_machine_that_is_only_renamed_drains_nothing() -> None:
    before = render(source(BASE, ROWS, ONE))
    assert draining(after(before, source(BASE, ROWS, {"north-1": machine(1)}))) == {}


def test_replicas_that_stay_read_what_those_that_go_have_not() -> None:
    many = {"read": reads(), "write": writes(path="/srv/${{ job.name }}", replicas=3)}
    few = {"read": reads(), "write": writes(path="/srv/${{ job.name }}")}
    assert draining(after(render(source(many, ROWS)), source(few, ROWS))) == {}


def test_a_channel_that_others_read_on_is_not_drained() -> None:
    before = render(source({**BASE, "archive": writes(path="/srv/archive")}, ROWS))
    rendering = after(before, source(BASE, ROWS))
    assert draining(rendering) == {}
    assert "is not delivered to it any more" in said(before, rendering)["orders.archive.0"].data


def filtered() -> Steps:
    """`count` speaks only stdin, so an adapter reads for it; what it says goes on over a `worker` channel."""
    count = step("std/exec", with_={"command": ["/usr/bin/nl"]}, in_="rows", out="counted")
    return {"read": reads(), "count": count, "last": writes("counted")}


def test_whoever_it_hands_events_to_drains_after_it() -> None:
    channels = {**ROWS, "counted": WORKER}
    before = render(source(filtered(), channels, ONE))
    rendering = after(before, source(filtered(), channels, TWO))
    assert draining(rendering) == {"edge-1": ["orders.count-in-rows.0", "orders.count.0", "orders.last.0"]}
    data = said(before, rendering)["orders.last.0"].data
    assert "it drains on `edge-1` with the jobs that it reads from, for 5m at most" in data
    assert "is lost" not in said(before, rendering)["orders.count.0"].data


def test_a_reader_that_reads_over_another_transport_drains_beside_itself_as_it_was() -> None:
    before = render(source(BASE, ROWS))
    rendering = after(before, source(BASE, {"rows": WORKER}))
    assert draining(rendering) == {"edge-1": ["orders.write-was.0"]}
    assert said(before, rendering)["orders.write.0"].data == (
        "as it was it drains beside itself, as `orders.write-was.0`: it reads what is left in /srv/store, "
        "for 5m at most, and ends"
    )
    earlier = files_of(rendering, "orders.write-was.0")
    document = json.loads(earlier["jobs/orders.write-was.0/job.json"])
    assert document["job"] == "orders.write-was.0"
    (end,) = document["runner"]["inputs"]["default"]
    assert (end["path"], end["cursor"]) == ("/srv/store", "0-was")
    unit = earlier["units/gitopsd-orders.write-was.0.service"]
    assert "launch.py orders.write-was.0\n" in unit
    assert "StateDirectory=gitopsd/state/orders.write-was.0\n" in unit
    assert "orders.write.0" not in unit
    back = after(rendering, source(BASE, ROWS))
    assert draining(back) == {}, "the job itself reads there again, from where that one was"
    elsewhere = after(rendering, source(BASE, {"rows": store("/srv/new")}))
    assert draining(elsewhere) == {"edge-1": ["orders.write-was.0"]}
    again = after(elsewhere, source(BASE, {"rows": WORKER}))
    assert draining(again) == {"edge-1": ["orders.write-was.0", "orders.write-was2.0"]}
    assert draining(after(again, source(BASE, {"rows": WORKER}), ended={"edge-1": ("orders.write-was.0",)})) == {
        "edge-1": ["orders.write-was2.0"]
    }


def test_its_position_in_a_bucket_is_its_own_too() -> None:
    """The job that it was may still be ending, and save where it is after the other one did."""
    before = render(source(BASE, {"rows": {"transport": "object-store", "bucket": "events"}}))
    rendering = after(before, source(BASE, {"rows": WORKER}))
    assert draining(rendering) == {"edge-1": ["orders.write-was.0"]}
    document = json.loads(files_of(rendering, "orders.write-was.0")["jobs/orders.write-was.0/job.json"])
    (end,) = document["runner"]["inputs"]["default"]
    assert (end["consumer"], end["cursor"]) == ("write", "0-was")


def nats(*servers: str) -> dict[str, Any]:
    return {"rows": {"transport": "nats", "servers": list(servers)}}


A, B, C, D = ("nats://10.0.0.1:4222", "nats://10.0.0.2:4222", "nats://10.0.0.3:4222", "nats://10.0.0.4:4222")


@pytest.mark.parametrize(
    "servers",
    [(A, B, C), (B,), (B, A), (B, C), ("nats://10.0.0.1",), ("tls://10.0.0.1:4222",)],
    ids=["one more", "one less", "another order", "one instead of another", "without the port", "over TLS"],
)
def test_a_list_of_the_same_clusters_servers_is_no_other_place(servers: tuple[str, ...]) -> None:
    before = render(source(BASE, nats(A, B)))
    rendering = after(before, source(BASE, nats(*servers)))
    assert draining(rendering) == {}
    assert {job: (one.effect, one.data) for job, one in said(before, rendering).items()} == {
        "orders.read.0": ("restart", ""),
        "orders.write.0": ("restart", ""),
    }


def test_servers_of_which_none_was_known_are_another_place() -> None:
    before = render(source(BASE, nats(A, B)))
    rendering = after(before, source(BASE, nats(C, D)))
    assert draining(rendering) == {"edge-1": ["orders.write-was.0"]}
    assert said(before, rendering)["orders.write.0"].data == (
        "as it was it drains beside itself, as `orders.write-was.0`: it reads what is left in the channel `rows`, "
        "for 5m at most, and ends"
    )
    grown = after(rendering, source(BASE, nats(B, C)))
    assert draining(grown) == {}, "the job itself reads both again"


def test_a_worker_channel_that_becomes_a_store_drains_nothing() -> None:
    assert draining(after(render(source(BASE, {"rows": WORKER})), source(BASE, ROWS))) == {}


def test_an_adapter_that_goes_drains_into_its_step_as_that_was() -> None:
    channels = {**ROWS, "counted": WORKER}
    before = render(source(filtered(), channels))
    rendering = after(before, source(filtered(), {**channels, "rows": WORKER}))
    assert draining(rendering) == {"edge-1": ["orders.count-in-rows.0", "orders.count-was.0"]}
    (end,) = json.loads(files_of(rendering, "orders.count-was.0")["jobs/orders.count-was.0/job.json"])["runner"][
        "inputs"
    ]["default"]
    assert end["channel"] == "production.orders.rows/in/count"
    data = said(before, rendering)["orders.count.0"].data
    assert "as it was it drains beside itself, as `orders.count-was.0` with the jobs that it reads from" in data


def test_a_program_of_ones_own_is_not_run_twice_and_what_it_leaves_is_said() -> None:
    own = {
        "blueprint": "own",
        "in": {"default": {"speaks": ["file-store", "worker"]}},
        "job": {"kind": "service", "exec": ["/usr/bin/own"]},
    }
    steps = {"read": reads(), "own": step("blueprints/own", in_="rows")}
    before = render(source(steps, ROWS, own=own))
    rendering = after(before, source(steps, {"rows": WORKER}, own=own))
    assert draining(rendering) == {}
    assert "what has not been read in /srv/store stays there" in said(before, rendering)["orders.own.0"].data


def files_of(rendering: Rendering, job: str) -> dict[str, str]:
    found = next(one for one in rendering.releases["edge-1"].jobs if one.name == job)
    return {path: file.data.decode() for path, file in rendering.files(found).items()}


def test_nothing_is_asked_of_a_lost_machine() -> None:
    both = {**ONE, **TWO}
    before = render(source(BASE, ROWS, ONE))
    assert draining(after(before, source(BASE, ROWS, both), lost=["edge-1"])) == {}


def test_a_machine_that_leaves_keeps_what_drains_there() -> None:
    before = render(source(BASE, ROWS, ONE))
    first = after(before, source(BASE, ROWS, TWO))
    assert first.workers["edge-1"].leaving
    ended = after(first, source(BASE, ROWS, TWO), ended={"edge-1": ("orders.write.0",)})
    assert ended.releases["edge-1"].jobs == ()
