"""What jobs say of the events that pass them, on a person's terminal."""

import msgspec

from gitopsd.cli.traffic_text import channel_rows, standstills
from gitopsd.daemon.status.workloads import Workload
from gitopsd.model.facts import Away, InputTraffic, JobTraffic, OutputTraffic
from tests.operator import Operator, eventually


def workload(*, age: float = 1.0, stalled: float = 0.0, blocked: float = 0.0, away: Away | None = None) -> Workload:
    into = InputTraffic(
        port="default", channel="raw", events=9, bytes=90, done=2, waiting=1200, stalled=stalled, away=away
    )
    out = OutputTraffic(port="default", channel="good", events=2, bytes=20, blocked=blocked)
    traffic = JobTraffic(age=age, pid=7, read=9, done=2, failed=0, inputs=(into,), outputs=(out,))
    job = "orders.clean.0"
    return Workload(
        worker="edge-1", job=job, state="running", main_pid=7, restarts=0, since=None, current=True, traffic=traffic
    )


def test_a_stuck_consumer_and_a_full_channel_are_named() -> None:
    assert list(standstills(workload())) == []
    assert list(standstills(workload(stalled=42.0))) == [
        "edge-1/orders.clean.0: stuck on `raw` for 42 s (7 under way, 1,200 waiting)"
    ]
    (full,) = standstills(workload(blocked=61.0))
    assert full.startswith("edge-1/orders.clean.0: `good` has taken nothing for 61 s")


def test_who_is_waited_for_is_named_instead_of_what_stands_still_for_it() -> None:
    away = Away(message="waiting for the NATS servers of raw (nats://a): refused", seconds=42.4)
    assert list(standstills(workload(stalled=42.0, away=away))) == [
        "edge-1/orders.clean.0: waiting for the NATS servers of raw (nats://a): refused (42 s)"
    ]
    assert list(standstills(workload(age=3600.0, away=away))) == []


def test_what_lies_in_a_store_is_told_of_each_step_that_reads_it() -> None:
    one = workload()
    assert one.traffic is not None
    known = msgspec.structs.replace(one.traffic.outputs[0], consumers={"keep": 1200, "archive.pack": None})
    traffic = msgspec.structs.replace(one.traffic, outputs=(known,))
    into, out = channel_rows(msgspec.structs.replace(one, traffic=traffic))
    assert (into[3], into[-1]) == ("in", "1,200")
    assert (out[3], out[-1]) == ("out", "- for archive.pack, 1,200 for keep")


def test_a_job_that_is_not_up_says_why_it_failed() -> None:
    one = workload(age=3600.0)
    assert one.traffic is not None
    failed = msgspec.structs.replace(one.traffic, error="the secret nats_login isn't text")
    line = "edge-1/orders.clean.0: it failed: the secret nats_login isn't text"
    for state, said in (("activating", [line]), ("failed", [line]), ("draining", [line]), ("running", [])):
        assert list(standstills(msgspec.structs.replace(one, traffic=failed, state=state))) == said


def test_what_a_process_said_that_is_gone_is_no_standstill() -> None:
    assert list(standstills(workload(age=3600.0, stalled=42.0, blocked=42.0))) == []


def test_workloads_show_the_events_that_passed(operator: Operator) -> None:
    operator.run("apply")
    (operator.folder / "data/in/events").write_text('{"n": 1}\n{"n":2}\n')

    def done() -> bool:
        return [
            one["traffic"]["done"] for one in operator.run("workloads", "--json").json if one["traffic"] is not None
        ] == [2, 2]

    eventually("both jobs say that both events are through", done)
    shown = operator.run("workloads", "--channels").stdout.splitlines()
    assert shown[0].split() == ["WORKER", "JOB", "PORT", "CHANNEL", "EVENTS", "BYTES", "WAITING"]
    rows = [line.split() for line in shown[1:]]
    assert [(row[1], row[3], row[5]) for row in rows] == [
        ("roundtrip.collect.0", "out", "2"),
        ("roundtrip.deliver.0", "in", "2"),
    ]
    assert [line.split()[-1] for line in operator.run("workloads").stdout.splitlines()[1:]] == ["2", "2"]
