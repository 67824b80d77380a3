"""The manifest of an `object-store` channel: one small object for each writer, `writers/<producer job>/<writer>.json`.

    {"format": 1, "first": 18, "first_event": 51200, "ended": false}

So readers find the writers without listing segments, and know what was removed because every step had it: all segments
below `first`; and whether more may come. A writer puts it before its first segment, before it removes any, and at its
end.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gitopsd.runner.transports.object_store.store import Store

FOLDER = "writers/"


class Manifest(NamedTuple):
    first: int
    """The lowest number of a segment that may be stored."""
    first_event: int
    """The number of that segment's first event."""
    ended: bool = False
    """Its job ended well. One that was killed or cut off counts as there, since it may come back."""


NEW = Manifest(1, 0)


def key_of(writer: str) -> str:
    return f"{FOLDER}{writer}.json"


def writer_of(key: str) -> str | None:
    """`<producer job>/<writer>`, None for what isn't a manifest's key."""
    name = key[len(FOLDER) : -len(".json")]
    return name if key.endswith(".json") and name.count("/") == 1 else None


async def put(store: Store, writer: str, manifest: Manifest) -> None:
    content = json.dumps({"format": 1, **manifest._asdict()}, indent=2, sort_keys=True) + "\n"
    await store.put(key_of(writer), content.encode())


async def get(store: Store, writer: str) -> Manifest | None:
    """None where there is none that makes sense: then nothing is known of what was removed, and more is looked at."""
    content = await store.get(key_of(writer))
    if content is None:
        return None
    try:
        document = json.loads(content)
        return Manifest(int(document["first"]), int(document["first_event"]), document.get("ended") is True)
    except (ValueError, TypeError, KeyError):  # json's and Unicode's errors are ValueErrors
        return None
