from __future__ import annotations

import os
import socket


def notify(message: str) -> None:
    """Tell the service manager something (sd_notify(3)): READY=1, STATUS=..., STOPPING=1. Without one, do nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # a name in the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(1)
        try:
            connection.sendto(message.encode(), address)
        except OSError:
            # A manager that is restarting mustn't take its jobs with it; without READY=1 it says so itself.
            return
