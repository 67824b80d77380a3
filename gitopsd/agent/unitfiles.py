"""Units on systemd's disk: their files, and the links that start them at boot.

The links are what `systemctl enable` would make for `WantedBy=`; written here, one daemon-reload serves all.
"""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .durable import make_directory, remove, replace_file, replace_link, sync
from .githash import blob_id, read_file
from .release import job_of_unit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DIRECTORY = Path("/etc/systemd/system")
# systemd.unit(5): where `systemctl edit --runtime` and `systemctl set-property` put theirs
OVERRIDES = (Path("/etc/systemd/system.control"), Path("/run/systemd/system.control"), Path("/run/systemd/system"))
_TARGET = re.compile(r"[A-Za-z0-9:_.@-]+\.target")


def units_on_disk(directory: Path = DIRECTORY) -> list[str]:
    """Names of the units of jobs, whole or not: a link to /dev/null is one too."""
    return sorted(path.name for path in directory.glob("gitopsd-*") if job_of_unit(path.name) is not None)


def unit_blob(unit: str, directory: Path = DIRECTORY) -> str | None:
    """The Git blob id of a unit's file; None when there is none, or a link in its place."""
    content = _content(directory / unit)
    return None if content is None else blob_id(content)


def drop_ins(unit: str, directory: Path = DIRECTORY) -> list[str]:
    """Files that override parts of this unit, whether or not systemd has read them yet."""
    return [str(path) for folder in _drop_in_folders(unit, directory) for path in folder.glob("*.conf")]


def differing(units: Mapping[str, bytes], directory: Path = DIRECTORY) -> set[str]:
    """Units whose file is missing or says something else, or is overridden by a drop-in (`systemctl edit`)."""
    return {
        unit for unit, text in units.items() if _content(directory / unit) != text or _drop_in_folders(unit, directory)
    }


def wanted_links(units: Mapping[str, bytes], directory: Path = DIRECTORY) -> set[Path]:
    return {directory / f"{target}.wants" / unit for unit, text in units.items() for target in _wanted_by(text)}


def links_on_disk(directory: Path = DIRECTORY) -> set[Path]:
    return {path for path in directory.glob("*.target.wants/gitopsd-*") if job_of_unit(path.name) is not None}


def is_enabled(unit: str, directory: Path = DIRECTORY) -> bool:
    """Whether every target that the unit's file names will start it."""
    text = _content(directory / unit)
    if text is None:
        return False
    links = wanted_links({unit: text}, directory)
    return bool(links) and all(_leads_to(link, directory / unit) for link in links)


def differing_links(units: Mapping[str, bytes], directory: Path = DIRECTORY) -> bool:
    wanted = wanted_links(units, directory)
    return links_on_disk(directory) != wanted or not all(_leads_to(link, directory / link.name) for link in wanted)


def install(units: Mapping[str, bytes], gone: Collection[str], directory: Path = DIRECTORY) -> None:
    """Write what differs, remove the units gone with their links and drop-ins; on disk when this returns."""
    _remove_unfinished(directory)
    touched: set[Path] = set()
    wanted = wanted_links(units, directory)
    for link in links_on_disk(directory) - wanted:
        # a unit that could not be stopped keeps its file, and so its link, until it can
        if link.name in gone or link.name in units or not (directory / link.name).exists():
            remove(link)
            touched.add(link.parent)
    for unit in gone:
        _remove_drop_ins(unit, directory)
        remove(directory / unit)
        touched.add(directory)
    for unit in sorted(differing(units, directory)):
        _remove_drop_ins(unit, directory)
        if (directory / unit).is_dir():
            remove(directory / unit)
        replace_file(directory / unit, units[unit])
        touched.add(directory)
    for link in sorted(wanted):
        if not _leads_to(link, directory / link.name):
            make_directory(link.parent, 0o755)
            replace_link(link, str(directory / link.name))
            touched.update((link.parent, directory))
    for changed in sorted(touched):
        sync(changed)


def _drop_in_folders(unit: str, directory: Path) -> list[Path]:
    """Those that are there."""
    places = [f"{place}/{unit}.d" for place in (directory, *OVERRIDES)]
    return [Path(place) for place in places if os.path.lexists(place)]


def _remove_drop_ins(unit: str, directory: Path) -> None:
    for folder in _drop_in_folders(unit, directory):
        remove(folder)


def _remove_unfinished(directory: Path) -> None:
    """What a killed agent had written aside and not yet renamed."""
    for pattern in (".gitopsd-*.new", "*.target.wants/.gitopsd-*.new"):
        for path in directory.glob(pattern):
            remove(path)


def _content(path: Path) -> bytes | None:
    name = str(path)  # each unit is read several times: nothing costlier here
    try:
        return read_file(name) if stat.S_ISREG(os.lstat(name).st_mode) else None
    except FileNotFoundError:
        return None


def _leads_to(link: Path, unit: Path) -> bool:
    return link.is_symlink() and os.readlink(link) == str(unit)  # noqa: PTH115 -- the text of the link is what counts


@lru_cache(maxsize=256)  # the same unit is asked about several times
def _wanted_by(text: bytes) -> tuple[str, ...]:
    """Targets of `WantedBy=` in `[Install]`; names that aren't plain targets are left to nobody."""
    section = ""
    targets: list[str] = []
    for raw in text.decode("utf-8", "replace").splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line
        elif section == "[Install]" and line.startswith("WantedBy="):
            targets += [name for name in line.partition("=")[2].split() if _TARGET.fullmatch(name)]
    return tuple(targets)
