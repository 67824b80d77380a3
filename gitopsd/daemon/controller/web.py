"""Small HTTP servers of the controller: Starlette under uvicorn, each in one thread with an event loop of its own."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from gitopsd.daemon.configuration_check import parse_address
from gitopsd.daemon.errors import ControllerError

_MOST_AT_ONCE = 64
_KEEP_ALIVE_SECONDS = 5
_GRACE_SECONDS = 1


@contextlib.contextmanager
def serving(address: str, routes: Sequence[BaseRoute], *, failed: Callable[[str], None]) -> Iterator[int]:
    """Answers at `address`, HOST:PORT, for the length of a `with`; gives the port.

    `failed` is told, on the server's thread, why it ended of itself. Raises ControllerError where the address can't be
    listened on. Requests under way at the end have a second to finish.
    """
    listening = _listen(address)
    server = uvicorn.Server(
        uvicorn.Config(
            Starlette(routes=list(routes)),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            limit_concurrency=_MOST_AT_ONCE,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )

    def serve() -> None:
        try:
            server.run(sockets=[listening])
        except Exception as error:  # noqa: BLE001 - of a thread: who watches must not end what is watched
            failed(f"{address} is not answered any more: {type(error).__name__}: {error}")

    thread = threading.Thread(target=serve, name=f"web {address}", daemon=True)
    try:
        thread.start()
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(_GRACE_SECONDS + 2)
        listening.close()


def _listen(address: str) -> socket.socket:
    host, port = parse_address(address)
    try:
        family, _, _, _, name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(name[:2], family=family)
    except OSError as error:
        raise ControllerError(
            f"{address} can't be listened on: {error.strerror or error}",
            "correct `listen` in the configuration, or see what else listens there with `ss -ltnp`",
        ) from None
