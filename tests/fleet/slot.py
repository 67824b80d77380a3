"""A numbered share of this machine for one fleet at a time: its subnet, names, folder, and the sweep of what is left.

A slot is owned for as long as its lock file stays locked. The kernel drops the lock when the owner dies, however it
died, so a slot that can be locked has no living owner and whatever still carries its number is left over.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.fleet import cgroups, nspawn_notes
from tests.fleet.mounts import mount_tmpfs, unmount_below
from tests.fleet.network import Network

STATE = Path("/run/gitopsd-fleet")
SLOTS = range(1, 255)


class NoSlotError(Exception):
    """All slots are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    number: int
    lock: IO[str]

    @property
    def folder(self) -> Path:
        return STATE / str(self.number)

    @property
    def network(self) -> Network:
        return Network(slot=self.number)

    @property
    def name_prefix(self) -> str:
        return self.network.name_prefix

    def furnish(self) -> None:
        """The folder is a tmpfs: machines write a lot and keep nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        mount_tmpfs(self.folder, size="60%")
        self.network.create_bridge()

    def clear(self) -> None:
        """Remove everything that carries this slot's number; harmless when there is nothing."""
        for group in cgroups.groups_with_prefix(self.name_prefix):
            cgroups.kill(group)
            cgroups.remove(group)
        self.network.remove()
        nspawn_notes.forget(name_prefix=self.name_prefix, roots=self.folder.glob("*/root"))
        unmount_below(self.folder)
        if self.folder.is_dir():
            self.folder.rmdir()  # never a whole tree: were a shared folder still mounted in it, that would go too

    def release(self) -> None:
        self.lock.close()


def claim() -> Slot:
    """The first free slot, swept."""
    sweep()
    for number in SLOTS:
        slot = try_lock(number)
        if slot is None:
            continue
        slot.clear()
        if slot.network.is_free():
            return slot
        slot.release()
    raise NoSlotError(f"all {len(SLOTS)} fleet slots are taken; see who holds them: fuser {STATE}/*.lock")


def sweep() -> list[int]:
    """Clear the slots whose owners are dead; the numbers of those that had something left."""
    cleared = []
    for folder in STATE.glob("*"):
        slot = try_lock(int(folder.name)) if folder.name.isdigit() else None
        if slot is not None:
            slot.clear()
            slot.release()
            cleared.append(slot.number)
    return cleared


def try_lock(number: int) -> Slot | None:
    """The slot, owned by this process until it's released; None while someone else owns it."""
    STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    # Never deleted: two processes could otherwise hold locks on two files of the same name.
    lock = (STATE / f"{number}.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")  # for people; the lock itself is what counts
    lock.flush()
    return Slot(number=number, lock=lock)
