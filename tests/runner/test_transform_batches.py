"""What `batch` and `dedupe` hold back or drop is acknowledged only when it, or what it is like, is safe."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from gitopsd.runner.flow import Counts, Receipt, settle, when_all
from gitopsd.runner.job import Context, Job
from gitopsd.runner.report import Reporter
from gitopsd.runner.roles import transform
from gitopsd.runner.roles.ports import Ports
from gitopsd.runner.settings import Settings
from tests.runner.no_input import NoInput
from tests.runner.station import DEADLINE, events, until

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from gitopsd.runner.flow import Assembly
    from tests.runner.station import Station
    from tests.runner.transports.kind import Transports


class _Waiting:
    """An output whose receipts are given by hand."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.receipts: list[Receipt[None]] = []

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    async def write(self, data: bytes) -> Receipt[None]:
        self.written.append(data)
        self.receipts.append(asyncio.get_running_loop().create_future())
        return self.receipts[-1]


def _job(tmp_path: Path, settings: dict[str, Any], output: _Waiting, *, is_trial: bool = False) -> Assembly:
    job = Job("o.shape.0", "transform", Settings(settings, "with"), {}, {}, tmp_path, tmp_path, is_trial=is_trial)
    context = Context(job, lambda work: work.close(), Reporter(job.name))
    return transform.assemble(context, Ports({"default": [NoInput()]}, {"default": [output]}), Counts())


def test_a_duplicate_is_acknowledged_when_the_first_one_is(tmp_path: Path) -> None:
    async def run() -> None:
        output = _Waiting()
        pump = _job(tmp_path, {"actions": [{"dedupe": "n"}]}, output).stages[0][0]
        await pump.deliver(b'{"n":1}\n')
        again = when_all(await pump.deliver(b'{"n":1}\n'))
        await asyncio.sleep(0)
        assert output.written == [b'{"n":1}\n']
        assert not again.done()
        settle(output.receipts[0])
        await asyncio.wait_for(again, DEADLINE)

    asyncio.run(run())


def test_an_event_is_acknowledged_when_every_batch_that_it_waits_for_is(tmp_path: Path) -> None:
    async def run() -> None:
        output = _Waiting()
        pump = _job(tmp_path, {"actions": [{"batch": 2}]}, output).stages[0][0]
        first = when_all(await pump.deliver(b"1\n"))
        second = when_all(await pump.deliver(b"2\n3\n"))
        assert output.written == [b'{"events":[1,2]}\n']
        settle(output.receipts[0])
        await asyncio.wait_for(first, DEADLINE)
        assert not second.done()
        assert pump.finish is not None
        await pump.finish()
        assert output.written == [b'{"events":[1,2]}\n', b'{"events":[3]}\n']
        settle(output.receipts[1])
        await asyncio.wait_for(second, DEADLINE)

    asyncio.run(run())


def test_a_trial_waits_for_what_it_holds_only_at_its_end(tmp_path: Path) -> None:
    async def run() -> None:
        output = _Waiting()
        pump = _job(tmp_path, {"actions": [{"batch": 2}]}, output, is_trial=True).stages[0][0]
        await asyncio.wait_for(when_all(await pump.deliver(b"1\n")), DEADLINE)
        full = when_all(await pump.deliver(b"2\n3\n"))
        assert pump.finish is not None
        end = asyncio.ensure_future(pump.finish())
        await asyncio.sleep(0)
        assert output.written == [b'{"events":[1,2]}\n', b'{"events":[3]}\n']
        settle(output.receipts[0])
        await asyncio.wait_for(full, DEADLINE)
        assert not end.done()
        settle(output.receipts[1])
        await asyncio.wait_for(end, DEADLINE)

    asyncio.run(run())


def test_a_batch_leaves_before_it_is_larger_than_a_frame(tmp_path: Path) -> None:
    async def run() -> None:
        output = _Waiting()
        pump = _job(tmp_path, {"actions": [{"batch": 1_000_000}]}, output).stages[0][0]
        await pump.deliver((b'"' + b"x" * 100_000 + b'"\n') * 25)
        assert [len(json.loads(written)["events"]) for written in output.written] == [11, 11]

    asyncio.run(run())


def test_a_batch_that_was_not_out_comes_again_and_a_stopped_job_sends_it(station: Station, worker: Transports) -> None:
    station.put("a", events(25))
    settings = {"actions": [{"remove": ["text"]}, {"batch": {"events": 10, "seconds": 3600}}]}
    job = station.runner(
        "o.shape.0",
        "transform",
        settings,
        inputs=[worker.input("shape")],
        outputs=[worker.output({"deliver": 1})],
    )
    consumer = station.start(station.writes([worker.input("deliver")]))
    producer = station.start(station.reads([worker.output({"shape": 1})]))
    shape = station.start(job)
    until(lambda: len(station.lines()) == 2, consumer, shape, producer)
    shape.kill()
    shape.wait()
    shape = station.start(job)
    until(lambda: len(station.lines()) == 4, consumer, shape, producer)
    assert shape.stop() == 0
    assert producer.finish() == 0
    until(lambda: len(station.lines()) == 5, consumer)
    batches = [[event["n"] for event in json.loads(line)["events"]] for line in station.lines()]
    assert batches[2:] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]


