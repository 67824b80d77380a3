"""Fleets of real systemd machines: each with its own disk, network, identity and control group.

Used as `with Fleet.start(3) as fleet: fleet["worker-1"].run(["systemctl", "is-active", "ssh"])`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fleet import inotify, interruption, keys
from tests.fleet.assembly import Assembly
from tests.fleet.base_image import base_image
from tests.fleet.controller_image import controller_image
from tests.fleet.machine import BOOT_DEADLINE, Machine
from tests.fleet.network import MOST
from tests.fleet.readiness import BootError
from tests.fleet.slot import Slot, claim

__all__ = ["Fleet", "Machine"]


class Fleet(Mapping[str, Machine]):
    """Machines by name, in order; they reach each other and this machine, and nothing else."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._machines: dict[str, Machine] = {}
        self._stopped = False

    @classmethod
    def start(
        cls,
        count: int = 1,
        *,
        names: Sequence[str] = (),
        shared: Mapping[str, Path] | None = None,
        data_size: str | None = None,
        suite: str | None = None,
        controllers: Collection[str] = (),
        timeout: float = BOOT_DEADLINE,
    ) -> Self:
        """Boot `count` machines `worker-1` ..., or those of `names`; on return all are up, or none is left.

        `shared` maps paths inside to directories here that all the machines see as one. `data_size` ("16m") makes
        /var/lib/gitopsd a disk of its own of that size; `suite` is the release that they run, another one than this
        machine's. `controllers` are those of the names that have what a controller needs, but for gitopsd itself.
        Raises BootError, with the units that failed.
        """
        wanted = tuple(names) or tuple(f"worker-{number}" for number in range(1, count + 1))
        if len(set(wanted)) != len(wanted):
            raise ValueError(f"machine names must differ: {', '.join(wanted)}")
        if not 1 <= len(wanted) <= MOST:
            raise ValueError(f"a fleet has 1 to {MOST} machines, not {len(wanted)}")
        images = {name: controller_image() if name in controllers else base_image(suite) for name in wanted}
        inotify.raise_limit()
        fleet = cls(claim())
        interruption.on_exit(fleet.stop)
        try:
            fleet._assemble(images, shared or {}, data_size)
            fleet._boot(timeout)
        except BaseException:
            fleet.stop()
            raise
        return fleet

    @property
    def client_key(self) -> Path:
        """The private key that logs in as root on every machine."""
        return self._slot.folder / "client_key"

    @property
    def gateway(self) -> str:
        """This machine's own address as the fleet sees it."""
        return self._slot.network.gateway

    def stop(self) -> None:
        """Take everything down; safe to call again, also after it was interrupted itself."""
        if self._stopped:
            return
        for machine in self.values():
            machine.container.strike()
        for machine in self.values():
            machine.power_off()
        self._slot.clear()
        self._slot.release()
        self._stopped = True
        interruption.withdraw(self.stop)

    def _assemble(self, images: Mapping[str, Path], shared: Mapping[str, Path], data_size: str | None) -> None:
        names = list(images)
        self._slot.furnish()
        keys.generate(self.client_key, comment="fleet")
        assembly = Assembly(
            slot=self._slot,
            images=images,
            names=names,
            client_key=self.client_key,
            shared=shared,
            data_size=data_size,
        )
        for number, name in enumerate(names):
            self._machines[name] = assembly.assemble(number)

    def _boot(self, timeout: float) -> None:
        machines = list(self.values())
        for machine in machines:
            machine.switch_on()
        with ThreadPoolExecutor(max_workers=len(machines)) as waiting:
            try:
                failed = list(waiting.map(lambda machine: machine.wait_until_up(timeout=timeout), machines))
            except BaseException:
                # Off first: whoever still waits for one of them then learns so at once, and doesn't hold us up.
                for machine in machines:
                    machine.power_off()
                raise
        degraded = [
            f"{machine.name}: {', '.join(units)}" for machine, units in zip(machines, failed, strict=True) if units
        ]
        if degraded:
            raise BootError(f"units failed on fresh machines: {'; '.join(degraded)}")

    def __getitem__(self, name: str) -> Machine:
        return self._machines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._machines)

    def __len__(self) -> int:
        return len(self._machines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
