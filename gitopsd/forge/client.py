"""The way to a forge over HTTP: conditional, paged, within deadlines, tried again with care, and quiet about tokens."""

import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from gitopsd import __version__
from gitopsd.forge.address import is_loopback
from gitopsd.forge.answers import Received, TroubleError, check, receive, target
from gitopsd.forge.errors import ForgeRefusedError, ForgeUnavailableError
from gitopsd.forge.limits import exhausted, remaining, until_reset
from gitopsd.forge.remembered import Answer, Remembered
from gitopsd.model.secret import SecretValue

CALL_SECONDS = 40.0
"""Within which a call ends, retries included."""

ATTEMPTS = 3
LONGEST_PAUSE = 8.0
"""Seconds between two attempts of one call; who is asked to wait longer is told so, by ForgeUnavailableError."""

OUTAGE_SECONDS = 15.0
MOST_PAGES = 100
_REDIRECTS = 3

T = TypeVar("T")
Parameters = Mapping[str, str | int]
Token = Callable[[], SecretValue]
"""Asked at every request, so that a token can be replaced meanwhile. May raise ForgeError."""

for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The clock and chance, and the seconds between two writes."""

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep
    chance: Callable[[], float] = random.random
    between_writes: float = 0.0


Heard = Callable[[int, int | None], object]
"""Is told of each answer: its status, and how many more requests the forge allows for now, if it says so."""


def no_matter(status: int, remaining: int | None) -> None:
    del status, remaining


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The root of an API, the forge's name in messages, and what goes with each request, its token among it."""

    address: str
    name: str
    token: Token
    authorisation: Callable[[str], tuple[str, str]]
    headers: Mapping[str, str] = field(default_factory=dict)
    heard: Heard = no_matter


