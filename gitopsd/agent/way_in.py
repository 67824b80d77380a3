"""What a controller needs to get in, as it was before an activation: whatever that took down is put up again."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import run

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVICES = ("ssh.service", "sshd.service")
# systemd keeps a link there for each service that is active, named after it
_ACTIVE = Path("/run/systemd/units")
_SOCKETS = ("ssh.socket", "sshd.socket")
_ENABLED = Path("/etc/systemd/system/sockets.target.wants")
_SECONDS = 20
# netdevice(7)
_UP = 0x1
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914


def open_now() -> dict[str, list[str]]:
    """Units of sshd that run, and network interfaces that are up; costs no process."""
    sockets = [unit for unit in _SOCKETS if (_ENABLED / unit).is_symlink()]
    return {"units": [*sockets, *filter(_is_active, _SERVICES)], "links": sorted(_links_up())}


def reopen(before: Mapping[str, list[str]]) -> list[str]:
    """Put up what was up before and isn't now; a line for each, with the reason where that failed."""
    up = _links_up()
    done = [_raise_link(link) for link in before.get("links", []) if link not in up]
    # of a socket nobody tells without a process; to start one that is active does nothing
    closed = [unit for unit in before.get("units", []) if not _is_active(unit)]
    return [*done, *(_start(unit) for unit in closed)]


def _is_active(unit: str) -> bool:
    return (_ACTIVE / f"invocation:{unit}").is_symlink()


def _links_up() -> set[str]:
    return {link for _, link in socket.if_nameindex() if _flags(link) & _UP}


def _flags(link: str) -> int:
    """0 for one that went away meanwhile."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket, suppress(OSError):
        answer = ioctl(any_socket, _GET_FLAGS, struct.pack("16sH14x", link.encode(), 0))
        return int(struct.unpack_from("H", answer, 16)[0])
    return 0


def _raise_link(link: str) -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", link.encode(), _flags(link) | _UP))
    except OSError as error:
        return f"{link} could not be set up again: {error.strerror}"
    return f"{link} was set up again"


def _start(unit: str) -> str:
    try:
        done = run(["systemctl", "--no-ask-password", "start", unit], _SECONDS)
    except OSError as error:
        return f"{unit} could not be started again: {error}"
    problem = f"{unit} could not be started again: {done.stderr.strip()}"
    return f"{unit} was started again" if done.code == 0 else problem
