"""What people were told already, kept from one run of the controller to the next.

Should it be lost, what is amiss is told once more.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gitopsd.daemon.controller.notifications.changes import Known
from gitopsd.daemon.memory.state_file import StateFile

if TYPE_CHECKING:
    import sqlite3

_SET_UP = (
    """
    CREATE TABLE IF NOT EXISTS told (
        repository TEXT NOT NULL, environment TEXT NOT NULL, subject TEXT NOT NULL, condition TEXT NOT NULL,
        PRIMARY KEY (repository, environment, subject)
    ) WITHOUT ROWID
    """,
)
_READ = "SELECT environment, subject, condition FROM told WHERE repository = ?"
_DROP = "DELETE FROM told WHERE repository = ? AND environment = ? AND subject = ?"
_WRITE = "REPLACE INTO told (repository, environment, subject, condition) VALUES (?, ?, ?, ?)"


class ToldMemory:
    """Of one repository; safe to use from any thread."""

    def __init__(self, repository: str, *, path: Path | None = None) -> None:
        self._repository = repository
        self._file = StateFile("told.sqlite", _SET_UP, path=path)

    @property
    def problem(self) -> str:
        """Why it can't be used, or empty."""
        return self._file.problem

    def known(self) -> dict[str, Known]:
        """By environment."""

        def read(connection: "sqlite3.Connection") -> dict[str, Known]:
            found: dict[str, Known] = {}
            for environment, subject, condition in connection.execute(_READ, (self._repository,)):
                found.setdefault(environment, {})[subject] = condition
            return found

        return self._file.use(read) or {}

    def remember(self, environment: str, conditions: Mapping[str, str]) -> None:
        """An empty condition is forgotten."""

        def write(connection: "sqlite3.Connection") -> None:
            connection.execute("BEGIN IMMEDIATE")
            for subject, condition in conditions.items():
                key = (self._repository, environment, subject)
                connection.execute(*((_WRITE, (*key, condition)) if condition else (_DROP, key)))
            connection.execute("COMMIT")

        if conditions:
            self._file.use(write)
