"""What came of the attempts to reach each worker and put it right, and what was found there, from one command to the
next.

One row a worker in a SQLite file of the controller's state, which several processes may use. Nothing but patience hangs
on it: without the file every worker is tried as if for the first time, and none is given up as lost.
"""

import os
import random
import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.memory.sqlite_file import note
from gitopsd.daemon.memory.state_file import StateFile
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.backoff import Backoff, Draw, Trouble, Version, after_trouble, well
from gitopsd.planner.lost import Absence, Instant, silent_again
from gitopsd.repo.artifacts import ArtifactBranch

if TYPE_CHECKING:
    import sqlite3

_Returned = TypeVar("_Returned")

_WRITTEN_EVERY = 1.0  # seconds: what a killed process may forget
_SILENT = frozenset({"connect", "banner"})
_MOST_DRIFT = 50
_WELL = frozenset({"in-sync", "converged"})
_FAILED = frozenset({"failed", "rolled-back"})

_FILE = "attempts.sqlite"
_SET_UP = (
    """
    CREATE TABLE IF NOT EXISTS attempts (
        repository TEXT NOT NULL, environment TEXT NOT NULL, worker TEXT NOT NULL, remembered BLOB NOT NULL,
        PRIMARY KEY (repository, environment, worker)
    ) WITHOUT ROWID
    """,
)
_READ = "SELECT worker, remembered FROM attempts WHERE repository = ? AND environment = ?"
_DROP = "DELETE FROM attempts WHERE repository = ? AND environment = ? AND worker = ?"
_WRITE = "REPLACE INTO attempts (repository, environment, worker, remembered) VALUES (?, ?, ?, ?)"


