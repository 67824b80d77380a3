"""Machines to develop against.

python -m tests.fleet up 3        boots three, prints them as JSON, takes them down on Ctrl-C or SIGTERM
python -m tests.fleet image       makes the images of workers and controllers, and prints their folders
python -m tests.fleet sweep       removes what killed owners left behind
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from tests.fleet.base_image import base_image
from tests.fleet.controller_image import controller_image
from tests.fleet.machines import Fleet, Machine
from tests.fleet.requirements import missing
from tests.fleet.slot import sweep


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fleet", description="Real systemd machines to develop against."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="boot machines, print them as JSON, stay until Ctrl-C or SIGTERM")
    up.add_argument("count", type=int, nargs="?", default=1)
    up.add_argument("--name", action="append", default=[], help="a name in place of worker-N; repeat for more machines")
    up.add_argument("--shared", action="append", default=[], metavar="INSIDE=FOLDER", help="a directory all see as one")
    up.add_argument("--data-size", help="/var/lib/gitopsd as a disk of its own, of this size: 16m")
    image = commands.add_parser("image", help="make the images and print their folders")
    for command in (up, image):
        command.add_argument("--suite", help="another release than this machine runs, from the same mirror: trixie")
    commands.add_parser("sweep", help="remove what killed owners left behind")
    arguments = parser.parse_args()
    reason = missing()
    if reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    match arguments.command:
        case "up":
            stay_up(arguments)
        case "image":
            sys.stdout.write(f"{base_image(arguments.suite)}\n")
            if arguments.suite is None:
                sys.stdout.write(f"{controller_image()}\n")
        case "sweep":
            sys.stdout.write(f"cleared slots: {sweep() or 'none'}\n")
    return 0


def stay_up(arguments: argparse.Namespace) -> None:
    shared = {
        inside: Path(folder).resolve() for inside, _, folder in (pair.partition("=") for pair in arguments.shared)
    }
    with Fleet.start(
        arguments.count, names=arguments.name, shared=shared, data_size=arguments.data_size, suite=arguments.suite
    ) as fleet:
        sys.stdout.write(json.dumps([described(machine) for machine in fleet.values()], indent=2) + "\n")
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass  # the way to end it


def described(machine: Machine) -> dict[str, str | int]:
    return {
        "name": machine.name,
        "address": machine.address,
        "port": machine.port,
        "host_key": machine.host_key,
        "client_key": str(machine.client_key),
        "root": str(machine.root),
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
