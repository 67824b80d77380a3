"""What keeps each environment's loops from going on, and when they try again: kept across restarts of the controller.

One row for each environment and stage in a SQLite file of the controller's state. Without the file everything is tried
as if for the first time.
"""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from gitopsd.daemon.memory.state_file import StateFile
from gitopsd.planner.backoff import CAP_SECONDS, waiting_time

if TYPE_CHECKING:
    import sqlite3

Stage = Literal["look", "deploy", "converge", "pull-requests"]

_SET_UP = (
    """
    CREATE TABLE IF NOT EXISTS troubles (
        repository TEXT NOT NULL, environment TEXT NOT NULL, stage TEXT NOT NULL, trouble BLOB NOT NULL,
        PRIMARY KEY (repository, environment, stage)
    ) WITHOUT ROWID
    """,
)
_WRITE = "REPLACE INTO troubles (repository, environment, stage, trouble) VALUES (?, ?, ?, ?)"
_DROP = "DELETE FROM troubles WHERE repository = ? AND environment = ? AND stage = ?"
_READ = "SELECT trouble FROM troubles WHERE repository = ? AND environment = ? AND stage = ?"
_LONGEST = 4_000


class Trouble(Struct, frozen=True, kw_only=True):
    """`attempts` in a row at `version` that came to `error`; at another version it is tried at once.

    `at` is when the last of them ended, in seconds since the epoch; the next one is due `wait` seconds later.
    """

    version: str
    error: str
    hint: str = ""
    attempts: int = 1
    at: float = 0.0
    wait: float = 0.0

    @property
    def next(self) -> float:
        return self.at + self.wait

    def remaining(self, version: str, now: float) -> float:
        """Seconds until this version is tried again; 0 when it is due, or the clock went back and says nothing."""
        if version != self.version or now < self.at:
            return 0.0
        return max(0.0, min(self.wait, CAP_SECONDS) - (now - self.at))


class Troubles:
    """Of one stage of one environment; used by its thread alone, but for `last`. No wait is longer than `cap`."""

    def __init__(
        self,
        repository: str,
        environment: str,
        stage: Stage,
        *,
        cap: float = CAP_SECONDS,
        file: StateFile | None = None,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._key = (repository, environment, stage)
        self._cap = cap
        self._file = file or StateFile("troubles.sqlite", _SET_UP)
        self._clock = clock
        self._draw = draw
        self.last = self._file.use(self._read)
        """None while all is well."""

    def remaining(self, version: str) -> float:
        """Seconds until this version may be tried; 0 when it is due."""
        return 0.0 if self.last is None else self.last.remaining(version, self._clock())

    def add(self, version: str, error: str, hint: str = "", *, longest: bool = False) -> Trouble:
        """One more attempt in vain. `longest`: it will come to the same until something outside changes."""
        before = self.last
        attempts = before.attempts + 1 if before is not None and before.version == version else 1
        trouble = Trouble(
            version=version,
            error=error[:_LONGEST],
            hint=hint[:_LONGEST],
            attempts=attempts,
            at=self._clock(),
            wait=min(self._cap, CAP_SECONDS if longest else waiting_time(attempts, self._draw)),
        )
        self.last = trouble

        def write(connection: "sqlite3.Connection") -> None:
            connection.execute(_WRITE, (*self._key, msgspec.json.encode(trouble)))

        self._file.use(write)
        return trouble

    def over(self) -> None:
        """All is well again."""
        if self.last is None:
            return
        self.last = None

        def drop(connection: "sqlite3.Connection") -> None:
            connection.execute(_DROP, self._key)

        self._file.use(drop)

    def _read(self, connection: "sqlite3.Connection") -> Trouble | None:
        row = connection.execute(_READ, self._key).fetchone()
        try:
            return None if row is None else msgspec.json.decode(row[0], type=Trouble)
        except (msgspec.DecodeError, TypeError):
            return None  # of another version of gitopsd: tried as if for the first time
