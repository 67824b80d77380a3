"""One SQLite file of values by key, below the user's cache folder. Deleting it is safe at any time.

Everything that goes wrong with it is noted for `--debug` and otherwise passed over: no command fails for a cache.
"""

import os
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gitopsd.daemon.memory.sqlite_file import is_damaged, make_private, note, set_aside
from gitopsd.repo.errors import RepositoryError

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

MAX_BYTES = 256 << 20
_BUSY_SECONDS = 0.2  # another command writes for less than that; without an answer we do without the file
_CHECK_BYTES = 12
_DAY = 86_400

_SET_UP = (
    "PRAGMA journal_mode = DELETE",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -256",  # KiB; the kernel has the file anyway, and a controller has one for each of its threads
    "CREATE TABLE IF NOT EXISTS memory (key TEXT PRIMARY KEY, day INTEGER NOT NULL, value BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS by_day ON memory (day)",
)
_FORGET_OLDEST = "DELETE FROM memory WHERE rowid IN (SELECT rowid FROM memory ORDER BY day, rowid LIMIT 16)"


def cache_file() -> Path:
    """`$XDG_CACHE_HOME/gitopsd/plans.sqlite`, else below ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if cache.startswith("/") else Path.home() / ".cache") / "gitopsd" / "plans.sqlite"


class MemoryFile:
    """An open cache file. Every value carries a checksum over itself and its key, so that a damaged one is a miss.

    Nothing is fsynced: after a power cut the file may be damaged, and is then made anew. A process that is killed
    leaves a journal, from which the next one restores what was there. Processes take turns, and don't wait for long.
    """

    def __init__(self, path: Path, connection: "sqlite3.Connection", *, max_bytes: int) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = connection
        self._max_bytes = max_bytes
        self._today = int(time.time() // _DAY)
        self._seen: list[str] = []  # used today for the first time

    @classmethod
    def open(cls, path: Path, *, max_bytes: int = MAX_BYTES) -> "MemoryFile | None":
        """The file at `path`, made if need be; None where it isn't ours alone, or can't be had."""
        import sqlite3  # noqa: PLC0415 - 4 ms that only planning needs

        for last_try in (False, True):
            try:
                make_private(path, way_out="set XDG_CACHE_HOME to a folder of your own")
                return cls(path, _connect(path), max_bytes=max_bytes)
            except sqlite3.DatabaseError as error:
                note(f"{path} can't be used", error)
                if last_try or not is_damaged(error):
                    return None
                set_aside(path)
            except (OSError, RepositoryError, RuntimeError) as error:  # RuntimeError: no home
                note(f"{path} can't be used", error)
                return None
        return None

    def read(self, key: str) -> bytes | None:
        return self._attempt(lambda connection: self._find(connection, key))

    def write(self, values: Mapping[str, bytes]) -> None:
        """All or nothing; makes room where the file has grown over its bound."""
        if values or self._seen:
            self._attempt(lambda connection: self._store(connection, values))
            self._seen.clear()

    def close(self) -> None:
        self._attempt(lambda connection: connection.close())
        self._connection = None

    def _find(self, connection: "sqlite3.Connection", key: str) -> bytes | None:
        row = connection.execute("SELECT day, value FROM memory WHERE key = ?", (key,)).fetchone()
        if row is None or not isinstance(row[1], bytes):
            return None
        day, stored = int(row[0]), row[1]
        value = stored[_CHECK_BYTES:]
        if stored[:_CHECK_BYTES] != _checksum(key, value):
            return None
        if day != self._today:
            self._seen.append(key)
        return value

    def _store(self, connection: "sqlite3.Connection", values: Mapping[str, bytes]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            connection.executemany(
                "REPLACE INTO memory (key, day, value) VALUES (?, ?, ?)",
                ((key, self._today, _checksum(key, value) + value) for key, value in values.items()),
            )
            connection.executemany(
                "UPDATE memory SET day = ? WHERE key = ?", ((self._today, key) for key in self._seen)
            )
            if _used_bytes(connection) > self._max_bytes:
                self._make_room(connection)

    def _make_room(self, connection: "sqlite3.Connection") -> None:
        """Forgets the least recently used until a quarter is free; SQLite fills the freed pages again."""
        while _used_bytes(connection) > self._max_bytes * 3 // 4:
            if connection.execute(_FORGET_OLDEST).rowcount == 0:
                return

    def _attempt(self, work: "Callable[[sqlite3.Connection], T]") -> T | None:
        """What `work` gives; None where SQLite can't, and nothing more is asked of a file that is damaged."""
        import sqlite3  # noqa: PLC0415 - imported already by `open`

        if self._connection is None:
            return None
        try:
            return work(self._connection)
        except sqlite3.Error as error:
            note(f"{self._path} isn't used", error)
            if is_damaged(error):
                self._connection.close()
                self._connection = None
                set_aside(self._path)
            return None


def _connect(path: Path) -> "sqlite3.Connection":
    import sqlite3  # noqa: PLC0415 - imported already by `open`

    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        for statement in _SET_UP:
            connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _used_bytes(connection: "sqlite3.Connection") -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int(pages - free) * int(size)


def _checksum(key: str, value: bytes) -> bytes:
    return blake2b(value, digest_size=_CHECK_BYTES, key=blake2b(key.encode(), digest_size=16).digest()).digest()
