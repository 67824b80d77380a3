"""Changes while events are on their way, with real jobs on the built-in worker: no event is lost, over any store."""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cli.stores import STORES, Nats, Store
from tests.nats_server import cluster
from tests.operator import Operator, eventually

SLOW = """
import os, sys, time
for line in sys.stdin:
    if not os.path.exists(sys.argv[1]):
        time.sleep(0.1)
    sys.stdout.write(line)
    sys.stdout.flush()
"""
"""Until the file is there it takes much longer for what is stored than a change does."""

EVENTS = 200
FILLER = "x" * 8_000
"""So large that a filter holds few of them: what it holds when it is told to stop is its own to finish in time."""

MOST_REPEATED = 32
"""Events that may come twice in a change: a message, or two segments. What is stopped in good order repeats nothing."""

WORKER = {"transport": "worker"}


class Flow:
    """The workflow `flow`: read → rows → slow → slowed → write, below `data`. Its events are numbers."""

    def __init__(self, operator: Operator, data: Path) -> None:
        self.operator = operator
        self.data = data
        self.quick = data / "quick"
        for name in ("in", "out"):
            (data / name).mkdir(parents=True)
        operator.git("rm", "--quiet", "workflows/roundtrip.yaml")
        operator.write(
            {"gitopsd.yaml": json.dumps({"environments": {"local": {"fleet": "fleets/local.yaml"}}})},
        )

    def declare(
        self, rows: Mapping[str, Any], *, readers: int = 1, slow: str = "std/exec", slowed: Mapping[str, Any] = WORKER
    ) -> None:
        def step(use: str, replicas: int = 1, **more: Any) -> dict[str, Any]:
            return {"use": use, "place": {"group": "local", "replicas": replicas}, **more}

        out = f"{self.data}/out"
        how = {"command": ["python3", "-c", SLOW, str(self.quick)]} if slow == "std/exec" else {}
        steps = {
            "read": step("std/read-files", with_={"glob": f"{self.data}/in/*", "mode": "tail"}, out="rows"),
            "slow": step(slow, readers, with_=how, in_="rows", out="slowed"),
            "write": step("std/write-files", readers, with_={"path": out}, in_="slowed"),
        }
        named = {name: {key.rstrip("_"): value for key, value in one.items()} for name, one in steps.items()}
        workflow = {"workflow": "flow", "steps": named, "channels": {"rows": dict(rows), "slowed": dict(slowed)}}
        self.operator.write({"workflows/flow.yaml": json.dumps(workflow)})
        self.operator.commit("Another flow")

    def remove(self) -> None:
        self.operator.git("rm", "--quiet", "workflows/flow.yaml")
        self.operator.write({"workflows/other.yaml": json.dumps(other(self.data))})
        self.operator.commit("Without the flow")

    def put(self, count: int, start: int = 0) -> None:
        lines = "".join(json.dumps({"n": number, "text": FILLER}) + "\n" for number in range(start, start + count))
        (self.data / "in" / f"{start}.jsonl").write_text(lines)

    def is_stored(self) -> bool:
        """Whether all that was put is acknowledged to the step that reads it: then it is in the channel after it."""
        texts = [path.read_text() for path in self.operator.home.glob("**/state/flow.read.0/positions.json")]
        done = {one["path"]: one["offset"] for text in texts for one in json.loads(text)["files"]}
        return all(done.get(str(one)) == one.stat().st_size for one in self.data.glob("in/*"))

    def out(self) -> list[int]:
        """The numbers that came out, each as often as it did; a line that is being written isn't one yet."""
        texts = [path.read_text() for path in self.data.glob("out/*.jsonl")]
        return [json.loads(line)["n"] for text in texts for line in text.split("\n")[:-1]]

    def is_under_way(self) -> None:
        """All is in the store, and only a part of it came out."""
        eventually("all is stored", self.is_stored)
        eventually("something came out", lambda: bool(self.out()))
        assert len(set(self.out())) < EVENTS, "too late: nothing is left in the store"

    def all_came_out(self, count: int = EVENTS, most_repeated: int = MOST_REPEATED) -> None:
        self.quick.touch()
        eventually(f"all {count} came out", lambda: set(self.out()) == set(range(count)))
        assert len(self.out()) - count <= most_repeated