class Client:
    """Safe to use from any thread. Raises what forge.py says; nothing that it raises or logs holds the token."""

    def __init__(self, destination: Destination, pace: Pace) -> None:
        self._destination = destination
        self._pace = pace
        self._remembered = Remembered()
        self._http = httpx.Client(
            timeout=httpx.Timeout(15.0, connect=10.0),
            headers={"user-agent": f"gitopsd/{__version__}", "accept": "application/json", **destination.headers},
            follow_redirects=False,
            verify=ssl.create_default_context(),  # whom this machine trusts, as for Git
            trust_env=not is_loopback(urlsplit(destination.address).hostname or ""),  # proxies
        )
        self._writing = threading.Lock()
        self._wrote = float("-inf")
        self._not_before = float("-inf")

    def get(self, path: str, type_: type[T], parameters: Parameters | None = None) -> T:
        """One value; its bytes are sent anew only if it changed."""
        return self.decode(f"GET {path}", self._call("GET", path, parameters or {}, None, again=True).content, type_)

    def pages(self, path: str, type_: type[T], parameters: Parameters, *, size: str = "per_page") -> Iterator[T]:
        """The items of a list; the next page is asked for when it's needed. `size` is the forge's word for a page's.

        The number of the next page is counted here, never read from an answer, so no answer leads elsewhere. A list
        that goes on after a hundred pages ends there.
        """
        seen = 0
        for page in range(1, MOST_PAGES + 1):
            answer = self._call("GET", path, {**parameters, size: 100, "page": page}, None, again=True)
            items = self.decode(f"GET {path}", answer.content, list[type_])  # type: ignore[valid-type]
            yield from items
            seen += len(items)
            if not items or not (answer.more or (answer.total is not None and seen < answer.total)):
                return

    def write(self, method: str, path: str, body: Mapping[str, object], *, again: bool) -> bytes:
        """What it answers. `again`: doing it twice comes to the same, so it is when nobody knows if it was done.

        One write at a time, and none too soon after the one before: some forges ask for that.
        """
        with self._writing:
            left = self._wrote + self._pace.between_writes - self._pace.clock()
            if left > 0:
                self._pace.pause(left)
            try:
                return self._call(method, path, {}, msgspec.json.encode(body), again=again).content
            finally:
                self._wrote = self._pace.clock()

    def decode(self, what: str, content: bytes, type_: type[T]) -> T:
        """A value from the JSON that came back for `what`."""
        try:
            return msgspec.json.decode(content, type=type_)
        except (msgspec.DecodeError, RecursionError) as error:
            # such as a proxy's own page, so it may pass; the error names keys, never values
            reason = str(error)[:200]
            raise self._unavailable(f"answers {what} with something else: {reason}", OUTAGE_SECONDS) from None

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, parameters: Parameters, body: bytes | None, *, again: bool) -> Answer:
        what = f"{method} {path}"
        url = httpx.URL(self._destination.address + path, params=dict(parameters) or None)
        end = self._pace.clock() + CALL_SECONDS
        attempt = 0
        while True:
            attempt += 1
            self._keep_away()
            try:
                return self._attempt(method, url, body, what, end)
            except TroubleError as error:
                if error.wait is not None:
                    self._stay_away(error.wait)
                pause = 2.0 ** (attempt - 1) * (0.5 + self._pace.chance()) if error.wait is None else error.wait + 0.1
                late = attempt == ATTEMPTS or pause > LONGEST_PAUSE or self._pace.clock() + pause >= end
                if late or not (again or error.untouched):
                    raise self._unavailable(error.text, OUTAGE_SECONDS if error.wait is None else error.wait) from None
            self._pace.pause(pause)

    def _attempt(self, method: str, url: httpx.URL, body: bytes | None, what: str, end: float) -> Answer:
        token = self._token()
        for _ in range(1 + _REDIRECTS):
            etag = self._remembered.etag(str(url)) if method == "GET" else ""
            received = self._exchange(method, url, body, token=token, etag=etag, end=end)
            there = target(received, url, method, self._destination.name)
            if there is not None:
                url = there
                continue
            kept = self._remembered.confirmed(str(url), etag) if received.status == 304 else None
            if kept is not None:
                return kept
            check(received, self._destination.name, what, token)
            answer = _answer(received)
            if method == "GET":
                self._remembered.keep(str(url), received.headers.get("etag", ""), answer)
            return answer
        raise ForgeRefusedError(f"{self._destination.name} answers {what} with one redirect after the other")

    def _exchange(
        self, method: str, url: httpx.URL, body: bytes | None, *, token: str, etag: str, end: float
    ) -> Received:
        headers = dict([self._destination.authorisation(token)])
        if etag:
            headers["if-none-match"] = etag
        if body is not None:
            headers["content-type"] = "application/json"
        try:
            with self._http.stream(method, url, content=body, headers=headers) as response:
                received = receive(response, self._pace.clock, end)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            place = url.netloc.decode("ascii")
            raise TroubleError(f"can't be reached at {place}: {_reason(error)}", untouched=True) from None
        except httpx.RequestError as error:
            raise TroubleError(f"broke off: {_reason(error)}") from None
        self._destination.heard(received.status, remaining(received.headers))
        if exhausted(received.headers):
            self._stay_away(until_reset(received.headers))
        return received

    def _token(self) -> str:
        """Raises ForgeRefusedError for one that no header can hold: what httpx says of that would show it."""
        token = self._destination.token().reveal().decode("latin-1").strip()
        if not token or not token.isascii() or not token.isprintable():
            name = self._destination.name
            raise ForgeRefusedError(f"the token for {name} can't be sent", "check that its source holds a token alone")
        return token

    def _keep_away(self) -> None:
        left = self._not_before - self._pace.clock()
        if left > 0:
            raise self._unavailable("wants fewer requests", left)

    def _stay_away(self, seconds: float) -> None:
        self._not_before = max(self._not_before, self._pace.clock() + seconds)

    def _unavailable(self, text: str, again_in: float) -> ForgeUnavailableError:
        return ForgeUnavailableError(f"{self._destination.name} {text}", again_in=again_in)


def _answer(received: Received) -> Answer:
    total = received.headers.get("x-total-count", "")
    return Answer(
        content=received.content,
        more='rel="next"' in received.headers.get("link", ""),
        total=int(total) if total.isascii() and total.isdigit() and len(total) < 10 else None,
    )


def _reason(error: httpx.RequestError) -> str:
    """In a few words: the operating system's where it has some."""
    return str(error)[:120] or type(error).__name__
