from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gitopsd.runner.checkpoint import sync_directory
from gitopsd.runner.errors import failed
from gitopsd.runner.flow import Assembly, Counts, Pump, Receipt, settle, to_every
from gitopsd.runner.lines import BLOCK_BYTES, write_all

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.roles.ports import Ports

ROTATE_BYTES = 128 * 1024 * 1024
MOST_UNSYNCED_BYTES = 32 * 1024 * 1024


def assemble(context: Context, ports: Ports, _counts: Counts) -> Assembly:
    """Events to files: `path` (a directory), `rotate_bytes`, `rotate_seconds` (0: never by time). Raises JobError."""
    settings = context.job.settings
    sink = FileSink(
        Path(settings.text("path")),
        settings.integer("rotate_bytes", ROTATE_BYTES),
        settings.number("rotate_seconds", 0),
        context,
    )
    deliver = to_every([sink])
    return Assembly([sink], [[Pump(source, deliver) for source in ports.inputs_of("default")]])


class FileSink:
    """Appends to `<path>/<job>.<NNNNNN>.jsonl`, the newest of which it holds locked, and gives receipts after fsync.

    One fsync serves all that was appended while the one before it ran.
    """

    def __init__(self, directory: Path, rotate_bytes: int, rotate_seconds: float, context: Context) -> None:
        self._directory = directory
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        self._context = context
        self._file: AppendedFile | None = None
        self._number = 0
        self._waiting: list[Receipt[None]] = []
        self._writing, self._syncing = asyncio.Lock(), asyncio.Lock()
        self._more, self._room = asyncio.Event(), asyncio.Event()
        self._sync_under_way: asyncio.Future[None] | None = None

    async def open(self) -> None:
        try:
            self._number = self._newest()
            if not os.access(self._directory, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self._continue()
        except OSError as error:
            raise failed("write to", error.filename or self._directory, error) from error
        self._context.spawn(self._sync_what_is_written())

    async def write(self, data: bytes) -> Receipt[None]:
        async with self._writing:
            while self._file is not None and self._file.unsynced >= MOST_UNSYNCED_BYTES:
                self._room.clear()
                await self._room.wait()
            if self._file is not None and self._is_full(self._file, len(data)):
                await self._sync()
                self._file.close()
                self._file = None
            if self._file is None:
                self._file = self._create()
            self._file.append(data)
            receipt: Receipt[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(receipt)
            self._more.set()
            return receipt

    async def close(self) -> None:
        if self._sync_under_way is not None:
            await asyncio.wait({self._sync_under_way})
        if self._file is not None:
            self._file.close()

    async def _sync_what_is_written(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            await self._sync()

    async def _sync(self) -> None:
        async with self._syncing:
            file, waiting, size = self._file, self._waiting, self._file.size if self._file is not None else 0
            if file is None or not waiting:
                return
            self._waiting = []
            self._sync_under_way = asyncio.get_running_loop().run_in_executor(None, file.sync)
            await asyncio.shield(self._sync_under_way)
            file.synced = size
            for receipt in waiting:
                settle(receipt)
            self._room.set()

    def _is_full(self, file: AppendedFile, more: int) -> bool:
        if file.size == 0:
            return False
        old = self._rotate_seconds > 0 and time.time() - file.began >= self._rotate_seconds
        return old or file.size + more > self._rotate_bytes

    def _newest(self) -> int:
        """The highest number in use, 0 if none is. Raises OSError."""
        pattern = re.compile(re.escape(self._context.job.name) + r"\.(\d{6,})\.jsonl")
        matches = (pattern.fullmatch(entry.name) for entry in os.scandir(self._directory))
        return max((int(match[1]) for match in matches if match), default=0)

    def _path(self) -> Path:
        return self._directory / f"{self._context.job.name}.{self._number:06d}.jsonl"

    def _continue(self) -> None:
        """Go on in the newest file, without the torn line that a crash may have left. Raises OSError."""
        if not self._number:
            return
        path = self._path()
        try:
            self._file, torn = AppendedFile.continued(path)
        except BlockingIOError:
            self._context.reporter.say(f"another process of this job still writes {path}: going on in a new file")
            return
        if torn:
            self._context.reporter.say(f"{path} ended in a torn line of {torn} bytes: cut off, its event comes again")

    def _create(self) -> AppendedFile:
        while True:
            self._number += 1
            try:
                return AppendedFile.created(self._path())
            except FileExistsError:
                continue  # another process of this job, see _continue
            except OSError as error:
                raise failed("write", self._path(), error) from error


class AppendedFile:
    """A locked file of whole lines; whatever fails, it is left as whole lines."""

    def __init__(self, path: Path, fd: int, size: int, began: float) -> None:
        self._path = path
        self._fd = fd
        self.size = self.synced = size
        self.began = began
        """When its first event came (wall clock; of a file continued, when its latest did)."""

    @property
    def unsynced(self) -> int:
        return self.size - self.synced

    @classmethod
    def created(cls, path: Path) -> AppendedFile:
        """Raises FileExistsError, OSError."""
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sync_directory(path.parent)
        return cls(path, fd, 0, time.time())

    @classmethod
    def continued(cls, path: Path) -> tuple[AppendedFile, int]:
        """The file, and how many bytes of a torn last line were cut off. Raises BlockingIOError where it is locked."""
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(fd)
            whole = _whole_lines(fd, status.st_size)
            if whole < status.st_size:
                os.ftruncate(fd, whole)
                os.fsync(fd)
        except OSError:
            os.close(fd)
            raise
        return cls(path, fd, whole, status.st_mtime), status.st_size - whole

    def append(self, data: bytes) -> None:
        try:
            write_all(self._fd, data)
        except OSError as error:
            self._cut(self.size)
            raise failed("write", self._path, error) from error
        self.size += len(data)

    def sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            # After a failed fsync nobody knows what reached the disk, and a second one may lie.
            self._cut(self.synced)
            raise failed("write", self._path, error) from error

    def close(self) -> None:
        os.close(self._fd)

    def _cut(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
        except OSError:
            return  # the next start looks at the file's end anyway


def _whole_lines(fd: int, size: int) -> int:
    """How many bytes of a file, found from its end, are whole lines."""
    end = size
    while end > 0:
        start = max(0, end - BLOCK_BYTES)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
