"""Whether anything may have happened to the units of jobs, for a tenth of what `systemctl show` costs.

Asked is systemd itself, with the one message that lists units; what that doesn't show, the links to invocations, the
directories that every `daemon-reload` makes anew, the files of the units, and those that timers touch when they start a
job do.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256

from . import unitfiles
from .manager_bus import list_units
from .systemd import PATTERNS, TIMERS

_INVOCATIONS = "/run/systemd/units"  # systemd-journald reads them, too: `invocation:UNIT` -> its id
_GENERATED = ("/run/systemd", *(f"/run/systemd/generator{suffix}" for suffix in ("", ".early", ".late")))


def unit_marks() -> bytes | None:
    """Something that stays the same for as long as nothing happens; None where it can't be told."""
    try:
        listed = list_units(PATTERNS)
        invocations = sorted(
            f"{name}={os.readlink(f'{_INVOCATIONS}/{name}')}"  # noqa: PTH115 -- one of many, in the cheapest way
            for name in os.listdir(_INVOCATIONS)  # noqa: PTH208
            if name.startswith("invocation:gitopsd-")
        )
    except OSError:
        return None  # another systemd than we know: `systemctl show` tells all the same
    files = [*_GENERATED, *_definitions(), *map(str, TIMERS.glob("stamp-gitopsd-*"))]
    return sha256(b"\0".join((listed, repr(invocations).encode(), repr(_stats(files)).encode()))).digest()


def _definitions() -> list[str]:
    """Unit files and directories of drop-ins: whether systemd has read them is part of what it shows."""
    return [
        str(path) for directory in (unitfiles.DIRECTORY, *unitfiles.OVERRIDES) for path in directory.glob("gitopsd-*")
    ]


def _stats(paths: list[str]) -> list[tuple[str, int, int, int]]:
    found = []
    for path in sorted(paths):
        with suppress(FileNotFoundError):
            status = os.lstat(path)
            found.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
    return found
