"""What the steps of an `object-store` channel have done: `consumers/<step>/<replica>.json`.

The content is that of a `file-store` channel's cursors, with `<producer job>/<writer>` for the producer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Callable

from gitopsd.runner.transports.file_store import cursors
from gitopsd.runner.transports.file_store.cursors import NOTHING, Cursor

if TYPE_CHECKING:
    from gitopsd.runner.transports.object_store.store import Store

Damaged = Callable[[str, ValueError], None]


def folder(step: str) -> str:
    return f"consumers/{step}/"


def key_of(step: str, name: str) -> str:
    return f"{folder(step)}{name}.json"


async def put(store: Store, step: str, name: str, cursor: Cursor) -> None:
    """`name` is the replica's number, where nothing else was asked for."""
    content = json.dumps({"format": 1, **cursors.dump(cursor)}, indent=2, sort_keys=True) + "\n"
    await store.put(key_of(step, name), content.encode())


class Positions:
    """The union over all replicas of one step, past ones included; reads only what has changed since the last look."""

    def __init__(self, store: Store, step: str, damaged: Damaged) -> None:
        self._store = store
        self._step = step
        self._damaged = damaged
        self._read: dict[str, tuple[str, Cursor]] = {}
        """Key -> what it held, and the entity tag by which that is known."""

    async def refresh(self, *, but: str = "") -> Cursor:
        """One request while nothing changes. `but` is a key that isn't read."""
        listed = [stored for stored in await self._store.all(folder(self._step)) if stored.key != but]
        for stored in listed:
            if stored.key not in self._read or self._read[stored.key][0] != stored.etag:
                content = await self._store.get(stored.key)
                self._read[stored.key] = (stored.etag, self._parse(stored.key, content))
        self._read = {stored.key: self._read[stored.key] for stored in listed}
        merged: Cursor = {}
        for _, cursor in self._read.values():
            for writer, progress in cursor.items():
                merged[writer] = progress.merge(merged.get(writer, NOTHING))
        return merged

    def _parse(self, key: str, content: bytes | None) -> Cursor:
        """A damaged one counts as empty: a reader delivers again, a writer removes nothing."""
        if content is None:
            return {}
        try:
            document = json.loads(content)
            return cursors.parse(document if isinstance(document, dict) else {})
        except ValueError as error:
            self._damaged(key, error)
            return {}
