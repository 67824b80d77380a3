"""Small SQLite files of the controller's state, which several processes may use and which may be lost at any time."""

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gitopsd.daemon.memory.sqlite_file import is_damaged, make_private, note, set_aside
from gitopsd.repo.errors import RepositoryError

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

_BUSY_SECONDS = 5.0
_DURABILITY = ("PRAGMA journal_mode = DELETE", "PRAGMA synchronous = NORMAL")


class StateFile:
    """`$XDG_STATE_HOME/gitopsd/controller/<name>`, else below ~/.local/state; `path` is another place for it.

    `set_up` are statements that are run first whenever it is opened. `problem` says what is amiss, after an error.
    """

    def __init__(self, name: str, set_up: Sequence[str], *, path: Path | None = None) -> None:
        self._name = name
        self._set_up = (*_DURABILITY, *set_up)
        self._path = path
        self.problem = ""

    def use(self, work: "Callable[[sqlite3.Connection], T]") -> T | None:
        """What `work` gives; None where the file can't be used, and `problem` says why. A damaged one is set aside.

        Opened for each use: a process that stays up must not go on with a file that somebody removed.
        """
        import sqlite3  # noqa: PLC0415 - 4 ms

        path: Path | None = None
        for last_try in (False, True):
            try:
                path = self._path or state_folder() / self._name
                make_private(path, way_out="set XDG_STATE_HOME to a folder of your own")
                with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
                    for statement in self._set_up:
                        connection.execute(statement)
                    return work(connection)
            except (sqlite3.Error, OSError, RepositoryError, RuntimeError) as error:  # RuntimeError: no home
                note(f"{path} can't be used", error)
                damaged = isinstance(error, sqlite3.Error) and is_damaged(error)
                if path is None or last_try or not damaged:
                    self.problem = f"{path or self._name} can't be used: {error}"
                    return None
                set_aside(path)
        return None


def state_folder() -> Path:
    """Where a controller keeps what may be lost: `$XDG_STATE_HOME/gitopsd/controller`, else below ~/.local/state."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else Path.home() / ".local/state"
    return folder / "gitopsd" / "controller"