def other(data: Path) -> dict[str, Any]:
    """A workflow that stays where `flow` goes."""
    place = {"group": "local"}
    (data / "other").mkdir(exist_ok=True)
    steps = {
        "read": {
            "use": "std/read-files",
            "with": {"glob": f"{data}/other/*", "mode": "tail"},
            "out": "x",
            "place": place,
        },
        "write": {"use": "std/write-files", "with": {"path": f"{data}/out2"}, "in": "x", "place": place},
    }
    return {"workflow": "other", "steps": steps, "channels": {"x": WORKER}}


@pytest.fixture
def flow(operator: Operator, tmp_path: Path) -> Flow:
    return Flow(operator, tmp_path / "data")


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, flow: Flow) -> Iterator[Store]:
    made = STORES[request.param](flow.operator, flow.data)
    yield made
    made.close()


@pytest.fixture
def stores(flow: Flow) -> Iterator[Mapping[str, Store]]:
    made = {name: kind(flow.operator, flow.data) for name, kind in STORES.items()}
    yield made
    for store in made.values():
        store.close()


def states(operator: Operator) -> dict[str, str]:
    return {one["job"]: one["state"] for one in operator.run("workloads", "--json").json}


def is_told_to_end(process: int) -> bool:
    """Whether SIGTERM waits for a process that is stopped."""
    pending = Path(f"/proc/{process}/status").read_text().partition("ShdPnd:")[2].split()[0]
    return bool(int(pending, 16) & 1 << (signal.SIGTERM - 1))


def has_drained(operator: Operator) -> None:
    """Whatever drains ends by itself, long before its deadline."""
    eventually("all has drained", lambda: "draining" not in states(operator).values())


def test_what_is_stored_for_a_step_that_goes_is_read_to_the_end(flow: Flow, store: Store) -> None:
    operator = flow.operator
    flow.put(EVENTS)
    flow.declare(store.channel("rows"))
    operator.run("apply")
    flow.is_under_way()
    flow.remove()
    plan = operator.run("plan").stdout
    assert "held flow.slow-in-rows.0: deleting it drains it" in plan
    assert "it reads what is left in" in plan
    operator.run("apply", "--confirm-deletes")
    found = states(operator)
    assert {found[f"flow.{step}.0"] for step in ("slow-in-rows", "slow", "write")} <= {"draining", "drained"}
    assert "flow.read.0" not in found
    flow.all_came_out()


def test_a_rollback_in_the_middle_and_replicas_that_come_and_go_lose_nothing(flow: Flow, store: Store) -> None:
    operator = flow.operator
    flow.put(EVENTS)
    flow.declare(store.channel("rows"), readers=2)
    operator.run("apply")
    flow.is_under_way()
    flow.remove()
    operator.run("apply", "--confirm-deletes")
    flow.put(EVENTS, start=EVENTS)
    operator.run("rollback")
    operator.run("apply", "--confirm-deletes")
    assert "draining" not in states(operator).values()
    flow.quick.touch()
    for number, readers in ((2, 3), (3, 1)):
        flow.put(EVENTS, start=number * EVENTS)
        flow.declare(store.channel("rows"), readers=readers)
        operator.run("apply", "--confirm-deletes")
    flow.all_came_out(4 * EVENTS, most_repeated=4 * MOST_REPEATED)
    assert "No changes" in operator.run("plan").stdout


def test_changes_of_transport_lose_nothing(flow: Flow, stores: Mapping[str, Store]) -> None:
    """From a `worker` channel to a store nothing is left behind; of each store, an earlier form of a step drains."""
    operator = flow.operator
    flow.put(EVENTS)
    flow.declare(WORKER)
    operator.run("apply")
    eventually("something came out", lambda: bool(flow.out()))
    nats, object_store, file_store = (stores[name].channel("rows") for name in ("nats", "object-store", "file-store"))
    earlier = ("", "flow.slow-in-rows-was.0", "flow.slow-in-rows-was2.0", "flow.slow-was.0")
    for number, (rows, drains) in enumerate(zip((nats, object_store, file_store, WORKER), earlier, strict=True), 1):
        flow.declare(rows)
        plan = operator.run("plan").stdout
        assert "it drains" not in plan if not drains else f"it drains beside itself, as `{drains}`" in plan
        operator.run("apply", "--confirm-deletes")
        flow.put(EVENTS, start=number * EVENTS)
        if rows is not WORKER:
            eventually("all is stored", flow.is_stored)
    # what a `worker` channel had under way is read again from its source
    flow.all_came_out(5 * EVENTS, most_repeated=EVENTS + 3 * MOST_REPEATED)
    why = operator.run("why", f"local-1/{earlier[1]}").stdout
    assert f"{earlier[1]}: it drains until" in why or f"{earlier[1]}: it has drained" in why
    has_drained(operator)
    assert operator.run("reconcile", "--dry-run").code == 0, "one that has ended is no drift"
    assert f"{earlier[1]}: it has drained" in operator.run("status", "--exit-code").stdout
    assert "drained on local-1" in operator.run("reconcile").stdout
    assert "it has drained, and has ended" in operator.run("plan").stdout
    operator.run("apply")
    assert set(states(operator)) == {"flow.read.0", "flow.slow.0", "flow.write.0"}
    assert "No changes" in operator.run("plan").stdout
    operator.run("audit")


