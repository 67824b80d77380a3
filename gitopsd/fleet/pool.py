"""The open connections of one command or daemon: one is kept for each worker that nobody talks to right now."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from gitopsd.fleet.session import Session
    from gitopsd.fleet.target import Target


class Pool:
    """Shared by all threads. Knows every session that is open, so that `close` leaves none."""

    def __init__(self) -> None:
        self._kept: dict[Target, Session] = {}
        self._open: set[Session] = set()
        self._lock = threading.Lock()
        self._closed = False

    def lease(self, target: Target) -> Session | None:
        """The connection that is kept for a worker, if it is still open; nobody else gets it until it is given back."""
        with self._lock:
            session = self._kept.pop(_way(target), None)
        if session is not None and not session.is_open:
            self.end(session)
            return None
        return session

    def opened(self, session: Session) -> None:
        with self._lock:
            closed = self._closed
            self._open.add(session)
        if closed:  # while it was being opened
            self.end(session)

    def give_back(self, target: Target, session: Session) -> None:
        way = _way(target)
        with self._lock:
            keep = not self._closed and way not in self._kept and session.is_open
            if keep:
                self._kept[way] = session
        if not keep:
            self.end(session)

    def end(self, session: Session) -> None:
        with self._lock:
            self._open.discard(session)
        session.close()

    @property
    def open(self) -> int:
        """How many there are, those that somebody works with among them."""
        with self._lock:
            return len(self._open)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            sessions, self._open = self._open, set()
            self._kept.clear()
        for session in sessions:
            session.close()


def _way(target: Target) -> Target:
    """Who owns a worker has nothing to do with how it is reached."""
    return msgspec.structs.replace(target, owner=None)
