"""The controller's side of the machines of tests/fleet: targets, activations, what runs there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gitopsd.fleet import verbs
from gitopsd.fleet.target import SshSettings, Target
from gitopsd.model.facts import Owner
from tests.agent.releases import OWNER

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitopsd.fleet.connection import WorkerConnection
    from gitopsd.fleet.protocol import Activation
    from gitopsd.model.facts import Observation
    from tests.agent.releases import TestRelease
    from tests.fleet.machine import Machine

SYSTEM = "/etc/systemd/system"
ROOT = "/var/lib/gitopsd"


def target_of(machine: Machine, **changes: Any) -> Target:
    """The machine as a fleet file would describe it; changes replace fields of the Target."""
    fields: dict[str, Any] = {
        "name": machine.name,
        "address": machine.address,
        "port": machine.port,
        "user": "root",
        "host_key": machine.host_key,
        "owner": Owner(**OWNER),
    }
    return Target(**{**fields, **changes})


def settings_for(machine: Machine, **changes: Any) -> SshSettings:
    return SshSettings(**{"identity": (str(machine.client_key),), **changes})


def activate(
    connection: WorkerConnection,
    release: TestRelease,
    before: TestRelease | None = None,
    deadline: float = 60.0,
    **options: Any,
) -> Activation:
    """Send what `before` does not have, and activate; options are those of the verb."""
    index, payload = release.payload(before)
    manifest = [(entry.path, entry.mode, entry.blob) for entry in release.entries]
    sent = ([(blob, size) for blob, size in index], payload)
    return verbs.activate(connection, release.id, manifest, sent, deadline, **options)


def pids(state: Observation) -> dict[str, int]:
    return {unit: shown.main_pid for unit, shown in state.units.items()}


def active(state: Observation) -> dict[str, str]:
    return {unit: shown.active for unit, shown in state.units.items()}


def unit(job: str) -> str:
    return f"gitopsd-{job}.service"


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.1)


def lines(machine: Machine, *argv: str) -> list[str]:
    """What a command prints inside the machine, whatever its exit code."""
    output: str = machine.run(list(argv), check=False).stdout
    return output.splitlines()


def starts(machine: Machine, job: str) -> list[str]:
    """The versions that a job was started with, in order."""
    return lines(machine, "cat", f"{ROOT}/state/{job}/starts")
