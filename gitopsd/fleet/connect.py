from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from gitopsd.fleet.allowed import why_not_allowed
from gitopsd.fleet.errors import WorkerRefused
from gitopsd.fleet.local import LocalWorker
from gitopsd.fleet.pool import Pool
from gitopsd.fleet.target import SshSettings

if TYPE_CHECKING:
    from types import TracebackType

    from gitopsd.fleet.connection import WorkerConnection
    from gitopsd.fleet.connector import Connector
    from gitopsd.fleet.target import Target


class Workers:
    """Makes and keeps connections to workers: one of these for each command or daemon, shared by its threads.

    A connection over SSH stays open for whoever connects to the same worker next, until `close`. ~/.ssh/config is read
    when the first SSH worker is asked for.
    """

    def __init__(self, settings: SshSettings | None = None) -> None:
        self._settings = SshSettings() if settings is None else settings
        self._connector: Connector | None = None
        self._pool = Pool()
        self._lock = threading.Lock()

    def connect(self, target: Target, *, only_looks: bool = False) -> WorkerConnection:
        """A connection that opens on its first call, unless one is kept; close it, or use it in a `with`.

        only_looks: for verbs that change nothing, and don't leave the agent on a worker that has nothing of gitopsd.
        Raises WorkerRefused `policy` for a worker that isn't where the settings let workers be.
        """
        return self._connection(target, anew=False, only_looks=only_looks)

    def connect_anew(self, target: Target) -> WorkerConnection:
        """The same over a new SSH connection that nobody else gets, and that ends with it."""
        return self._connection(target, anew=True, only_looks=False)

    @property
    def open(self) -> int:
        """How many connections over SSH there are."""
        return self._pool.open

    def close(self) -> None:
        self._pool.close()
        if self._connector is not None:
            self._connector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _connection(self, target: Target, *, anew: bool, only_looks: bool) -> WorkerConnection:
        refusal = why_not_allowed(target, self._settings)
        if refusal is not None:
            raise WorkerRefused(target.name, "policy", f"{target.name}: {refusal}. Nothing was sent")
        if target.connection == "local":
            return LocalWorker(target, only_looks=only_looks)
        with self._lock:  # one of them: jump hosts are shared by all threads
            # an SSH client is most of what there is to import, and half of all commands reach no worker over it
            from gitopsd.fleet.connector import Connector
            from gitopsd.fleet.ssh import SshWorker

            if self._connector is None:
                self._connector = Connector(self._settings)
        return SshWorker(target, self._connector, self._pool, anew=anew, only_looks=only_looks)
