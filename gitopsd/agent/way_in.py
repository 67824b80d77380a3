"""What a controller needs to get in, as it was before an activation: whatever that took down is put up again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNITS = ("ssh.service", "sshd.service", "ssh.socket", "sshd.socket")
# systemd keeps a link there for each unit that is active, named after it
_ACTIVE = Path("/run/systemd/units")
_LINKS = Path("/sys/class/net")
_SECONDS = 20
# netdevice(7)
_UP = 0x1
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914


def open_now() -> dict[str, list[str]]:
    """Units of sshd that run, and network interfaces that are up; costs no process."""
    units = [unit for unit in _UNITS if (_ACTIVE / f"invocation:{unit}").is_symlink()]
    return {"units": units, "links": sorted(_links_up())}


def reopen(before: Mapping[str, list[str]]) -> list[str]:
    """Put up what was up before and isn't now; a line for each, with the reason where that failed."""
    up = _links_up()
    done = [_raise_link(link) for link in before.get("links", []) if link not in up]
    closed = [unit for unit in before.get("units", []) if not (_ACTIVE / f"invocation:{unit}").is_symlink()]
    return [*done, *(_start(unit) for unit in closed)]


def _links_up() -> set[str]:
    found: set[str] = set()
    for link in _LINKS.iterdir() if _LINKS.is_dir() else ():
        try:
            flags = int((link / "flags").read_text(), 16)
        except (OSError, ValueError):
            continue  # it went away meanwhile
        if flags & _UP:
            found.add(link.name)
    return found


def _raise_link(link: str) -> str:
    # by system call: `ip` isn't on every machine
    import socket  # noqa: PLC0415
    import struct  # noqa: PLC0415
    from fcntl import ioctl  # noqa: PLC0415

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            request = struct.pack("16sh14x", link.encode(), 0)
            (flags,) = struct.unpack_from("H", ioctl(any_socket, _GET_FLAGS, request), 16)
            ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", link.encode(), flags | _UP))
    except OSError as error:
        return f"{link} could not be set up again: {error.strerror}"
    return f"{link} was set up again"


def _start(unit: str) -> str:
    try:
        done = subprocess.run(
            ["systemctl", "--no-ask-password", "start", unit],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{unit} could not be started again: {error}"
    problem = f"{unit} could not be started again: {done.stderr.strip()}"
    return f"{unit} was started again" if done.returncode == 0 else problem
