"""The systemd unit of an unmanaged copy, made from its job's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from .copy_place import CopyPlace

_WORD = re.compile(r'"[^"]*"|\S+')


def copy_unit(text: bytes, job: str, place: CopyPlace, parted: Collection[str]) -> bytes:
    """The same settings, with every path that is the job's own replaced by the copy's.

    `parted` are directories that the job writes to and the copy doesn't.
    """
    lines: list[str] = []
    for line in text.decode().splitlines():
        lines += _line(line, job, place, parted)
    return ("\n".join(lines) + "\n").encode()


def _line(line: str, job: str, place: CopyPlace, parted: Collection[str]) -> list[str]:  # noqa: PLR0911 -- a table
    key, separator, value = line.partition("=")
    root, sockets = place.layout.root, place.layout.run / "s"
    if line == "[Service]":
        # the original's sockets are out of its reach, whatever its program believes
        return [line, f"Environment=GITOPSD_RUN={place.run}", f"InaccessiblePaths=-{sockets}"]
    if not separator:
        return [line]
    if key == "Description":
        return [f"Description=gitopsd copy {place.name} of {job} (unmanaged)"]
    if key == "ExecStart":
        return [f"ExecStart=/usr/bin/python3 -IB {place.directory}/runtime/launch.py {place.name}"]
    if key == "StateDirectory":
        return [f"StateDirectory={place.state.relative_to('/var/lib')}"]
    if key == "RuntimeDirectory":
        return [f"RuntimeDirectory={place.sockets.relative_to('/run')}"]
    if key == "ConditionPathExists":
        return [line.replace(f"{root}/state/{job}/", f"{place.state}/")]
    if key == "LoadCredential":
        return [line.replace(f"{root}/credentials/current/{job}/", f"{place.credentials}/")]
    if key in ("ReadWritePaths", "RequiresMountsFor"):
        kept = [_moved(word, str(sockets), place) for word in _WORD.findall(value) if _path(word) not in parted]
        return [f"{key}={' '.join(kept)}"] if kept else []
    if key == "ExecStartPre":
        return [line.replace(f" {sockets}", f" {place.sockets}")]
    return [line]


def _path(word: str) -> str:
    """What a word of a list of paths names, without what systemd reads before it."""
    return word.strip('"').replace("%%", "%").lstrip("-+")


def _moved(word: str, sockets: str, place: CopyPlace) -> str:
    return f"-{place.sockets}" if _path(word) == sockets else word
