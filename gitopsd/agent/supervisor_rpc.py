from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# codes of supervisor.xmlrpc.Faults that are answers rather than failures
NOT_RUNNING = 70
ALREADY_STARTED = 60
BAD_NAME = 10
ALREADY_ADDED = 90

_ANSWER_SECONDS = 15


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002 -- xmlrpc.client's signature
        return _Connection(self._path)


def connect(path: Path) -> Any:
    """A proxy for supervisord's API: `connect(p).supervisor.getState()`.

    Calls raise OSError when nobody listens, xmlrpc.client.Fault when supervisord says no.
    """
    return xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(str(path)))
