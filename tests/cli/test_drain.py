"""Changes while events are on their way, with real jobs on the built-in worker: no event is lost."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.operator import Operator, eventually

SLOW = "import sys, time\nfor line in sys.stdin:\n  time.sleep(0.002)\n  sys.stdout.write(line)\n  sys.stdout.flush()\n"
EVENTS = 1_500
FILLER = "x" * 2_000
"""So large that a filter holds few of them: what it holds when it is told to stop is its own to finish in time."""

WORKER = {"transport": "worker"}


class Flow:
    """The workflow `flow`: read → rows → slow → slowed → write, below `data`. Its events are numbers."""

    def __init__(self, operator: Operator, data: Path) -> None:
        self.operator = operator
        self.data = data
        for name in ("in", "out"):
            (data / name).mkdir(parents=True)
        operator.git("rm", "--quiet", "workflows/roundtrip.yaml")
        operator.write(
            {"gitopsd.yaml": json.dumps({"environments": {"local": {"fleet": "fleets/local.yaml"}}})},
        )

    @property
    def store(self) -> dict[str, str]:
        return {"transport": "file-store", "path": str(self.data / "store")}

    def declare(
        self, rows: Mapping[str, str], *, readers: int = 1, slow: str = "std/exec", slowed: Mapping[str, str] = WORKER
    ) -> None:
        def step(use: str, replicas: int = 1, **more: Any) -> dict[str, Any]:
            return {"use": use, "place": {"group": "local", "replicas": replicas}, **more}

        out = f"{self.data}/out"
        how = {"command": ["python3", "-c", SLOW]} if slow == "std/exec" else {}
        steps = {
            "read": step("std/read-files", with_={"glob": f"{self.data}/in/*", "mode": "tail"}, out="rows"),
            "slow": step(slow, readers, with_=how, in_="rows", out="slowed"),
            "write": step("std/write-files", readers, with_={"path": out}, in_="slowed" if slow else "rows"),
        }
        channels = {"rows": dict(rows), "slowed": dict(slowed)}
        if not slow:
            del steps["slow"], channels["slowed"]
        named = {name: {key.rstrip("_"): value for key, value in one.items()} for name, one in steps.items()}
        workflow = {"workflow": "flow", "steps": named, "channels": channels}
        self.operator.write({"workflows/flow.yaml": json.dumps(workflow)})
        self.operator.commit("Another flow")

    def remove(self) -> None:
        self.operator.git("rm", "--quiet", "workflows/flow.yaml")
        self.operator.write({"workflows/other.yaml": json.dumps(other(self.data))})
        self.operator.commit("Without the flow")

    def put(self, count: int, start: int = 0) -> None:
        lines = "".join(json.dumps({"n": number, "text": FILLER}) + "\n" for number in range(start, start + count))
        (self.data / "in" / f"{start}.jsonl").write_text(lines)

    def stored(self) -> int:
        """How many events were ever written to the store."""
        writers = [[one.name for one in path.glob("*.jsonl")] for path in (self.data / "store/segments").glob("*")]
        newest = [max(names).split("-") for names in writers if names]
        return sum(int(first) + int(count) for _, first, count, _ in newest)

    def out(self) -> list[int]:
        """The numbers that came out, each as often as it did; a line that is being written isn't one yet."""
        texts = [path.read_text() for path in self.data.glob("out/*.jsonl")]
        return [json.loads(line)["n"] for text in texts for line in text.split("\n")[:-1]]

    def is_under_way(self) -> None:
        """All is in the store, and only a part of it came out."""
        eventually("all is stored", lambda: self.stored() == EVENTS)
        eventually("something came out", lambda: bool(self.out()))
        assert len(set(self.out())) < EVENTS, "too late: nothing is left in the store"

    def all_came_out(self, count: int = EVENTS) -> None:
        eventually(f"all {count} came out", lambda: set(self.out()) == set(range(count)))


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


def states(operator: Operator) -> dict[str, str]:
    return {one["job"]: one["state"] for one in operator.run("workloads", "--json").json}


