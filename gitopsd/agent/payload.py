from __future__ import annotations

import zlib
from typing import Any

from .errors import AgentError
from .githash import blob_id
from .manifest import is_object_id

# Releases are text; large artifacts are fetched by their jobs. The bound is on memory, against a runaway request.
LARGEST_PAYLOAD = 512 * 1024 * 1024


def unpack(index: Any, payload: bytes) -> dict[str, bytes]:
    """The blobs that came along, each verified against its id: zlib of their bytes in the order of index.

    index: [[blob id, size], ...]. AgentError `bad-payload` names what doesn't verify.
    """
    sizes = _parse_index(index)
    total = sum(size for _, size in sizes)
    if total > LARGEST_PAYLOAD:
        raise AgentError("bad-payload", f"the payload of {total} bytes is larger than {LARGEST_PAYLOAD}")
    data = _inflate(payload, total)
    blobs: dict[str, bytes] = {}
    position = 0
    for blob, size in sizes:
        content = data[position : position + size]
        position += size
        if blob_id(content) != blob:
            raise AgentError("bad-payload", f"blob {blob} of the payload has other content than its id says")
        blobs[blob] = content
    return blobs


def _parse_index(index: Any) -> list[tuple[str, int]]:
    if not isinstance(index, list):
        raise AgentError("bad-payload", "the payload's index is not a list")
    for item in index:
        if not isinstance(item, list) or len(item) != 2:
            raise AgentError("bad-payload", "an entry of the payload's index is not [blob id, size]")
        blob, size = item
        if not is_object_id(blob) or not isinstance(size, int) or size < 0:
            raise AgentError("bad-payload", f"{item!r} in the payload's index is not [blob id, size]")
    return [(blob, size) for blob, size in index]


def _inflate(payload: bytes, total: int) -> bytes:
    if not payload and total == 0:
        return b""
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(payload, total + 1)
    except zlib.error as error:
        raise AgentError("bad-payload", f"the payload does not decompress: {error}") from None
    if len(data) != total or not inflater.eof or inflater.unused_data:
        raise AgentError("bad-payload", f"the payload is cut off or too long: its index names {total} bytes")
    return data
