"""A daemon under pushes, faults and reverts for as long as one likes: what it takes must not grow.

`GITOPSD_SOAK_SECONDS` says how long: a minute on landings, half an hour by `make soak`. Prints the curve.
"""

import os
import random
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.controller.daemon_process import Site, daemon, wait_for_deployment
from tests.daemon.controller.two_programs import RUNS, two_programs
from tests.operator import eventually

SECONDS = float(os.environ.get("GITOPSD_SOAK_SECONDS", "60"))
SAMPLES = 40
GROWTH_MEGABYTES = 12.0
INTERVALS = {"poll": "100ms", "reconcile": "150ms"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the daemon takes at a moment: seconds since the begin, megabytes resident, and counts."""

    at: float
    memory: float
    threads: int
    descriptors: int
    repository: float
    state: float
    deployments: int
    cycles: int


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from two_programs(tmp_path)


def sample(site: Site, pid: int, started: float) -> Sample:
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    state = state_of(site)
    return Sample(
        at=time.monotonic() - started,
        memory=int(fields["VmRSS"].split()[0]) / 1024,
        threads=int(fields["Threads"]),
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        repository=megabytes(site.bare),
        state=megabytes(site.operator.home / "state/gitopsd/controller"),
        deployments=max(site.deployments(), default=0),
        cycles=sum(one["cycles"] for one in state["environments"].values()),
    )


def state_of(site: Site) -> dict[str, Any]:
    """What the daemon says of itself, however long a busy machine keeps it from that."""
    said: dict[str, Any] = {}

    def says_it() -> bool:
        said.update(site.state())
        return "environments" in said

    eventually("it says how it is", says_it)
    return said


def megabytes(folder: Path) -> float:
    total = 0
    for place, _, names in os.walk(folder):  # which passes over folders that are gone by then
        for name in names:
            try:
                total += (Path(place) / name).stat().st_size
            except FileNotFoundError:
                continue  # a lock or a pack that has gone meanwhile
    return total / 1e6


class Trouble:
    """One disturbance after the other, drawn by chance, the same each time."""

    def __init__(self, site: Site, pid: int) -> None:
        self._site = site
        self._pid = pid
        self._random = random.Random(1)  # noqa: S311 - chance, no secret
        self._pushed = 0

    def make(self) -> None:
        some = (self.push, self.push, self.push, self.revert, self.typo, self.kill, self.edit, self.reload)
        self._random.choice(some)()

    def push(self) -> None:
        self._pushed += 1
        self._site.operator.write({"files/orders.sh": RUNS + f"# {self._pushed}\n"})
        self._site.operator.commit(f"Version {self._pushed}")
        self._site.push()

    def revert(self) -> None:
        identity = ["-c", "user.name=Operator", "-c", "user.email=operator@example.invalid"]
        self.push()
        self._site.operator.git(*identity, "revert", "--no-edit", "HEAD")
        self._site.push()

    def typo(self) -> None:
        path = self._site.operator.folder / "workflows/alerts.yaml"
        good = path.read_text()
        self._site.operator.write({"workflows/alerts.yaml": good.replace("steps", "stpes")})
        self._site.operator.commit("A typo")
        self._site.push()
        self._site.operator.write({"workflows/alerts.yaml": good})
        self.push()

    def kill(self) -> None:
        for job in self._jobs():
            os.kill(job, signal.SIGKILL)

    def edit(self) -> None:
        for path in (self._site.operator.home / "state/gitopsd").glob("*/current/jobs/orders.main.0/files/run"):
            path.chmod(0o755)
            path.write_text("#!/bin/sh\nexec sleep 4000\n")

    def reload(self) -> None:
        os.kill(self._pid, signal.SIGHUP)

    def _jobs(self) -> list[int]:
        """Processes of jobs of this very test."""
        mark = str(self._site.operator.home).encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in path.read_bytes() and b"sleep" in (path.parent / "cmdline").read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue  # gone, or another user's
        return found


def test_what_a_daemon_takes_does_not_grow(site: Site) -> None:
    site.configure(intervals=INTERVALS)
    samples: list[Sample] = []
    with daemon(site) as process:
        wait_for_deployment(site, 1)
        started, trouble = time.monotonic(), Trouble(site, process.pid)
        while (now := time.monotonic() - started) < SECONDS:
            trouble.make()
            if now >= len(samples) * SECONDS / SAMPLES:
                samples.append(sample(site, process.pid, started))
            time.sleep(min(1.0, SECONDS / 100))  # the pace of the disturbances, no wait for anything
        trouble.push()
        newest = site.operator.git("rev-parse", "HEAD")
        eventually("the last version is deployed", lambda: site.outcome().get("source") == newest, timeout=120)
        eventually("and runs", lambda: site.rolled_out(max(site.deployments())), timeout=120)
        samples.append(sample(site, process.pid, started))
    print(table(samples))
    early, late = samples[len(samples) // 4 : len(samples) // 2], samples[3 * len(samples) // 4 :]
    for what, most in (("memory", GROWTH_MEGABYTES), ("threads", 2), ("descriptors", 80), ("state", 1.0)):
        before, after = (statistics.median(getattr(one, what) for one in some) for some in (early, late))
        assert after - before <= most, f"{what} grew from {before:g} to {after:g}\n{table(samples)}"


def table(samples: list[Sample]) -> str:
    names = Sample.__slots__
    rows = [[f"{getattr(one, name):.1f}".removesuffix(".0") for name in names] for one in samples]
    return "\n".join("  ".join(cell.rjust(11) for cell in row) for row in [list(names), *rows])
