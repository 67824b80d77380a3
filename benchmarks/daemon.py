"""From a push to what runs, by a daemon that has its connections open; and what a daemon takes while nothing happens.

As root: `python -m benchmarks.daemon [--machines 1 20 100] [--rounds 5] [--idle 120] [--simulated 1000]`.

The machines are real (systemd, sshd); the daemon is a process of its own over a bare repository on this machine. A
round changes one file of one of five jobs on every machine. Times are from before `git push` is run, by the daemon's
own events. The simulated workers answer at the protocol of hosts inside the daemon's process: see simulated_workers.py.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.fleet_work import Work
from benchmarks.processes import environment
from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.control_socket.client import ask, find_leader
from gitopsd.daemon.controller.control_socket.protocol import FollowVersion, Leader
from tests.fleet.machines import Fleet

if TYPE_CHECKING:
    from tests.fleet.machine import Machine

_SECONDS = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class _NoMachine:
    """What a fleet file needs of one."""

    address: str
    client_key: Path
    host_key: str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBLXJtXRn0ZrBfDG3YlGCfhYWYhxXlrXvaFyyWVPEcHD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Seconds since before the push: until Git returned, the deployment was committed, the first and the last worker
    was seen to run it.
    """

    pushed: float
    committed: float
    first: float
    last: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, nargs="*", default=[1, 20, 100])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=float, default=120.0, help="seconds, with a look at all workers every 30 s")
    parser.add_argument("--simulated", type=int, default=1000)
    options = parser.parse_args()
    print(f"{'workers':>16} {'push s':>7} {'commit s':>9} {'first s':>8} {'all s':>8} {'CPU ms each':>12}", end="")
    print(f" {'idle CPU %':>11} {'MB':>7} {'threads':>8}")
    for count in options.machines:
        with tempfile.TemporaryDirectory() as folder, Fleet.start(count, timeout=900) as fleet:
            work = Work(home=Path(folder), machines=dict(fleet))
            work.make_repository()
            measure(work, count, options.rounds, options.idle, f"{count} real")
    if options.simulated:
        with tempfile.TemporaryDirectory() as folder:
            work = simulated(Path(folder), options.simulated)
            measure(work, options.simulated, options.rounds, options.idle, f"{options.simulated} simulated")


def measure(work: Work, workers: int, rounds: int, idle: float, name: str) -> None:
    bare = work.home / "fleet.git"
    git(work.repository, "clone", "--quiet", "--bare", ".", str(bare))
    git(work.repository, "remote", "add", "origin", str(bare))
    socket = work.home / "control.sock"
    work.config.write_text(
        f"{work.config.read_text() if work.config.exists() else ''}repository: {bare}\n"
        f"listen: {{control: {socket}}}\nintervals: {{poll: 30s, reconcile: 30s}}\n"
    )
    with daemon(work, simulated="simulated" in name) as process:
        leader = wait_for_leader(bare, socket)
        follow(leader, git(work.repository, "rev-parse", "HEAD"))
        pushes = [push(work, leader, process.pid, workers) for _ in range(rounds)]
        cpu = idle_cpu(process.pid, idle)
        megabytes, threads = takes(process.pid)
    figures = ("pushed", "committed", "first", "last")
    columns = [statistics.median(getattr(one, figure) for one in pushes) for figure in figures]
    each = 1000 * statistics.median(one.cpu for one in pushes) / workers
    print(f"{name:>16} {columns[0]:7.2f} {columns[1]:9.2f} {columns[2]:8.2f} {columns[3]:8.2f} {each:12.2f}", end="")
    print(f" {100 * cpu:11.2f} {megabytes:7.0f} {threads:8}", flush=True)


def push(work: Work, leader: Leader, pid: int, workers: int) -> Push:
    work.next_round(unit=False)
    commit = git(work.repository, "rev-parse", "HEAD")
    cpu, started = cpu_seconds(pid), time.time()
    told: list[events.Event] = []
    following = threading.Thread(target=lambda: told.extend(follow(leader, commit)))
    git(work.repository, "push", "--quiet", "origin", "HEAD")
    pushed = time.time() - started
    following.start()
    following.join(_SECONDS)
    results = [one for one in told if isinstance(one, events.WorkerEnded)]
    ended = [one.at - started for one in results if one.result.state == "converged"]
    committed = next(one.at - started for one in told if isinstance(one, events.Committed))
    if len(ended) != workers:
        raise RuntimeError(f"{len(ended)} of {workers} workers converged")
    used = cpu_seconds(pid) - cpu
    return Push(pushed=pushed, committed=committed, first=min(ended), last=max(ended), cpu=used)


def follow(leader: Leader, commit: str) -> Sequence[events.Event]:
    return list(ask(FollowVersion(repository=leader.repository, source=commit), Path(leader.socket), deadline=_SECONDS))


@contextmanager
def daemon(work: Work, *, simulated: bool) -> Iterator["subprocess.Popen[bytes]"]:
    module = ["benchmarks.simulated_daemon"] if simulated else ["gitopsd", "--config"]
    with (work.home / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *module, str(work.config), *([] if simulated else ["daemon"])],
            env=environment(work.home, PYTHONPATH=str(Path(__file__).parents[1])),
            cwd=work.home,  # a repository around the current directory would come before the configured one
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_for_leader(bare: Path, socket: Path) -> Leader:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = find_leader(f"file://{bare}", str(socket))
        if found is not None and found.environments:
            return found
        time.sleep(0.1)
    raise RuntimeError(f"the daemon doesn't lead: {(bare.parent / 'daemon.log').read_text()}")


def simulated(home: Path, workers: int) -> Work:
    """A repository as for real machines, of workers that nobody reaches."""
    (home / "key").write_text("no key")
    machines = {
        f"w-{number:04}": _NoMachine(address=f"127.1.{number // 250}.{number % 250 + 1}", client_key=home / "key")
        for number in range(workers)
    }
    work = Work(home=home, machines=cast("dict[str, Machine]", machines))
    work.make_repository()
    return work


def idle_cpu(pid: int, seconds: float) -> float:
    """CPU seconds a second."""
    if not seconds:
        return 0.0
    before, started = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - started)


def cpu_seconds(pid: int) -> float:
    """Of the process and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS  # proc(5): utime, stime, cutime, cstime


def takes(pid: int) -> tuple[float, int]:
    """Megabytes and threads."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024, int(fields["Threads"])


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
