"""Ports of this machine for servers that a test starts later, or again."""

import random
import socket

_RANGE = range(15_000, 30_000)
"""Below those that the kernel gives to outgoing connections: it gives none of these away between two starts."""

_ours: list[socket.socket] = []


def free_port(address: str = "127.0.0.1") -> int:
    """A port where nobody listens, and which no other process of tests is given while this one lives."""
    for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0gitopsd-test-port-{port}")  # like ports, of one network namespace; gone with the process
            socket.create_server((address, port)).close()
        except OSError:
            mark.close()
            continue
        _ours.append(mark)
        return port
    raise AssertionError("every port is taken")
