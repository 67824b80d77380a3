"""Jump hosts: one connection to each, shared by all the workers behind it."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gitopsd.fleet.errors import WorkerUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# whoever waited for it to be opened need not wait as long again to learn the same
_FAILED_SECONDS = 10.0


class JumpRefused(Exception):  # noqa: N818 -- says what happened
    """The jump host can't be used; str() is the whole reason, without a worker's name."""


class _Jump:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: Any = None
        self.failed_at = float("-inf")
        self.failure = ""


class Jumps:
    """Shared by all threads. One that hangs is waited for by those behind it alone."""

    def __init__(self) -> None:
        self._jumps: dict[str, _Jump] = {}
        self._lock = threading.Lock()

    def get(self, worker: str, name: str, open_jump: Callable[[], Any], deadline: float) -> Any:
        """The open connection to a jump host, opened if there is none.

        Paramiko's authentication through one gateway fails when threads race to open it, so one at a time does.
        `open_jump` raises JumpRefused. Raises WorkerUnreachable, for the worker that it is wanted for.
        """
        with self._lock:
            jump = self._jumps.setdefault(name, _Jump())
        if not jump.lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise _unreachable(worker, f"the jump host {name} didn't let us through in time")
        try:
            if jump.connection is not None and jump.connection.is_connected:
                return jump.connection
            if time.monotonic() - jump.failed_at < _FAILED_SECONDS:
                raise _unreachable(worker, jump.failure)
            try:
                jump.connection = open_jump()
            except JumpRefused as refused:
                jump.failed_at, jump.failure = time.monotonic(), str(refused)
                raise _unreachable(worker, jump.failure) from refused
            return jump.connection
        finally:
            jump.lock.release()

    def close(self) -> None:
        for connection in self._connections():
            close(connection)

    def _connections(self) -> Iterator[Any]:
        with self._lock:
            jumps = list(self._jumps.values())
            self._jumps.clear()
        return (jump.connection for jump in jumps if jump.connection is not None)


def close(connection: Any) -> None:
    """Close a fabric.Connection at once: a thread of Paramiko's waits for what comes, and is woken by this."""
    with suppress(OSError, AttributeError):
        connection.transport.sock.shutdown(2)
    connection.client.close()


def _unreachable(worker: str, reason: str) -> WorkerUnreachable:
    return WorkerUnreachable(worker, "jump", f"{worker}: {reason}")