class Remembered(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`seen`: when the worker answered last, in seconds since the epoch; `absence`: its silence since then.

    `drift`: what it was left with then that its release doesn't say, a sentence each. Of what people wrote into files
    there it has no word.
    """

    backoff: Backoff = Backoff()
    seen: float | None = None
    absence: Absence | None = None
    drift: tuple[str, ...] = ()


_NOTHING = Remembered()


class Attempts:
    """What is remembered of one environment's workers. Nothing here fails a command; `problem` says what is amiss."""

    def __init__(
        self,
        repository: str,
        environment: str,
        *,
        path: Path | None = None,
        clock: Callable[[], Instant] | None = None,
        draw: Draw = random.random,
    ) -> None:
        self._key = (repository, environment)
        self._file = StateFile(_FILE, _SET_UP, path=path)
        self.now = clock or instant_now
        self._draw = draw

    @property
    def problem(self) -> str:
        reason = self._file.problem
        return f"how often workers were tried can't be remembered: {reason}" if reason else ""

    def known(self) -> dict[str, Remembered]:
        """By worker."""
        return self._file.use(self._read) or {}

    def record(self, ended: Mapping[str, tuple[WorkerResult, Version, Instant]]) -> None:
        """Adds one attempt for each of these workers, and when it ended, to what other processes know by now."""

        def add(connection: "sqlite3.Connection") -> None:
            connection.execute("BEGIN IMMEDIATE")
            known = self._read(connection)
            for worker, (result, version, at) in ended.items():
                after = after_attempt(known.get(worker, _NOTHING), result, version, now=at, draw=self._draw)
                connection.execute(_WRITE, (*self._key, worker, msgspec.json.encode(after)))
            connection.execute("COMMIT")

        if ended:
            self._file.use(add)

    def record_drift(self, found: Mapping[str, WorkerResult]) -> None:
        """Of workers that were looked at only, what was found; of the attempts nothing changes."""

        def write(connection: "sqlite3.Connection") -> None:
            connection.execute("BEGIN IMMEDIATE")
            known = self._read(connection)
            for worker, result in seen.items():
                after = replace(known.get(worker, _NOTHING), drift=_drift_after(_NOTHING, result))
                connection.execute(_WRITE, (*self._key, worker, msgspec.json.encode(after)))
            connection.execute("COMMIT")

        seen = {worker: result for worker, result in found.items() if answered(result)}
        if seen:
            self._file.use(write)

    def drift(self) -> dict[str, tuple[str, ...]] | None:
        """Worker -> what it was last found to differ in; None where nothing is known of any."""
        known = self.known()
        return {worker: one.drift for worker, one in known.items() if one.drift} if known else None

    def keep_only(self, workers: Collection[str]) -> None:
        """Forgets workers that are gone: another machine of that name begins anew."""

        def drop(connection: "sqlite3.Connection") -> None:
            gone = self._read(connection).keys() - set(workers)
            connection.executemany(_DROP, ((*self._key, worker) for worker in gone))

        self._file.use(drop)

    def _read(self, connection: "sqlite3.Connection") -> dict[str, Remembered]:
        found: dict[str, Remembered] = {}
        for worker, content in connection.execute(_READ, self._key):
            try:
                found[worker] = msgspec.json.decode(content, type=Remembered)
            except (msgspec.DecodeError, TypeError) as error:
                note(f"what is remembered of {worker} is of another form", error)
        return found


def attempts_of(workspace: Workspace, branch: ArtifactBranch) -> Attempts:
    return Attempts(workspace.identity, branch.environment)


def after_attempt(
    before: Remembered, result: WorkerResult, version: Version, *, now: Instant, draw: Draw
) -> Remembered:
    """What is known of a worker after one more attempt. One that never came to it is none."""
    if result.state in _WELL:
        return Remembered(backoff=well(), seen=now.wall)
    drift = _drift_after(before, result)
    if result.state == "drift":  # looked at, and not put right: it answered, and that is all
        return Remembered(backoff=Backoff(failed=before.backoff.failed), seen=now.wall, drift=drift)
    if result.state not in {*_FAILED, "unreachable"}:
        return before
    kind: Trouble = "unreachable" if result.state == "unreachable" else "failed"
    return Remembered(
        backoff=after_trouble(before.backoff, kind, result.summary, version, now=now.wall, draw=draw),
        seen=now.wall if answered(result) else before.seen,
        absence=_absence_after(before.absence, result, now),
        drift=drift,
    )


def _drift_after(before: Remembered, result: WorkerResult) -> tuple[str, ...]:
    if not answered(result):
        return before.drift
    if result.state in _WELL:
        return ()
    found = [f"{one.subject}: {one.detail}" if one.subject else one.detail for one in result.drift]
    sentences = list(dict.fromkeys(found))
    more = len(sentences) - _MOST_DRIFT
    return (*sentences[:_MOST_DRIFT], *([f"and {more} more differences"] if more > 0 else []))


def answered(result: WorkerResult) -> bool:
    """Whether the worker itself said something, good or bad."""
    return not result.stage and result.state in {*_WELL, *_FAILED, "drift"}


def was_silent(result: WorkerResult) -> bool:
    """Whether nothing at all came back. A worker with another host key is there, and one that hangs was reached."""
    return result.state == "unreachable" and result.stage in _SILENT


def _absence_after(before: Absence | None, result: WorkerResult, now: Instant) -> Absence | None:
    if was_silent(result):
        return silent_again(before, now)
    return before if result.stage == "unexpected" else None  # an error on our side says nothing about the worker


def remembering(
    attempts: Attempts,
    deployment: int,
    desired: Mapping[str, DesiredRelease],
    results: Generator[WorkerResult, None, _Returned],
) -> Generator[WorkerResult, None, _Returned]:
    """The same results, each remembered as an attempt; also those that came before an interruption."""
    ended: dict[str, tuple[WorkerResult, Version, Instant]] = {}
    written = time.monotonic()

    def note_down(result: WorkerResult) -> None:
        nonlocal written
        if result.worker in desired:
            ended[result.worker] = (result, Version(deployment, desired[result.worker].id), attempts.now())
        if time.monotonic() - written > _WRITTEN_EVERY:
            attempts.record(ended)
            ended.clear()
            written = time.monotonic()

    try:
        with closing(results):
            return (yield from _told(results, note_down))
    finally:
        attempts.record(ended)


def _told(
    results: Generator[WorkerResult, None, _Returned], tell: Callable[[WorkerResult], None]
) -> Generator[WorkerResult, None, _Returned]:
    while True:
        try:
            result = next(results)
        except StopIteration as end:
            returned: _Returned = end.value
            return returned
        tell(result)
        yield result


def instant_now() -> Instant:
    """The steady clock stands still while the machine sleeps: nobody looks at workers then."""
    return Instant(time.time(), time.monotonic(), _boot_id())


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"process {os.getpid()}"  # then nothing is compared with what another process saw
