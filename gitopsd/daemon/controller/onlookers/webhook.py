"""`listen: webhook`: where a forge tells that something happened, so that the controller looks at once."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gitopsd.daemon.secrets.errors import SecretError
from gitopsd.forge.forge import ForgeKind
from gitopsd.forge.webhook import LARGEST, Hint, NotUnderstoodError, hints, is_named, is_signed
from gitopsd.model.secret import SecretValue

PATH = "/webhook"

BETWEEN_LOOKS = 3.0
"""Seconds. However many deliveries come, sent again by whomever, the controller looks no more often for them."""

_BODY_SECONDS = 10.0
_BETWEEN_WORDS = 60.0

Outcome = Literal["taken", "ignored", "refused"]
Looks = Mapping[Hint, Callable[[], object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """What deliveries are judged by. `secret` is asked each time, and may raise SecretError.

    `count` is told what became of each one, `warn` what was refused, at most once a minute.
    """

    kind: ForgeKind
    repository: str
    secret: Callable[[], SecretValue]
    count: Callable[[Outcome], object]
    warn: Callable[[str], object]


class Waiting:
    """What is worth looking at, until somebody did. It can't grow: a hint that waits already says it all."""

    def __init__(self, looks: Looks, *, between: float) -> None:
        self._looks = looks
        self._between = between
        self._hints: set[Hint] = set()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook hints", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()

    def add(self, more: frozenset[Hint]) -> None:
        with self._changed:
            self._hints |= more
            self._changed.notify_all()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._hints or self._stop.is_set())
                taken, self._hints = self._hints, set()
            for hint in sorted(taken, key=lambda one: one.value):
                if hint in self._looks:
                    self._looks[hint]()
            self._stop.wait(self._between)


@contextmanager
def receiving(receiver: Receiver, looks: Looks) -> Iterator[Sequence[BaseRoute]]:
    """The routes to serve, for the length of a `with`; `looks` says what to call for each hint."""
    waiting = Waiting(looks, between=BETWEEN_LOOKS)
    waiting.start()
    try:
        yield routes(receiver, waiting)
    finally:
        waiting.stop()


def routes(receiver: Receiver, waiting: Waiting) -> Sequence[BaseRoute]:
    refusals = _Refusals(warn=receiver.warn)

    async def delivered(request: Request) -> Response:
        try:
            found = await _judge(request, receiver)
        except _RefusedError as refused:
            receiver.count("refused")
            refusals.tell(refused.why)
            return Response(f"{refused.answer}\n", refused.status, media_type="text/plain")
        waiting.add(found)
        receiver.count("taken" if found else "ignored")
        return Response(status_code=202 if found else 204)

    return (Route(PATH, delivered, methods=["POST"]),)


async def _judge(request: Request, receiver: Receiver) -> frozenset[Hint]:
    """What a delivery hints at. Raises _RefusedError, before anything of its body is read but the bytes."""
    if not is_named(receiver.kind, request.headers):
        raise _RefusedError(401, "it has no signature")
    body = await _body(request)
    try:
        secret = await run_in_threadpool(receiver.secret)
    except SecretError as error:
        raise _RefusedError(503, f"it can't be checked now: {error.message}", "it can't be checked now") from None
    if not is_signed(receiver.kind, request.headers, body, secret):
        raise _RefusedError(401, "its signature is not that of `forge.webhook_secret`")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _RefusedError(415, "it is not JSON: set the webhook's content type to application/json")
    try:
        return hints(receiver.kind, request.headers, body, receiver.repository)
    except NotUnderstoodError as error:
        raise _RefusedError(400, str(error)) from None


async def _body(request: Request) -> bytes:
    """One that is too long is noticed as soon as it is said or seen."""
    too_long = _RefusedError(413, f"its body has more than {LARGEST // 1024} KiB")
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and (len(said) > 9 or int(said) > LARGEST):
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    raise too_long
    except (TimeoutError, ClientDisconnect):
        raise _RefusedError(408, "its body didn't come") from None
    return bytes(body)


class _RefusedError(Exception):
    """`why` is for the operator; `answer` for whoever sent it."""

    def __init__(self, status: int, why: str, answer: str = "") -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.answer = answer or why


@dataclass(slots=True, kw_only=True)
class _Refusals:
    """Somebody who knocks all day must not fill the journal."""

    warn: Callable[[str], object]
    silent_until: float = field(default=float("-inf"))
    untold: int = 0

    def tell(self, why: str) -> None:
        now = time.monotonic()
        if now < self.silent_until:
            self.untold += 1
            return
        more = f", and {self.untold} more since the last message" if self.untold else ""
        self.silent_until, self.untold = now + _BETWEEN_WORDS, 0
        self.warn(f"a webhook delivery was refused: {why}{more}")
