"""One attempt to post a message, and what is to be done after it. The address is a secret: nothing here shows it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from gitopsd import __version__
from gitopsd.daemon.secrets.errors import SecretError
from gitopsd.model.secret import SecretValue

_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 600.0

for _name in ("httpx", "httpcore"):  # they log addresses
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`problem` is why it wasn't taken, empty where it was; `again`: whether another attempt makes sense.

    `not_before`: the seconds that the receiver asked to be left alone for.
    """

    problem: str = ""
    again: bool = False
    not_before: float = 0.0


class Post:
    """Keeps connections open from one message to the next; for one thread."""

    def __init__(self) -> None:
        self._client = httpx.Client(timeout=_TIMEOUT, headers={"user-agent": f"gitopsd/{__version__}"})

    def __call__(self, address: Callable[[], SecretValue], content: bytes) -> Answer:
        try:
            url = httpx.URL(address().reveal().decode().strip())
        except SecretError as error:
            return Answer(problem=error.message, again=True)
        except (httpx.InvalidURL, UnicodeDecodeError):
            return Answer(problem="its address is not one of the web")
        if url.scheme not in {"http", "https"} or not url.host:
            return Answer(problem="its address is not one of the web")
        headers = {"content-type": "application/json"}
        try:
            # not a byte of the answer's body is wanted, however long it is
            with self._client.stream("POST", url, content=content, headers=headers) as response:
                return _answer(response)
        except httpx.HTTPError as error:  # its text could hold the address
            return Answer(problem=f"it can't be reached ({type(error).__name__})", again=True)

    def close(self) -> None:
        self._client.close()


def _answer(response: httpx.Response) -> Answer:
    if response.is_success:
        return Answer()
    problem = f"it answers {response.status_code} {response.reason_phrase[:80]}".rstrip()
    if response.status_code not in _TRY_AGAIN:
        return Answer(problem=problem)
    return Answer(problem=problem, again=True, not_before=_retry_after(response.headers.get("retry-after", "")))


def _retry_after(text: str) -> float:
    """Seconds, or a date (RFC 9110, 10.2.3); 0 where it can't be read."""
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT)
