"""What a forge answers, read with bounds, and what it means when it's no success."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
import msgspec

from gitopsd.compiler.words import short
from gitopsd.forge.errors import ForgeRefusedError, NotFoundError
from gitopsd.forge.limits import asked_to_wait

LARGEST = 20 * 1024 * 1024
"""Bytes of one answer. GitHub's longest, a page of a hundred pull requests, has about 2 MiB."""

_PASSING = frozenset({408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530})
_HINTS = {
    401: "check the token: it may be expired, withdrawn or mistyped",
    403: "check what the token may do: docs/reference/forges.md says what is needed",
    404: "check `forge.repository` and `forge.url`, and that the token may see the repository",
}


class TroubleError(Exception):
    """This attempt came to nothing, and another may not. `text` goes after the forge's name.

    `wait`: seconds that the forge asked for. `untouched`: it surely did nothing.
    """

    def __init__(self, text: str, *, wait: float | None = None, untouched: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.wait = wait
        self.untouched = untouched


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    status: int
    headers: Mapping[str, str]
    content: bytes


class _Words(msgspec.Struct):
    message: object = ""
    error: object = ""


def receive(response: httpx.Response, clock: Callable[[], float], end: float) -> Received:
    """Read it to its end: no longer than until `end`, and no more than LARGEST. Raises TroubleError."""
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > LARGEST:
            raise ForgeRefusedError(f"an answer has more than {LARGEST // 1024 // 1024} MiB, and is not read on")
        if clock() > end:
            raise TroubleError("takes too long to answer")
    return Received(status=response.status_code, headers=response.headers, content=bytes(content))


def check(received: Received, name: str, what: str, token: str) -> None:
    """Raise what an answer means that is no success: TroubleError, NotFoundError or ForgeRefusedError."""
    status = received.status
    if 200 <= status < 300:
        return
    limit = asked_to_wait(status, received.headers, received.content)
    if limit is not None:
        raise TroubleError("wants fewer requests", wait=limit, untouched=True)
    if status in _PASSING or status == 304:
        raise TroubleError(f"answers {status} to {what}")
    own = _own_words(received.content)
    told = f": {own}" if own and token not in own else ""
    error = NotFoundError if status in {404, 410} else ForgeRefusedError
    raise error(f"{name} answers {status} to {what}{told}", _HINTS.get(status, ""))


def target(received: Received, url: httpx.URL, method: str, name: str) -> httpx.URL | None:
    """Where a redirect leads; None where it is none. Raises ForgeRefusedError for another host: the token stays here.

    A write is repeated elsewhere only by those redirects that say so.
    """
    if received.status not in {301, 302, 307, 308} or "location" not in received.headers:
        return None
    try:
        there = url.join(received.headers["location"])
    except httpx.InvalidURL:
        there = httpx.URL()
    if (there.scheme, there.host, there.port) != (url.scheme, url.host, url.port):
        raise ForgeRefusedError(f"{name} redirects to another host, which is not followed", "correct `forge.url`")
    if method != "GET" and received.status not in {307, 308}:
        raise ForgeRefusedError(f"{name} has the repository elsewhere", "correct `forge.repository`")
    return there


def _own_words(content: bytes) -> str:
    """What the forge says about it, as one short line; it is shown, and nothing follows from it."""
    try:
        words = msgspec.json.decode(content[:100_000], type=_Words)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return ""
    text = words.message or words.error
    if not isinstance(text, str):
        text = msgspec.json.encode(text).decode()
    return short("".join(one if one.isprintable() else " " for one in text))
