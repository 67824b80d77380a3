from __future__ import annotations

import glob
import os
import re
import resource
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gitopsd.runner import checkpoint
from gitopsd.runner.errors import failed
from gitopsd.runner.flow import Batch
from gitopsd.runner.polling import IdleWait
from gitopsd.runner.roles.read_files.followed import FollowedFile, Identity
from gitopsd.runner.roles.read_files.positions import Position, Positions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gitopsd.runner.job import Context

LOOK_SECONDS = 0.5
"""How often new and rotated files are looked for while there is plenty to read."""

ROTATED_SECONDS = 10.0
"""How long a file that was rotated away must be quiet until it counts as ended: its writer may not have noticed yet."""


class FileSource:
    """The events of all files that a pattern matches: once, or for as long as they grow.

    Positions are kept by inode in the job's state and move on acknowledgement only. What was delivered once isn't
    delivered again, not even when a finished job is run anew.
    """

    def __init__(self, pattern: str, kind: str, *, tail: bool, context: Context) -> None:
        self._pattern = pattern
        self._kind = kind
        self._tail = tail
        self._reporter = context.reporter
        self._spawn = context.spawn
        self._state = context.job.state / "positions.json"
        self._positions = Positions()
        self._checkpoint = checkpoint.Checkpoint(self._state, self._snapshot)
        self._files: dict[Identity, FollowedFile] = {}
        self._idle = IdleWait()

    def _snapshot(self) -> dict[str, object]:
        return self._positions.dump()

    async def open(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:  # a file that is followed stays open
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        root = _fixed_part(self._pattern)
        try:
            os.stat(root)  # noqa: PTH116 -- a Path would swallow some errors
        except OSError as error:
            raise failed("read", root, error) from error
        try:
            content = checkpoint.load(self._state)
            self._positions = Positions.parse(content) if content is not None else self._positions
        except OSError as error:
            raise failed("read the positions in", self._state, error) from error
        except ValueError as error:
            self._reporter.say(f"{self._state} is damaged ({error}): every file is read from its beginning again")
        if not os.access(self._state.parent, os.W_OK):
            raise failed("write to", self._state.parent, PermissionError(13, os.strerror(13)))
        self._spawn(self._checkpoint.run())

    def stop(self) -> None:
        self._idle.stop()

    async def backlog(self) -> None:
        """Files are no channel: how many events they hold is not known before they are read."""

    async def close(self) -> None:
        await self._checkpoint.save()
        for file in self._files.values():
            file.close()

    async def batches(self) -> AsyncIterator[Batch]:
        if not self._tail:
            for batch in self._read_once():
                yield batch
            return
        self._find_rotated()
        looked = 0.0
        while not self._idle.stopped:
            if time.monotonic() - looked >= LOOK_SECONDS or not self._files:
                self._look()
                looked = time.monotonic()
            found = False
            for file in list(self._files.values()):
                following = self._next(file)
                if following is not None:
                    found = True
                    yield following
            if found:
                self._idle.reset()
            else:
                await self._idle.wait()

    def _read_once(self) -> Iterator[Batch]:
        paths = self._matching()
        if not paths:
            self._reporter.say(f"no file matches {self._pattern}: there is nothing to read")
        for path in paths:
            file = self._open(path)
            if file is None:
                self._reporter.say(f"{path} is gone or not a regular file: left out")
                continue
            try:
                while not self._idle.stopped:
                    events, progressed = file.next_events(to_the_end=True)
                    if not progressed:
                        break
                    if events:
                        yield self._batch(file, events)
            finally:
                file.close()

    def _look(self) -> None:
        """Open what newly matches; a file that a known path no longer leads to is on its way out."""
        now = time.monotonic()
        here = set()
        for path in self._matching():
            try:
                status = os.stat(path)  # noqa: PTH116 -- hot
            except OSError:
                continue  # gone between listing and looking; the next look tells
            identity = Identity(status.st_dev, status.st_ino)
            here.add(identity)
            if identity not in self._files:
                self._follow(path)
            else:
                self._files[identity].path = path
        if not here:
            self._reporter.say_rarely("glob", f"no file matches {self._pattern} yet")
        for identity, file in self._files.items():
            if identity in here:
                file.quiet_since = None
            elif file.quiet_since is None:
                file.quiet_since = now

    def _next(self, file: FollowedFile) -> Batch | None:
        events, progressed = file.next_events(to_the_end=False)
        if not progressed:
            if file.restart_if_truncated():
                self._reporter.say(f"{file.path} became shorter: reading it from its beginning")
                return None
            if file.quiet_since is None or time.monotonic() - file.quiet_since < ROTATED_SECONDS:
                return None
            return self._end(file)
        if file.quiet_since is not None:
            file.quiet_since = time.monotonic()
        return self._batch(file, events) if events else None

    def _end(self, file: FollowedFile) -> Batch | None:
        """A file that was rotated away and stayed quiet: its last line, ended or not, is the last event."""
        events, _ = file.next_events(to_the_end=True)
        del self._files[file.identity]
        removed = file.links() == 0
        file.close()
        if events:
            return self._batch(file, events)
        if removed:
            self._positions.forget(file.identity)
        return None

    def _follow(self, path: str) -> None:
        file = self._open(path)
        if file is None:
            return
        if file.identity in self._files:  # the path changed hands since it was looked at
            file.close()
            return
        self._files[file.identity] = file

    def _open(self, path: str) -> FollowedFile | None:
        file = FollowedFile.open(path, self._kind)
        if file is not None and (position := self._positions.find(file)) is not None:
            file.resume(position.offset, position.head)
        return file

    def _find_rotated(self) -> None:
        """Find files that were renamed while nobody read, to read what is left of them; forget those that are gone."""
        here: dict[str, dict[int, str]] = {}
        for identity, position in self._positions.items():
            directory = str(Path(position.path).parent)
            if directory not in here:
                here[directory] = _by_inode(directory)
            path = here[directory].get(identity.inode)
            if path is None:
                self._positions.forget(identity)
            elif path != position.path:
                file = FollowedFile.open(path, self._kind)
                if file is None:
                    continue
                if file.identity not in self._files and file.begins_with(position.head):
                    file.resume(position.offset, position.head)
                    self._files[file.identity] = file
                else:
                    file.close()

    def _batch(self, file: FollowedFile, events: bytes) -> Batch:
        if file.head is None:
            raise AssertionError("a file that was read has a head")
        return Batch(events, partial(self._acknowledge, file.identity, Position(file.path, file.offset, file.head)))

    def _acknowledge(self, identity: Identity, position: Position) -> None:
        self._positions.set(identity, position)
        self._checkpoint.touch()

    def _matching(self) -> list[str]:
        return sorted(glob.glob(self._pattern, recursive=True))  # noqa: PTH207 -- pathlib matches hidden files too


def _fixed_part(pattern: str) -> str:
    """The directory that must be there: the pattern up to the first part with a wildcard."""
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return os.path.dirname(fixed) or "."  # noqa: PTH120 -- "/a/" stands for /a here


def _by_inode(directory: str) -> dict[int, str]:
    try:
        return {entry.stat().st_ino: entry.path for entry in os.scandir(directory) if entry.is_file()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise failed("read", directory, error) from error
