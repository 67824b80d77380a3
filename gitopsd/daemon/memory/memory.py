"""What planning worked out before: found again in this process, and by the next one in a file of the user's cache.

Losing it is never an error: whatever keeps it from being read or written, the work is done anew.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

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
        self._values: OrderedDict[str, tuple[object, int]] = OrderedDict()
        self._bytes = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._pending: dict[str, bytes] = {}
        self._pending_bytes = 0
        self._lock = Lock()

    def recall(self, key: str, kind: type[T]) -> T | None:
        with self._lock:
            found = self._values.get(key)
            if found is not None and type(found[0]) is kind:
                self._values.move_to_end(key)
                return found[0]
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
        """Writes what was kept since the last time, in one transaction."""
        with self._lock:
            pending, self._pending, self._pending_bytes = self._pending, {}, 0
            file = self._opened_file() if pending else self._file
            if file is not None:
                file.write({self._salt + key: encoded for key, encoded in pending.items()})

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
        self._bytes += size - (before[1] if before else 0)
        self._values[key] = (value, size)
        while len(self._values) > self._max_entries or self._bytes > self._max_bytes:
            self._bytes -= self._values.popitem(last=False)[1][1]


def plan_memory() -> PlanMemory:
    """The memory of a command; nothing is opened before the first question."""
    if os.environ.get(SWITCH, "").lower() in {"off", "0", "no", "false"}:
        return PlanMemory(lambda: None)
    return PlanMemory(lambda: MemoryFile.open(cache_file()))
