"""All machines of all fleets draw on one budget of the kernel's, that of root on this machine."""

from pathlib import Path

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
# A machine takes about 10; Debian's default of 128 ends at a dozen machines. This is room for all slots at once.
ENOUGH = 8192


def raise_limit() -> None:
    """Never lowers it, and leaves it raised: another fleet may have come to depend on it meanwhile."""
    if int(INSTANCES.read_text()) < ENOUGH:
        INSTANCES.write_text(str(ENOUGH))
