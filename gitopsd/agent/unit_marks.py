"""Whether anything may have happened to the units of jobs, for a tenth of what `systemctl show` costs.

Asked is systemd itself, with the one message that lists units; what that doesn't show, the links to invocations and the
directories that every `daemon-reload` makes anew do.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256

from .manager_bus import list_units
from .systemd import PATTERNS

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
    generated = []
    for directory in _GENERATED:
        with suppress(FileNotFoundError):
            status = os.stat(directory)  # noqa: PTH116
            generated.append((directory, status.st_ino, status.st_mtime_ns))
    return sha256(b"\0".join((listed, repr(invocations).encode(), repr(generated).encode()))).digest()
