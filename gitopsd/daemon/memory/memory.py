"""What planning worked out before: found again in this process, and by the next one in a file of the user's cache.

Losing it is never an error: whatever keeps it from being read or written, the work is done anew.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import msgspec

from gitopsd.daemon.memory.file import MemoryFile, cache_file
from gitopsd.daemon.memory.salt import code_fingerprint
from gitopsd.daemon.memory.sqlite_file import note

T = TypeVar("T")

SWITCH = "GITOPSD_CACHE"
"""An environment variable: `off` keeps planning from reading or writing the file."""

_MAX_ENTRIES = 50_000
_MAX_BYTES = 64 << 20  # of encoded values; decoded they take some times as much
_MAX_VALUE = 16 << 20  # larger ones would push out everything else
_KEPT_FLUSHES = 20
"""A value that wasn't asked for since so many flushes is left to the file: versions come and go in a long life."""


class PlanMemory:
    """A Memory in two levels: decoded values of this process, the least recently used forgotten first, and a file.

    What is kept reaches the file at `flush`. Keys of the file also name the code, so that another version of gitopsd,
    or one that was edited, recalls nothing of this one. Safe to use from several threads.
    """

    def __init__(
        self,
        open_file: Callable[[], MemoryFile | None],
        *,
        salt: Callable[[], str] = code_fingerprint,
        max_entries: int = _MAX_ENTRIES,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        self._open_file = open_file
        self._opened = False
        self._file: MemoryFile | None = None
        self._fingerprint = salt
        self._salt = ""
        self._values: OrderedDict[str, _Held] = OrderedDict()
        self._bytes = 0
        self._flushes = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._pending: dict[str, bytes] = {}
        self._pending_bytes = 0
        self._lock = Lock()

    def recall(self, key: str, kind: type[T]) -> T | None:
        with self._lock:
            found = self._values.get(key)
            if found is not None and type(found.value) is kind:
                self._remember(key, found.value, found.size)
                return found.value
            encoded = self._pending.get(key) or self._read(key)
            if encoded is None:
                return None
            try:
                value = msgspec.msgpack.decode(encoded, type=kind)
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                note("a value of another shape is passed over", error)
                return None
            self._remember(key, value, len(encoded))
            return value

    def keep(self, key: str, value: object) -> None:
        try:
            encoded = msgspec.msgpack.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            # a number of a workflow may be larger than any that fits: then that workflow is compiled each time
            note("a value that can't be encoded isn't kept", error)
            return
        if len(encoded) > _MAX_VALUE:
            return
        with self._lock:
            self._remember(key, value, len(encoded))
            self._pending[key] = encoded
            self._pending_bytes += len(encoded)
            full = self._pending_bytes > self._max_bytes
        if full:
            self.flush()

    def flush(self) -> None:
        """Writes what was kept since the last time, in one transaction. For a long life: between two plans."""
        with self._lock:
            if not self._pending:
                return
            pending, self._pending, self._pending_bytes = self._pending, {}, 0
            file = self._opened_file()
            if file is not None:
                file.write({self._salt + key: encoded for key, encoded in pending.items()})
                self._flushes += 1
                self._forget(lambda oldest: oldest.used < self._flushes - _KEPT_FLUSHES)

    def close(self) -> None:
        """Flushes and lets go of the file."""
        self.flush()
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file, self._opened = None, True

    def _read(self, key: str) -> bytes | None:
        file = self._opened_file()
        return None if file is None else file.read(self._salt + key)

    def _opened_file(self) -> MemoryFile | None:
        if not self._opened:
            self._opened = True
            self._file = self._open_file()
            self._salt = self._fingerprint() + ":" if self._file is not None else ""
        return self._file

    def _remember(self, key: str, value: object, size: int) -> None:
        before = self._values.pop(key, None)
        self._bytes += size - (before.size if before else 0)
        self._values[key] = _Held(value, size, self._flushes)
        self._forget(lambda _: len(self._values) > self._max_entries or self._bytes > self._max_bytes)

    def _forget(self, condition: Callable[["_Held"], bool]) -> None:
        """From the least recently used on, for as long as the condition holds for it."""
        while self._values and condition(next(iter(self._values.values()))):
            self._bytes -= self._values.popitem(last=False)[1].size


class _Held(NamedTuple):
    """A decoded value, the size of its encoded form in bytes, and how many flushes were before it was last used."""

    value: Any
    size: int
    used: int


def plan_memory() -> PlanMemory:
    """The memory of a command; nothing is opened before the first question."""
    if os.environ.get(SWITCH, "").lower() in {"off", "0", "no", "false"}:
        return PlanMemory(lambda: None)
    return PlanMemory(lambda: MemoryFile.open(cache_file()))
