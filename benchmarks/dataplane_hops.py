"""One hop over a transport by itself: a process that gives events, one that takes and acknowledges them, no files.

What other transports need for a row is `measure`, with the two ends of a channel as job.json has them. The processes
run this module: `python -m benchmarks.dataplane_hops give|take`, with a `Task` as JSON on stdin.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.runner import ended
from gitopsd.runner import transports
from gitopsd.runner.job import Context, Job
from gitopsd.runner.lines import read_lines
from gitopsd.runner.report import Reporter
from gitopsd.runner.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gitopsd.runner.flow import Output, Receipt

TICK_SECONDS = 0.01
_SHARES = {"median_ms": 0.5, "p99_ms": 0.99}
_STAMP = b'{"at":'
_MOST_RECEIPTS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`rate`: events a second, 0 for as fast as it goes. The source is read again when it ends."""

    end: dict[str, Any]
    run: str
    state: str
    source: str
    events: int
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """`seconds` from the first event given to the last acknowledgement; the rest is of both processes together."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    median_ms: float
    p99_ms: float


def measure(first: dict[str, Any], last: dict[str, Any], source: Path, events: int, rate: float = 0) -> Hop:
    """Bring `events` from the producer's end of a channel to its consumer's end."""
    with tempfile.TemporaryDirectory(prefix="gb-") as run:

        def task(end: dict[str, Any], side: str) -> Task:
            return Task(end=end, run=run, state=f"{run}/{side}", source=str(source), events=events, rate=rate)

        taker = start("take", task(last, "take"))
        giver = None
        try:
            assert taker.stdout is not None
            assert taker.stdout.readline() == b"ready\n"
            giver = start("give", task(first, "give"))
            assert giver.stdout is not None
            given = json.loads(giver.stdout.readline())
            taken = json.loads(taker.stdout.readline())
            usages = [ended(giver), ended(taker)]
        finally:
            for process in (taker, giver):
                if process is not None and process.poll() is None:
                    process.kill()
    return Hop(
        seconds=given["seconds"],
        cpu_seconds=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        peak_bytes=sum(usage.ru_maxrss for usage in usages) * 1024,
        median_ms=taken["median_ms"],
        p99_ms=taken["p99_ms"],
    )


def start(side: str, task: Task) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.dataplane_hops", side]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(task)).encode())
    process.stdin.close()
    return process


def _context(name: str, task: Task) -> Context:
    Path(task.state).mkdir(exist_ok=True)
    sockets = Path(task.run) / "s"
    sockets.mkdir(exist_ok=True)
    running: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        running.add(asyncio.ensure_future(work))

    job = Job(name, "bench", Settings({}, "with"), {}, {}, Path(task.state), sockets)
    return Context(job, spawn, Reporter(name))


async def _give(task: Task) -> None:
    outputs = transports.make_outputs(Settings(task.end, "end"), _context("b.give.0", task))
    for output in outputs:
        await output.open()
    began = time.monotonic()
    await (_paced(task, outputs) if task.rate else _as_fast_as_it_goes(task, outputs))
    print(json.dumps({"seconds": time.monotonic() - began}), flush=True)
    for output in outputs:
        await output.close()


async def _as_fast_as_it_goes(task: Task, outputs: list[Output]) -> None:
    receipts: deque[Receipt[None]] = deque()
    fd = os.open(task.source, os.O_RDONLY)
    offset = given = 0
    while given < task.events:
        data = read_lines(fd, offset)
        if not data:
            offset = 0
            continue
        offset += len(data)
        data, count = _at_most(data, task.events - given)
        given += count
        for output in outputs:
            receipts.append(await output.write(data))
        while len(receipts) > _MOST_RECEIPTS or (receipts and receipts[0].done()):
            await receipts.popleft()
        await asyncio.sleep(0)
    os.close(fd)
    for receipt in receipts:
        await receipt


async def _paced(task: Task, outputs: list[Output]) -> None:
    """The first and the last event of each tick say when they were given."""
    with open(task.source, "rb") as file:  # noqa: ASYNC230, PTH123 -- before anything runs
        lines = file.readlines(8 * 1024 * 1024)
    twice, starts = b"".join(lines * 2), [0, *accumulate(map(len, lines * 2))]
    loop = asyncio.get_running_loop()
    began, given, receipts = loop.time(), 0, deque[Any]()
    while given < task.events:
        due = min(int((loop.time() - began) * task.rate), task.events) - given
        due = min(due, len(lines))  # the machine may have had something else to do
        if due:
            at = given % len(lines)
            stamp = b'{"at":%d,"text":"%s"}\n' % (time.monotonic_ns(), b"x" * 170)
            data = stamp + twice[starts[at] : starts[at + due - 2]] + stamp if due > 1 else stamp
            given += due
            receipts += [await output.write(data) for output in outputs]
            while receipts and receipts[0].done():
                receipts.popleft()
        await asyncio.sleep(TICK_SECONDS)
    for receipt in receipts:
        await receipt


async def _take(task: Task) -> None:
    source = transports.make_input(Settings(task.end, "end"), _context("b.take.0", task))
    await source.open()
    print("ready", flush=True)
    taken, late = 0, list[int]()
    async for batch in source.batches():
        now = time.monotonic_ns()
        taken += batch.data.count(b"\n")
        late += _late(batch.data, now) if task.rate else []
        batch.acknowledge()
        if taken >= task.events:
            break
    await asyncio.sleep(0.2)  # what was acknowledged last is on its way
    source.stop()
    await source.close()
    late.sort()
    shares = {name: late[int(len(late) * share)] / 1e6 if late else 0.0 for name, share in _SHARES.items()}
    print(json.dumps({**shares}), flush=True)


def _late(data: bytes, now: int) -> list[int]:
    """Nanoseconds since each stamp of a batch."""
    late, at = list[int](), data.find(_STAMP)
    while at >= 0:
        at += len(_STAMP)
        late.append(now - int(data[at : data.index(b",", at)]))
        at = data.find(_STAMP, at)
    return late


def _at_most(data: bytes, events: int) -> tuple[bytes, int]:
    count = data.count(b"\n")
    if count <= events:
        return data, count
    return b"".join(data.splitlines(keepends=True)[:events]), events


if __name__ == "__main__":
    _task = Task(**json.load(sys.stdin))
    asyncio.run(_give(_task) if sys.argv[1] == "give" else _take(_task))
