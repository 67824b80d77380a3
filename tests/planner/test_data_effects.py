"""Each sentence against documents of jobs as they are rendered."""

import re
from pathlib import Path
from typing import Any

import pytest

import gitopsd.runner.lifecycle
from gitopsd.planner.plan.data_effects import DRAIN_SECONDS
from tests.planner.deployed import changes_between
from tests.planner.sources import WORKER, Steps, machine, reads, source, step, store, writes

BASE: Steps = {"read": reads(), "write": writes()}
ROWS = {"rows": store()}
TWO = {"edge-1": machine(1), "edge-2": machine(2)}


def effects(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, str]:
    """By job without its workflow, where there is one."""
    found = {job: change.data for job, change in changes_between(before, after).items()}
    return {job.removeprefix("orders."): said for job, said in found.items() if said}


def between(before: Steps, after: Steps, channels: Any = ROWS, after_channels: Any = None) -> dict[str, str]:
    return effects(source(before, channels), source(after, after_channels or channels))


def moved(steps: Steps, channels: Any = ROWS, **more: Any) -> dict[str, str]:
    """Everything from the machine `edge-1`, which is taken away, to `edge-2`."""
    return effects(
        source(steps, channels, {"edge-1": machine(1)}, **more), source(steps, channels, {"edge-2": machine(2)}, **more)
    )


def test_what_merely_restarts_has_no_effect() -> None:
    after = {"read": reads(glob="/srv/other/*"), "write": writes(path="/srv/elsewhere")}
    assert between(BASE, after) == {}
    assert between(BASE, after, {"rows": WORKER}) == {}


def test_the_first_deployment_has_no_effect() -> None:
    nothing = source(BASE, ROWS)
    del nothing["workflows/orders.yaml"]
    assert effects(nothing, source(BASE, ROWS)) == {}


REMOVED = "is not delivered to it any more, and is removed once the other steps have read it"
STAYS = (
    "stays in the stream, and so does what comes for it from now on, until its consumer is removed: the log of whoever "
    "writes there says how"
)


@pytest.mark.parametrize(
    ("channels", "where", "becomes"),
    [
        (ROWS, "/srv/store", REMOVED),
        ({"rows": {"transport": "object-store", "bucket": "events"}}, "the channel `rows`", REMOVED),
        ({"rows": {"transport": "nats"}}, "the channel `rows`", STAYS),
    ],
)
def test_a_consumer_that_goes_while_others_read_on(channels: dict[str, Any], where: str, becomes: str) -> None:
    before = {**BASE, "archive": writes(path="/srv/archive")}
    assert between(before, BASE, channels) == {"archive.0": f"what `archive` has not read in {where} {becomes}"}


def test_messages_are_stored_so_a_filter_that_is_restarted_between_them_loses_none() -> None:
    def flow(argument: str, workers: Any = None) -> dict[str, bytes]:
        filters = {"out": {"default": {"speaks": ["stdio"]}}, "job": {"kind": "once", "exec": ["/bin/a", argument]}}
        steps = {
            "begin": step("std/read-files", with_={"glob": "/srv/in/*"}, out="rows", signals="go"),
            "write": writes(),
            "run": step("blueprints/run", on={"message": "go"}, out="more", signals="done"),
            "keep": writes("more", "/srv/keep"),
            "end": step("blueprints/end", on={"message": "done"}),
        }
        ends = {"blueprint": "end", "job": {"kind": "once", "exec": ["/bin/b"]}}
        channels, messages = {"rows": WORKER, "more": WORKER}, {"go": WORKER, "done": WORKER}
        return source(
            steps, channels, workers, messages=messages, run={"blueprint": "run", **filters}, end=ends
        )  # fmt: skip

    assert effects(flow("1"), flow("2")) == {}
    said = effects(flow("1", {"edge-1": machine(1)}), flow("1", {"edge-2": machine(2)}))
    store = r"/var/lib/gitopsd/data/messages/[0-9a-f]{12}\.0"
    assert re.match(rf"what `end` has not read in {store} on `edge-1` stays there", said["end.0"])


def test_a_channel_that_goes_leaves_what_was_not_read() -> None:
    before = {**BASE, "more": reads("others"), "keep": writes("others", "/srv/keep")}
    channels = {**ROWS, "others": store("/srv/others")}
    assert between(before, BASE, channels, ROWS) == {
        "keep.0": "what `keep` has not read in /srv/others stays there, and nothing reads it any more"
    }


def test_a_store_at_another_path_leaves_events_at_the_old_one() -> None:
    assert between(BASE, BASE, ROWS, {"rows": store("/srv/new")}) == {
        "write.0": "`rows` is read from /srv/new now: what has not been read in /srv/store stays there"
    }


def test_a_store_that_becomes_a_worker_channel_leaves_what_was_not_read() -> None:
    assert between(BASE, BASE, ROWS, {"rows": WORKER}) == {
        "write.0": "`rows` is read over worker now: what has not been read in /srv/store stays there"
    }


def test_a_worker_channel_that_becomes_a_store_loses_nothing() -> None:
    (said,) = between(BASE, BASE, {"rows": WORKER}, ROWS).items()
    assert said[0] == "read.0"
    assert "goes over file-store now: what was under way is sent again" in said[1]


