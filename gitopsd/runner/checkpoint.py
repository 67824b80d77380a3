from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Callable

from gitopsd.runner.errors import failed

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL_SECONDS = 0.1


def replace(path: Path, content: str) -> None:
    """Write aside, fsync, rename, fsync the directory: after a crash the old content or the new, never a part."""
    aside = path.with_name(f".{path.name}.writing")
    with aside.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def load(path: Path) -> dict[str, object] | None:
    """The object that `replace` wrote, or None if there is none. Raises ValueError if the file is damaged, OSError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if not isinstance(content, dict) or content.get("format") != 1:
        raise ValueError("not a format that this version knows")
    return content


class Checkpoint:
    """A small JSON file that follows `snapshot`: saved soon after `touch`, but never for more than a tenth of the time.

    It holds what was acknowledged; when it lags, a crash repeats events and loses none.
    """

    def __init__(self, path: Path, snapshot: Callable[[], dict[str, object]]) -> None:
        self._path = path
        self._snapshot = snapshot
        self._dirty = asyncio.Event()
        self._saving = asyncio.Lock()

    def touch(self) -> None:
        self._dirty.set()

    async def run(self) -> None:
        while True:
            await self._dirty.wait()
            began = time.monotonic()
            await self.save()
            await asyncio.sleep(max(INTERVAL_SECONDS, 10 * (time.monotonic() - began)))

    async def save(self) -> None:
        """Return when all that was touched before is on disk. Raises JobError."""
        await asyncio.shield(self._save())  # a save once begun ends, so that the next one can't meet it halfway

    async def _save(self) -> None:
        async with self._saving:
            if not self._dirty.is_set():
                return
            self._dirty.clear()
            content = json.dumps({"format": 1, **self._snapshot()}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
            try:
                await asyncio.get_running_loop().run_in_executor(None, replace, self._path, content)
            except OSError as error:
                raise failed("save the position in", self._path, error) from error
