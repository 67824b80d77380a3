"""One connection to one of a channel's servers, from beginning to end.

The client's own reconnecting is off: whoever holds a connection makes the next one, and knows what was under way.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import nats.errors
from nats.aio.client import Client, Srv
from nats.aio.transport import TcpTransport

from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.transports.nats.login import FORMS, Login, login_of

if TYPE_CHECKING:
    from gitopsd.runner.settings import Settings

CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 2.0
PING_SECONDS = 5
"""A server that leaves two of these unanswered is gone."""
READ_BYTES = 256 * 1024


class AwayError(Exception):
    """No server does what it is asked now; it may later."""


class RefusedError(Exception):
    """The servers answered, and what they don't accept won't change by waiting."""


class Link(NamedTuple):
    client: Client
    lost: asyncio.Future[None]
    """Done when the connection has ended."""

    async def close(self) -> None:
        """Let go of it; a server that hangs is not waited for."""
        try:
            await asyncio.wait_for(self.client.close(), CLOSE_SECONDS)
        except (asyncio.TimeoutError, nats.errors.Error, OSError):
            pass  # what it still had to say is said again on the next connection


class Servers:
    """The servers of a channel, and how to be let in: read from an end of job.json, secrets from their files."""

    def __init__(self, endpoint: Settings, name: str) -> None:
        self._addresses = endpoint.texts("servers")
        self._name = name
        self._login = _login(endpoint)
        self._context = _tls(endpoint, self._addresses)

    def __str__(self) -> str:
        return ", ".join(self._addresses)

    async def connect(self) -> Link:
        """To whichever answers first, in an order drawn anew each time. Raises AwayError, RefusedError."""
        failures: dict[str, AwayError | RefusedError] = {}
        for address in random.sample(self._addresses, len(self._addresses)):
            attempt = await self._connect_to(address)
            if isinstance(attempt, Link):
                return attempt
            failures[address] = attempt
        refused = all(isinstance(failure, RefusedError) for failure in failures.values())
        why = "; ".join(f"{address}: {failure}" for address, failure in failures.items())
        raise (RefusedError if refused else AwayError)(why)

    def refusal(self, link: Link) -> str:
        """What the server said if it ended a connection since it no longer accepts the login; else nothing."""
        said = str(link.client.last_error or "")
        return said + self._login.remark(time.time()) if _is_refusal(said) else ""

    async def _connect_to(self, address: str) -> Link | AwayError | RefusedError:
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        said: list[Exception] = []

        async def on_error(error: Exception) -> None:
            said[:] = [error]

        async def on_closed() -> None:
            if not lost.done():
                lost.set_result(None)

        client = _Client(wants_tls=address.startswith("tls://"), public_key=self._login.public_key)
        options = {**self._login.options, "tls": self._context} if self._context else self._login.options
        try:
            await asyncio.wait_for(
                client.connect(
                    servers=[address],
                    name=self._name,
                    error_cb=on_error,
                    closed_cb=on_closed,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    ping_interval=PING_SECONDS,
                    **options,
                ),
                CONNECT_SECONDS,
            )
        except BaseException as error:
            await Link(client, lost).close()
            if not isinstance(error, (OSError, nats.errors.Error, asyncio.TimeoutError)):
                raise
            cause = said[0] if said and isinstance(error, nats.errors.NoServersError) else error
            reason = str(cause) or "no answer"
            refused = isinstance(cause, _PlainError) or _is_refusal(reason)
            return RefusedError(reason + self._login.remark(time.time())) if refused else AwayError(reason)
        return Link(client, lost)


class _PlainError(nats.errors.Error):
    """A server that is to be spoken to over TLS only doesn't."""


class _Transport(TcpTransport):
    """Reads more at a time than the client asks for, 32 KiB, which for a message of 256 KiB are eight turns."""

    async def read(self, _buffer_size: int) -> bytes:
        data: bytes = await super().read(READ_BYTES)
        return data


class _Client(Client):
    """Never says who it is over a connection in the clear where the address asks for TLS, and ends without a noise.

    It replaces three methods and sets three fields that aren't public; the client's version is pinned exactly.
    """

    def __init__(self, *, wants_tls: bool, public_key: str) -> None:
        super().__init__()
        self._wants_tls = wants_tls
        self._public_nkey = public_key or None  # by itself the client reads it from a seed, with a compiled library
        self._auth_configured = True  # what is given to `connect` to sign with is used even if no login is asked for

    async def _connect_to_server(self, server: Srv) -> None:
        self._transport = _Transport()  # type: ignore[no-untyped-call]  # it has no types
        await self._transport.connect(server.uri, READ_BYTES, self.options["connect_timeout"])

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Comes before anything is said, and where a server could talk the client out of TLS."""
        if self._wants_tls and not info.get("tls_required"):
            raise _PlainError("the server doesn't ask for TLS; configure it there, or write nats://")
        await super()._process_info(info, initial_connection)

    async def _process_op_err(self, error: Exception) -> None:
        """What waits to be sent would be tried once more, fail, and leave the client half closed, without a word."""
        self._pending, self._pending_data_size = [], 0
        await super()._process_op_err(error)


def _is_refusal(said: str) -> bool:
    return any(word in said.lower() for word in ("authorization", "authentication", "certificate"))


def _login(endpoint: Settings) -> Login:
    name = endpoint.text("credentials", "")
    if not name:
        return Login({})
    path = _credential(name)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise failed("read the secret", path, error) from error
    except ValueError:
        raise JobError(f"the secret {name} isn't text; {FORMS}") from None
    return login_of(name, text)


def _tls(endpoint: Settings, addresses: list[str]) -> ssl.SSLContext | None:
    """None where the servers are spoken to in the clear, unless they ask for TLS."""
    authority, certificate = endpoint.text("authority", ""), endpoint.text("certificate", "")
    if not authority and not certificate and not any(address.startswith("tls://") for address in addresses):
        return None
    try:
        context = ssl.create_default_context(cafile=str(_credential(authority)) if authority else None)
        if certificate:
            context.load_cert_chain(_credential(certificate))
    except ssl.SSLError as error:
        secret = certificate or authority
        raise JobError(f"the secret {secret} isn't what TLS needs ({error.reason}); write PEM") from None
    except OSError as error:
        raise failed("read the secrets", f"{authority} {certificate}".strip(), error) from error
    return context


def _credential(name: str) -> Path:
    directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not directory:
        raise JobError(f"the secret {name} isn't there: CREDENTIALS_DIRECTORY isn't set; apply the release again")
    return Path(directory) / name
