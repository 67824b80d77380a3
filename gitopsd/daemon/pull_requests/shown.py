"""What was shown on pull requests, and what came of them, in a SQLite file of the controller's state.

It may be lost: then open pull requests are planned again, which writes nothing that is there already, and what was
shown on merged ones is read from their comments.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from gitopsd.daemon.memory.state_file import StateFile

if TYPE_CHECKING:
    import sqlite3

_Kept = TypeVar("_Kept", bound=Struct)

KEPT_SECONDS = 90 * 86_400.0
_SET_UP = (
    """
    CREATE TABLE IF NOT EXISTS shown (
        repository TEXT NOT NULL, number INTEGER NOT NULL, environment TEXT NOT NULL, at REAL NOT NULL,
        value BLOB NOT NULL, PRIMARY KEY (repository, number, environment)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS reviews (
        repository TEXT NOT NULL, environment TEXT NOT NULL, source TEXT NOT NULL, at REAL NOT NULL,
        value BLOB NOT NULL, PRIMARY KEY (repository, environment, source)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS told (
        repository TEXT NOT NULL, environment TEXT NOT NULL, source TEXT NOT NULL, at REAL NOT NULL,
        value TEXT NOT NULL, PRIMARY KEY (repository, environment, source)
    ) WITHOUT ROWID
    """,
)


class Shown(Struct, frozen=True, kw_only=True):
    """What a pull request shows of one environment.

    `key` stands for all that it was planned from; empty where it has to be planned again in any case. `text`, `status`
    and `approval` stand for what was written, so that the same is not written again. `effects` and `jobs` are those of
    the plan, empty where there is none, and `changes` whether it does anything. `since`: when that head and these
    effects came to be shown, in seconds since the epoch by the forge's clock.
    """

    head: str
    key: str = ""
    effects: str = ""
    jobs: Mapping[str, str] = {}
    changes: bool = True
    since: float = 0.0
    text: str = ""
    status: str = ""
    approval: str = ""


class Review(Struct, frozen=True, kw_only=True):
    """Which pull request a version came from, and what that one showed. `pull_request` is 0 where it came without one.

    `effects` is empty where nothing was shown before it was merged. `approved` are those whose approval was for just
    that, and `void` says why others' don't count: both are only known where policy asks for approvals. `at`: when the
    forge was asked first, in seconds since the epoch.
    """

    pull_request: int = 0
    effects: str = ""
    jobs: Mapping[str, str] = {}
    approved: tuple[str, ...] = ()
    void: str = ""
    at: float = 0.0


class ShownMemory:
    """Of one repository; its identity is given. Safe to use from any thread and process."""

    def __init__(
        self, repository: str, *, file: StateFile | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._repository = repository
        self._file = file or StateFile("pull-requests.sqlite", _SET_UP)
        self._clock = clock

    def shown(self, number: int) -> dict[str, Shown]:
        """Environment -> what the pull request shows."""
        query = "SELECT environment, value FROM shown WHERE repository = ? AND number = ?"
        rows = self._rows(query, self._repository, number)
        found = {str(environment): _decoded(value, Shown) for environment, value in rows}
        return {environment: one for environment, one in found.items() if one is not None}

    def show(self, number: int, environment: str, shown: Shown) -> None:
        self._write(
            "REPLACE INTO shown (repository, number, environment, at, value) VALUES (?, ?, ?, ?, ?)",
            self._repository, number, environment, self._clock(), msgspec.json.encode(shown),
        )  # fmt: skip

    def forget(self, number: int, environments: Collection[str]) -> None:
        for environment in environments:
            self._write(
                "DELETE FROM shown WHERE repository = ? AND number = ? AND environment = ?",
                self._repository, number, environment,
            )  # fmt: skip

    def review(self, environment: str, source: str) -> Review | None:
        """Of that commit; None while nobody asked the forge."""
        query = "SELECT value FROM reviews WHERE repository = ? AND environment = ? AND source = ?"
        rows = self._rows(query, self._repository, environment, source)
        return _decoded(rows[0][0], Review) if rows else None

    def add_review(self, environment: str, source: str, review: Review) -> None:
        self._write(
            "REPLACE INTO reviews (repository, environment, source, at, value) VALUES (?, ?, ?, ?, ?)",
            self._repository, environment, source, self._clock(), msgspec.json.encode(review),
        )  # fmt: skip

    def told(self, environment: str, source: str) -> str:
        """What stands for all that was told of that commit's deployment; empty before that."""
        query = "SELECT value FROM told WHERE repository = ? AND environment = ? AND source = ?"
        rows = self._rows(query, self._repository, environment, source)
        return str(rows[0][0]) if rows else ""

    def tell(self, environment: str, source: str, text: str) -> None:
        self._write(
            "REPLACE INTO told (repository, environment, source, at, value) VALUES (?, ?, ?, ?, ?)",
            self._repository, environment, source, self._clock(), text,
        )  # fmt: skip

    def drop_old(self) -> None:
        """Nobody asks for what is older than three months, unless it's shown still: then it is planned again."""
        for table in ("shown", "reviews", "told"):
            self._write(f"DELETE FROM {table} WHERE at < ?", self._clock() - KEPT_SECONDS)  # noqa: S608 - ours

    def _rows(self, query: str, *values: object) -> list[tuple[bytes, ...]]:
        return self._file.use(lambda connection: connection.execute(query, values).fetchall()) or []

    def _write(self, statement: str, *values: object) -> None:
        def write(connection: "sqlite3.Connection") -> None:
            connection.execute(statement, values)

        self._file.use(write)


def _decoded(value: object, type_: type[_Kept]) -> _Kept | None:
    try:
        return msgspec.json.decode(value, type=type_) if isinstance(value, bytes) else None
    except msgspec.DecodeError:
        return None  # of another version of gitopsd
