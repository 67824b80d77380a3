"""What this controller knows of artifact commits and of the source branch, kept from one command to the next.

Without the file, commits are judged anew, and the artifact branch alone says what was deployed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitopsd.daemon.memory.state_file import StateFile
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import ArtifactBranch

if TYPE_CHECKING:
    import sqlite3

_MOST_COMMITS = 2000
"""Of each environment, the newest ones: an older one is judged anew if anybody asks."""

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS good (
        number INTEGER PRIMARY KEY, repository TEXT NOT NULL, environment TEXT NOT NULL, commit_id TEXT NOT NULL,
        basis TEXT NOT NULL, UNIQUE (repository, environment, commit_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS source (
        repository TEXT NOT NULL, environment TEXT NOT NULL, commit_id TEXT NOT NULL, accepted TEXT NOT NULL,
        PRIMARY KEY (repository, environment)
    ) WITHOUT ROWID
    """,
)
_OF_ONE = "repository = ? AND environment = ?"
_FORGET = (
    f"DELETE FROM good WHERE {_OF_ONE} AND number NOT IN "  # noqa: S608 - constants
    f"(SELECT number FROM good WHERE {_OF_ONE} ORDER BY number DESC LIMIT {_MOST_COMMITS})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSource:
    """The version that was last taken. `accepted`: the acceptance in force then, empty where there was none."""

    commit: str
    accepted: str


class TrustMemory:
    """Of one environment. Nothing here fails a command."""

    def __init__(self, repository: str, environment: str, *, path: Path | None = None) -> None:
        self._key = (repository, environment)
        self._file = StateFile("trust.sqlite", _TABLES, path=path)

    def basis(self, commit: str) -> str | None:
        """What a commit that was found good is good by; None for one that isn't known."""

        def read(connection: "sqlite3.Connection") -> str | None:
            query = f"SELECT basis FROM good WHERE {_OF_ONE} AND commit_id = ?"  # noqa: S608 - constants
            row = connection.execute(query, (*self._key, commit)).fetchone()
            return str(row[0]) if row else None

        return self._file.use(read)

    def keep(self, commit: str, basis: str) -> None:
        def write(connection: "sqlite3.Connection") -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "REPLACE INTO good (repository, environment, commit_id, basis) VALUES (?, ?, ?, ?)",
                (*self._key, commit, basis),
            )
            connection.execute(_FORGET, (*self._key, *self._key))
            connection.execute("COMMIT")

        self._file.use(write)

    def source(self) -> SeenSource | None:
        def read(connection: "sqlite3.Connection") -> SeenSource | None:
            query = f"SELECT commit_id, accepted FROM source WHERE {_OF_ONE}"  # noqa: S608 - constants
            row = connection.execute(query, self._key).fetchone()
            return SeenSource(commit=str(row[0]), accepted=str(row[1])) if row else None

        return self._file.use(read)

    def keep_source(self, seen: SeenSource) -> None:
        def write(connection: "sqlite3.Connection") -> None:
            connection.execute("REPLACE INTO source VALUES (?, ?, ?, ?)", (*self._key, seen.commit, seen.accepted))

        self._file.use(write)


def trust_memory(workspace: Workspace, branch: ArtifactBranch) -> TrustMemory:
    return TrustMemory(workspace.identity, branch.environment)
