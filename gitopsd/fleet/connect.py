from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from gitopsd.fleet.connector import Connector
from gitopsd.fleet.local import LocalWorker
from gitopsd.fleet.ssh import SshWorker
from gitopsd.fleet.target import SshSettings

if TYPE_CHECKING:
    from types import TracebackType

    from gitopsd.fleet.connection import WorkerConnection
    from gitopsd.fleet.target import Target


class Workers:
    """Makes connections to workers: one of these for each command or daemon, shared by its threads.

    ~/.ssh/config is read when the first SSH worker is asked for.
    """

    def __init__(self, settings: SshSettings | None = None) -> None:
        self._settings = SshSettings() if settings is None else settings
        self._connector: Connector | None = None
        self._lock = threading.Lock()

    def connect(self, target: Target) -> WorkerConnection:
        """A connection that opens on its first call; close it, or use it in a `with`."""
        if target.connection == "local":
            return LocalWorker(target)
        with self._lock:  # one of them: jump hosts are shared by all threads
            if self._connector is None:
                self._connector = Connector(self._settings)
        return SshWorker(target, self._connector)

    def close(self) -> None:
        if self._connector is not None:
            self._connector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