def test_what_is_stored_for_a_step_that_goes_is_read_to_the_end(flow: Flow) -> None:
    operator = flow.operator
    flow.put(EVENTS)
    flow.declare(flow.store)
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
    why = operator.run("why", "local-1/flow.write.0").stdout
    assert "flow.write.0: it drains until" in why or "flow.write.0: it has drained" in why
    flow.all_came_out()
    eventually("all have ended", lambda: "draining" not in states(operator).values())
    assert operator.run("reconcile", "--dry-run").code == 0, "one that has ended is no drift"
    assert "flow.write.0: it has drained" in operator.run("status", "--exit-code").stdout
    assert "drained on local-1" in operator.run("reconcile").stdout
    assert "it has drained, and has ended" in operator.run("plan").stdout
    operator.run("apply")
    assert {job.partition(".")[0] for job in states(operator)} == {"other"}
    assert "No changes" in operator.run("plan").stdout
    operator.run("audit")


def test_a_rollback_in_the_middle_loses_nothing(flow: Flow) -> None:
    operator = flow.operator
    flow.put(EVENTS)
    flow.declare(flow.store)
    operator.run("apply")
    flow.is_under_way()
    flow.remove()
    operator.run("apply", "--confirm-deletes")
    flow.put(100, start=EVENTS)
    operator.run("rollback")
    operator.run("apply", "--confirm-deletes")
    assert "draining" not in states(operator).values()
    flow.all_came_out(EVENTS + 100)
    assert "No changes" in operator.run("plan").stdout


def test_replicas_that_come_and_go_lose_nothing(flow: Flow) -> None:
    operator = flow.operator
    readers = (2, 3, 1)
    flow.put(EVENTS)
    flow.declare(flow.store, readers=readers[0])
    operator.run("apply")
    flow.is_under_way()
    for number, count in enumerate(readers[1:], start=1):
        flow.put(EVENTS, start=number * EVENTS)
        flow.declare(flow.store, readers=count)
        operator.run("apply", "--confirm-deletes")
    flow.all_came_out(len(readers) * EVENTS)


def test_a_change_of_transport_and_back_loses_nothing(flow: Flow) -> None:
    """From a `worker` channel to a store nothing is left behind; the way back, an earlier form of the step drains."""
    operator = flow.operator
    flow.put(EVENTS)
    flow.declare(WORKER)
    operator.run("apply")
    eventually("something came out", lambda: bool(flow.out()))
    flow.declare(flow.store)
    operator.run("apply")
    flow.put(EVENTS, start=EVENTS)
    eventually("the rest is stored", lambda: 2 * EVENTS - len(set(flow.out())) <= flow.stored())
    flow.declare(WORKER)
    assert "it drains beside itself, as `flow.slow-was.0`" in operator.run("plan").stdout
    operator.run("apply", "--confirm-deletes")
    found = states(operator)
    assert {found["flow.slow-was.0"], found["flow.slow-in-rows.0"]} <= {"draining", "drained"}
    assert found["flow.slow.0"] == "running"
    flow.put(EVENTS, start=2 * EVENTS)
    flow.all_came_out(3 * EVENTS)
    eventually("it has drained", lambda: "draining" not in states(operator).values())
    operator.run("reconcile")
    operator.run("apply")
    assert "flow.slow-was.0" not in states(operator)


def test_the_earlier_form_of_a_step_that_writes_to_a_store_writes_beside_the_next_one(flow: Flow) -> None:
    """A store has one writer of each name: what drains waits for nobody."""
    operator, kept = flow.operator, {"transport": "file-store", "path": str(flow.data / "kept")}
    flow.declare(flow.store, slow="std/transform", slowed=kept)
    operator.run("apply")
    (keep,) = [one["main_pid"] for one in operator.run("workloads", "--json").json if one["job"] == "flow.slow.0"]
    os.kill(keep, signal.SIGSTOP)
    flow.put(EVENTS)
    eventually("all is stored", lambda: flow.stored() == EVENTS)
    flow.declare(WORKER, slow="std/transform", slowed=kept)
    operator.run("apply", "--confirm-deletes")
    flow.put(EVENTS, start=EVENTS)
    flow.all_came_out(2 * EVENTS)
    eventually("it has drained", lambda: "draining" not in states(operator).values())
    writers = {path.name for path in (flow.data / "kept/segments").iterdir()}
    assert writers == {"flow.slow.0", "flow.slow-was.0"}