def test_other_replicas_take_over() -> None:
    few, many = writes(path="/srv/${{ job.name }}"), writes(path="/srv/${{ job.name }}", replicas=2)
    fewer = between({"read": reads(), "write": many}, {"read": reads(), "write": few})
    assert fewer["write.1"] == "what it has not read in /srv/store goes to the other replicas of `write`"
    assert "is shared out among 1 instead of 2 of `write`" in fewer["write.0"]
    more = between({"read": reads(), "write": few}, {"read": reads(), "write": many})
    assert more.keys() == {"write.0"}
    assert "is shared out among 2 instead of 1 of `write`" in more["write.0"]


def test_a_consumer_that_comes_begins_with_what_is_stored() -> None:
    after = {**BASE, "archive": writes(path="/srv/archive")}
    assert between(BASE, after) == {"archive.0": "`archive` begins with what is still stored in /srv/store"}


def test_segments_of_a_writer_that_goes_are_read_on() -> None:
    after = {"read": reads(), "write": writes()}
    before = {**after, "more": reads(glob="/srv/more/*")}
    assert between(before, after) == {
        "more.0": "what it wrote to /srv/store is still read there, and is not removed afterwards"
    }


def test_an_adapter_that_goes_leaves_what_it_had_not_read() -> None:
    steps = {"read": reads(), "count": step("std/exec", with_={"command": ["/usr/bin/wc"]}, in_="rows")}
    said = between(steps, steps, ROWS, {"rows": WORKER})
    assert said["count-in-rows.0"].startswith("what `count` has not read in /srv/store stays there")


def test_a_filter_forgets_what_nobody_took() -> None:
    def filters(word: str) -> Steps:
        cut = step("std/exec", with_={"command": ["/usr/bin/grep", word]}, in_="rows", out="found")
        return {"read": reads(), "cut": cut, "write": writes("found")}

    channels = {"rows": WORKER, "found": WORKER}
    (said,) = between(filters("a"), filters("b"), channels).items()
    assert said == (
        "cut.0",
        "what the filter has put out and `found` has not taken 5 s after the filter is told to stop is lost",
    )


def test_the_seconds_are_the_runners() -> None:
    text = Path(gitopsd.runner.lifecycle.__file__).read_text()
    assert re.search(rf"^DRAIN_SECONDS = {DRAIN_SECONDS}\.0$", text, re.MULTILINE)


def test_what_a_moved_job_leaves_behind() -> None:
    said = moved(BASE)
    assert said["read.0"] == (
        "its positions stay on `edge-1`, with what it has not read of /srv/in/* there; "
        "on `edge-2` it begins at the beginning of what it finds"
    )
    assert said["write.0"] == (
        "what `write` has not read in /srv/store on `edge-1` stays there; "
        "what it wrote to /srv/out stays on `edge-1`; here it begins a new file"
    )


def test_on_a_shared_mount_only_positions_stay_behind() -> None:
    said = moved(BASE, mounts={"/srv": "shared"})
    assert said == {
        "read.0": "its positions stay on `edge-1`: it reads /srv/in/* from the beginning, so all of that comes again"
    }


def test_a_machine_that_is_only_renamed_keeps_everything() -> None:
    before = source(BASE, ROWS, {"edge-1": machine(1)})
    assert effects(before, source(BASE, ROWS, {"north-1": machine(1)})) == {}


def test_workers_of_one_host_see_the_same_files_and_have_states_of_their_own() -> None:
    def on(worker: str) -> dict[str, bytes]:
        return source(BASE, ROWS, {worker: {"connection": "local", "service_manager": "supervisor"}})

    assert effects(on("local-1"), on("north-1")) == {
        "read.0": "its positions stay on `local-1`: it reads /srv/in/* from the beginning, so all of that comes again"
    }


def test_a_moved_filter_leaves_its_state_directory() -> None:
    count = step("std/exec", with_={"command": ["/usr/bin/wc"]}, in_="rows")
    transform = step("std/transform", with_={"actions": []}, in_="rows", out="clean")
    steps = {"read": reads(), "count": count, "transform": transform, "write": writes("clean")}
    said = moved(steps, {"rows": WORKER, "clean": WORKER})
    assert said["count.0"] == "what it keeps in its state directory stays on `edge-1`"
    assert "transform.0" not in said


@pytest.mark.parametrize(
    ("command", "said"),
    [("/bin/true", {}), ("/bin/false", {"job.0": "it runs again, from its beginning"})],
)
def test_a_job_of_the_kind_once_that_changed_runs_again(command: str, said: dict[str, str]) -> None:
    def once(command: str) -> dict[str, bytes]:
        blueprint = {"blueprint": "one", "job": {"kind": "once", "exec": [command]}}
        return source({"job": step("blueprints/one")}, {}, one=blueprint)

    assert effects(once("/bin/true"), once(command)) == said


def test_a_reader_that_runs_again_delivers_the_rest() -> None:
    before = {"read": reads(mode="once"), "write": writes()}
    after = {"read": reads(mode="once", glob="/srv/more/*"), "write": writes()}
    assert between(before, after) == {"read.0": "it runs again, and delivers only what it has not delivered yet"}


def test_what_was_read_is_not_read_again_in_another_format() -> None:
    assert between(BASE, {"read": reads(format="lines"), "write": writes()}) == {
        "read.0": "what it has read is not read again as `lines`"
    }