def test_a_server_that_takes_the_place_of_another_one_is_of_the_same_cluster(flow: Flow) -> None:
    """Nothing drains, and the step reads on from where it was, also when the other server is gone for good."""
    operator, servers = flow.operator, cluster(flow.data)
    try:
        one, two = ([server.url for server in some] for some in (servers[:2], servers[1:]))
        channel = {"transport": "nats", "replicas": 3, "ack_wait": "2s"}
        flow.put(EVENTS)
        flow.declare({**channel, "servers": one})
        operator.run("apply")
        flow.is_under_way()
        flow.declare({**channel, "servers": two})
        assert "drains" not in operator.run("plan").stdout
        operator.run("apply")
        assert set(states(operator)) == {"flow.read.0", "flow.slow.0", "flow.slow-in-rows.0", "flow.write.0"}
        servers[0].kill()
        flow.put(EVENTS, start=EVENTS)
        # the adapter that was restarted delivers again what its slow step still has in its hands
        flow.all_came_out(2 * EVENTS, most_repeated=EVENTS + MOST_REPEATED)
    finally:
        for server in servers:
            server.kill()


def test_a_job_that_is_kept_from_draining_is_named_with_the_reason(flow: Flow) -> None:
    operator = flow.operator
    store = Nats(operator, flow.data)
    try:
        flow.put(EVENTS)
        flow.declare(store.channel("rows"))
        operator.run("apply")
        flow.is_under_way()
        flow.remove()
        operator.run("apply", "--confirm-deletes")
        store.server.kill()
        store.server.configure("authorization { users: [{user: gitopsd, password: another}] }")
        store.server.start()
        job = "flow.slow-in-rows.0"

        def said(*command: str) -> list[str]:
            """Whether it waits for the servers, or has begun only now and failed."""
            found = operator.run(*command)
            lines = (found.stdout + found.stderr).splitlines()
            return [line for line in lines if job in line and "Authorization Violation" in line]

        eventually("it is kept from it", lambda: bool(said("status")))
        (line,) = said("status")
        assert line.startswith(f"local-1: {job}: it drains until nothing is left for it, for 5m at most; ")
        assert said("why", "local-1")
        assert said("workloads")
        next_ = "mend what keeps its jobs from draining, before their time is over"
        assert next_ in operator.run("why", f"local-1/{job}").stdout
    finally:
        store.close()


def test_the_earlier_form_of_a_step_that_writes_to_a_store_writes_beside_the_next_one(flow: Flow, store: Store) -> None:
    """It reads to the end what a process that was killed had in its hands, and waits for no other writer.

    That one hangs, and is killed before its time to end is over only so that this takes less.
    """
    operator, kept = flow.operator, store.channel("kept")
    flow.declare(store.channel("rows"), slow="std/transform", slowed=kept)
    operator.run("apply")
    (keep,) = [one["main_pid"] for one in operator.run("workloads", "--json").json if one["job"] == "flow.slow.0"]
    os.kill(keep, signal.SIGSTOP)
    flow.put(EVENTS)
    eventually("all is stored", flow.is_stored)
    flow.declare(WORKER, slow="std/transform", slowed=kept)
    with ThreadPoolExecutor() as pool:
        applying = pool.submit(operator.run, "apply", "--confirm-deletes")
        eventually("it is told to end", lambda: is_told_to_end(keep))
        os.kill(keep, signal.SIGKILL)
        applying.result()
    flow.put(EVENTS, start=EVENTS)
    flow.all_came_out(2 * EVENTS)
    has_drained(operator)
