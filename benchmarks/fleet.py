"""Deploying to a fleet of real systemd machines, beside Ansible, pyinfra and a bare OpenSSH tar pipe, in one run.

As root: `python -m benchmarks.fleet [--machines N] [--rounds N] [--peer-rounds N] [--without ansible pyinfra]`.
The same machines, the same 20 files of 41 KB and 5 units, of which each round changes one: see fleet_work.py. CPU is
that of the controller's side alone, with its child processes. Medians over the rounds; all ways take turns in a round.
"""

import argparse
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from benchmarks import fleet_peers as peers
from benchmarks.fleet_clock import Sample, median, resident_megabytes, timed
from benchmarks.fleet_ours import Controller, controller
from benchmarks.fleet_report import report
from benchmarks.fleet_work import Work
from gitopsd.fleet.fanout import THREADS
from tests.fleet.base_image import cache_folder
from tests.fleet.machines import Fleet

Samples = dict[str, list[Sample]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-rounds", type=int, default=2, help="of Ansible and pyinfra, which take their time")
    parser.add_argument("--without", nargs="*", default=[], choices=["ansible", "pyinfra"])
    arguments = parser.parse_args()
    tools: dict[str, Path] = {}
    for name, requirement in (("ansible", peers.ANSIBLE), ("pyinfra", peers.PYINFRA)):
        if name not in arguments.without:
            say(f"{name}: installing")
            tools[name] = peers.installed(requirement, cache_folder().parent / "benchmarks")
    say(f"booting {arguments.machines} machines")
    with tempfile.TemporaryDirectory() as folder, Fleet.start(arguments.machines, timeout=600) as fleet:
        work = Work(home=Path(folder), machines=dict(fleet))
        work.make_repository()
        samples, notes = measure(work, tools, rounds=arguments.rounds, peer_rounds=arguments.peer_rounds)
    report(arguments.machines, {name: median(taken) for name, taken in samples.items()}, notes)


def measure(work: Work, tools: dict[str, Path], *, rounds: int, peer_rounds: int) -> tuple[Samples, list[str]]:
    samples: Samples = {}

    def take(name: str, function: Callable[[], Sample]) -> None:
        samples.setdefault(name, []).append(function())
        say(f"{name}: {samples[name][-1].wall:.3f} s, {samples[name][-1].cpu:.3f} s CPU")

    say("the first apply")
    first = timed(work.apply)
    say(f"{first.wall:.1f} s; preparing the others")
    peers.prepare(work)
    with controller(work) as ours, tempfile.TemporaryDirectory(dir="/tmp", prefix="cm") as sockets:
        cold = peers.OpenSsh(work=work, sockets=Path(sockets))
        with peers.kept_connections(work, Path(sockets)) as warm:
            for number in range(rounds + 1):
                if number == 1:
                    samples.clear()  # the first opened connections and filled caches
                one_round(work, ours, warm, cold, take)
        notes = [
            f"the first apply to fresh machines, agents and releases sent: {first.wall:.2f} s, {first.cpu:.2f} s CPU",
            (
                f"this process with {len(work.machines)} open connections: {resident_megabytes():.0f} MB, "
                f"{threading.active_count()} threads ({THREADS} more while a fan-out runs)"
            ),
        ]
    for name, run in (("ansible", peers.ansible), ("pyinfra", peers.pyinfra)):
        if name in tools:
            package = {"ansible": "ansible-core"}.get(name, name)
            notes.append(f"{package} {peers.version(tools[name], package)}")
            for _ in range(peer_rounds):
                work.next_round(unit=True)
                work.apply()
                with tempfile.TemporaryDirectory() as folder:
                    take(name, lambda: run(work, tools[name], Path(folder)))  # noqa: B023 -- called at once
    return samples, notes


def one_round(
    work: Work,
    ours: Controller,
    warm: peers.OpenSsh,
    cold: peers.OpenSsh,
    take: Callable[[str, Callable[[], Sample]], None],
) -> None:
    for unit, name in ((False, "same units"), (True, "a changed unit")):
        work.next_round(unit=unit)
        ours.commit()
        take(f"gitopsd warm, {name}", ours.deploy)
        take("gitopsd confirm", ours.confirm)
        take("openssh warm", warm.deploy)
        work.next_round(unit=unit)
        take(f"gitopsd apply, {name}", lambda: timed(work.apply))
        take("openssh cold", cold.deploy)
    take("gitopsd apply, nothing", lambda: timed(work.apply))
    ours.commit()
    ours.compare()  # notices what the applies of other processes did meanwhile
    take("gitopsd nothing, warm", ours.compare)
    take("openssh nothing, warm", warm.compare)


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