def test_a_batch_that_does_not_fill_leaves_after_its_time(station: Station, worker: Transports) -> None:
    station.put("a", events(3))
    job = station.runner(
        "o.shape.0",
        "transform",
        {"actions": [{"remove": ["text"]}, {"batch": {"events": 1000, "seconds": 0.2, "into": "all"}}]},
        inputs=[worker.input("shape")],
        outputs=[worker.output({"deliver": 1})],
    )
    running = [station.start(job), station.start(station.writes([worker.input("deliver")]))]
    producer = station.start(station.reads([worker.output({"shape": 1})]))
    assert producer.finish() == 0, producer.said()
    until(lambda: station.written() == b'{"all":[{"n":0},{"n":1},{"n":2}]}\n', *running)


def test_events_go_where_their_routes_say(every_python: Station, worker: Transports) -> None:
    station = every_python
    station.put("a", events(1000) + b"7\n")
    job = station.runner(
        "o.shape.0",
        "transform",
        {"actions": [{"remove": ["text"]}], "route": {"low": "n < `300`", "last": "n == `999`"}},
        inputs=[worker.input("shape")],
        outputs={port: [worker.output({port: 1})] for port in ("default", "low", "last", "error")},
    )
    running = [
        station.start(job),
        *[
            station.start(station.writes([worker.input(port)], job=f"o.{port}.0"))
            for port in ("default", "low", "last", "error")
        ],
    ]
    producer = station.start(station.reads([worker.output({"shape": 1})]))
    assert producer.finish() == 0, producer.said()

    def lines(numbers: range) -> bytes:
        return b"".join(b'{"n":%d}\n' % number for number in numbers)

    until(lambda: station.written("o.low.0") == lines(range(300)), *running)
    until(lambda: station.written("o.default.0") == lines(range(300, 999)), *running)
    until(lambda: station.written("o.last.0") == lines(range(999, 1000)), *running)
    until(lambda: b"not a JSON object" in station.written("o.error.0"), *running)
    assert [process.stop() for process in running] == [0] * 5


TWICE = """
import json, sys
for line in sys.stdin:
    event = json.loads(line)
    event["n"] *= 2
    print(json.dumps(event) if event["n"] % 6 else "", flush=True)
"""


def test_a_program_between_actions_answers_each_event_in_order(every_python: Station, worker: Transports) -> None:
    station = every_python
    station.put("a", events(30_000, filler=200))
    actions = [
        {"filter": "n < `20000`"},
        {"exec": ["python3", "-c", TWICE]},
        {"remove": ["text"]},
        {"exec": ["python3", "-c", TWICE]},
    ]
    job = station.runner(
        "o.shape.0",
        "transform",
        {"actions": actions},
        inputs=[worker.input("shape")],
        outputs=[worker.output({"deliver": 1})],
    )
    running = [station.start(job), station.start(station.writes([worker.input("deliver")]))]
    producer = station.start(station.reads([worker.output({"shape": 1})]))
    assert producer.finish() == 0, producer.said()
    until(lambda: station.written() == b"".join(b'{"n": %d}\n' % (n * 4) for n in range(20_000) if n % 3), *running)
    assert [process.stop() for process in running] == [0, 0]
    assert "hasn't ended in time" not in running[0].said()


def test_events_come_again_when_a_program_dies(station: Station, worker: Transports) -> None:
    station.put("a", events(5))
    fails_once = "import os, sys; os.path.exists('was') or (open('was', 'w'), sys.exit(3))\n" + TWICE
    job = station.runner(
        "o.shape.0",
        "transform",
        {"actions": [{"remove": ["text"]}, {"exec": ["python3", "-c", fails_once]}]},
        inputs=[worker.input("shape")],
        outputs=[worker.output({"deliver": 1})],
    )
    consumer = station.start(station.writes([worker.input("deliver")]))
    producer = station.start(station.reads([worker.output({"shape": 1})]))
    shape = station.start(job)
    assert shape.finish() == 3
    assert "python3 failed with exit code 3" in shape.said()
    shape = station.start(job)
    assert producer.finish() == 0, producer.said()
    until(lambda: station.written() == b"".join(b'{"n": %d}\n' % (n * 2) for n in range(5) if n % 3), consumer, shape)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys\nfor line in sys.stdin: print(line)", "wrote more than one line for a line"),
        ("import sys\nfor line in sys.stdin: pass", "didn't answer 5 events within 0.5 s"),
        ("input()", "ended by itself"),
    ],
)
def test_a_program_that_does_not_answer_line_by_line_fails_the_job(
    station: Station, worker: Transports, program: str, said: str
) -> None:
    station.put("a", events(5))
    job = station.runner(
        "o.shape.0",
        "transform",
        {"actions": [{"exec": {"command": ["python3", "-uc", program], "seconds": 0.5}}]},
        inputs=[worker.input("shape")],
        outputs=[worker.output({"deliver": 1})],
    )
    station.start(station.reads([worker.output({"shape": 1})]))
    shape = station.start(job)
    assert shape.finish() == 1
    assert said in shape.said()
