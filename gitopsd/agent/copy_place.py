"""Where an unmanaged copy lies and what it is called, so that nothing of it is ever taken for a job's."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from .errors import AgentError

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

# no dot: a job's name has at least one, so that no copy's unit is ever a job's (release.job_of_unit)
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class CopyPlace(NamedTuple):
    """One copy on this worker; what of it exists is another question."""

    layout: Layout
    name: str

    @property
    def service(self) -> str:
        """What the service manager calls it, without a suffix."""
        return f"copy-{self.name}"

    @property
    def unit(self) -> str:
        return f"gitopsd-{self.service}.service"

    @property
    def directory(self) -> Path:
        return self.layout.copies / self.name

    @property
    def aside(self) -> Path:
        """While it is being put together, or taken apart; no copy's name begins with a dot."""
        return self.layout.copies / f".{self.name}"

    @property
    def record(self) -> Path:
        return self.directory / "copy.json"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def credentials(self) -> Path:
        return self.directory / "credentials"

    @property
    def run(self) -> Path:
        """Its own GITOPSD_RUN; a hash, since the path of a socket in it is limited to 107 bytes."""
        return self.layout.run / "c" / sha256(self.name.encode()).hexdigest()[:8]

    @property
    def sockets(self) -> Path:
        return self.run / "s"


def parse_place(layout: Layout, name: object) -> CopyPlace:
    """AgentError `protocol` for what can't be a copy's name."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise AgentError(
            "protocol",
            f"{name!r} can't name a copy: lower-case letters, digits and inner hyphens, at most 63 characters",
        )
    return CopyPlace(layout, name)


def places(layout: Layout) -> list[CopyPlace]:
    """The copies that are there, whole or damaged, by name."""
    try:
        found = sorted(path.name for path in layout.copies.iterdir())
    except FileNotFoundError:
        return []
    return [CopyPlace(layout, name) for name in found if _NAME.fullmatch(name)]
