"""Telling systemd how the service is: the datagrams of sd_notify(3)."""

import os
import socket
import time
from collections.abc import Mapping

_LONGEST_STATUS = 500


def notify(*lines: str, variables: Mapping[str, str] = os.environ) -> bool:
    """Whether the service manager took it; False where there is none, or it doesn't listen."""
    address = variables.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(1)
        try:
            # `@` stands for the zero byte in front of a name of the abstract namespace
            name = "\0" + address[1:] if address[0] == "@" else address
            connection.sendto("\n".join(lines).encode(), name)
        except OSError:
            return False  # a manager that restarts must not end what it manages; it asks for READY=1 by itself
    return True


def ready(status: str) -> bool:
    return notify("READY=1", _status(status))


def status(text: str) -> bool:
    """The line that `systemctl status` shows."""
    return notify(_status(text))


def still_alive() -> bool:
    """Puts off the watchdog for another `watchdog_seconds`."""
    return notify("WATCHDOG=1")


def reloading() -> bool:
    """The configuration is read again; `ready` ends it. systemd wants to know when, so as to see the right answer."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping(why: str) -> bool:
    return notify("STOPPING=1", _status(why))


def watchdog_seconds(variables: Mapping[str, str] = os.environ) -> float | None:
    """After how much silence systemd kills this process; None where it doesn't, or means another process."""
    microseconds = variables.get("WATCHDOG_USEC", "")
    process = variables.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or (process and process != str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000


def _status(text: str) -> str:
    """One line, whatever the text is: a second one would be an assignment of its own."""
    return "STATUS=" + " ".join(text.split())[:_LONGEST_STATUS]
