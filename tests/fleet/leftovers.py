"""What a fleet would leave behind if it were not taken down properly."""

from tests.fleet import cgroups, slot
from tests.fleet.mounts import mounts_below
from tests.fleet.network import Network
from tests.fleet.nspawn_notes import NOTES


def leftovers(number: int) -> list[str]:
    """The traces of a slot that nobody owns: none, after its fleet was taken down or swept."""
    locked = slot.try_lock(number)
    if locked is None:
        return []  # someone else's by now: slots are handed on at once
    found = traces(number)
    locked.release()
    return found


def traces(number: int) -> list[str]:
    """Everything on this machine that carries the slot's number, in words."""
    network = Network(slot=number)
    folder = slot.STATE / str(number)
    groups = cgroups.groups_with_prefix(network.name_prefix)
    return [
        *(f"mount {target}" for target in mounts_below(folder)),
        *(f"network namespace {name}" for name in network.namespaces()),
        *(f"interface {name}" for name in network.interfaces()),
        *(f"cgroup {name}" for name in groups),
        *(f"process {pid}" for name in groups for pid in cgroups.processes(name)),
        *(f"note {note}" for note in (NOTES / "propagate").glob(f"{network.name_prefix}*")),
        *([f"folder {folder}"] if folder.exists() else []),
    ]
