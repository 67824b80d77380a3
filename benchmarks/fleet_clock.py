"""Wall time, and the CPU of this process, its ended children and processes that go on running beside it."""

import os
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

THREADS = 32  # at once, for everything that is measured here in threads of our own
_TICKS = os.sysconf("SC_CLK_TCK")

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    wall: float
    cpu: float


def timed(function: Callable[[], object], beside: Iterable[int] = ()) -> Sample:
    """`beside`: ids of processes whose CPU counts as well."""
    others = tuple(beside)
    started, cpu = time.perf_counter(), _cpu(others)
    function()
    return Sample(wall=time.perf_counter() - started, cpu=_cpu(others) - cpu)


def median(samples: Sequence[Sample]) -> Sample:
    return Sample(
        wall=statistics.median(one.wall for one in samples), cpu=statistics.median(one.cpu for one in samples)
    )


def each(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(function, items))


def resident_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _cpu(others: Sequence[int]) -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used) + sum(_of_process(pid) for pid in others)


def _of_process(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS  # proc(5): utime and stime
