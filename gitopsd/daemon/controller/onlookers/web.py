"""Small HTTP servers of the controller: Starlette under uvicorn, each in one thread with an event loop of its own."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from gitopsd.daemon.configuration.check import parse_address

_MOST_AT_ONCE = 64
_KEEP_ALIVE_SECONDS = 5
_GRACE_SECONDS = 1
_AGAIN_SECONDS = 5.0


class WebServer:
    """Answers at `address`, HOST:PORT, from `start` to `stop`.

    An address that is taken, by a controller that leads while this one stands by say, is tried again until it is free:
    who watches must not keep what is watched from its work. `problem` is told why, once, on the server's thread.
    """

    def __init__(self, address: str, routes: Sequence[BaseRoute], *, problem: Callable[[str], None]) -> None:
        self._address = address
        self._app = Starlette(routes=list(routes))
        self._problem = problem
        self._server: uvicorn.Server | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"web {address}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Requests under way have a second to finish."""
        self._stop.set()
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(_GRACE_SECONDS + 2)

    def _run(self) -> None:
        told = False
        while not self._stop.is_set():
            try:
                with _listen(self._address) as listening:
                    self._serve(listening)
            except Exception as error:  # noqa: BLE001 - the one catch-all of this thread
                if not told:
                    self._problem(f"{self._address} can't be listened on, which is tried again: {error}")
                told = True
            else:
                told = False
            self._stop.wait(_AGAIN_SECONDS)

    def _serve(self, listening: socket.socket) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=_MOST_AT_ONCE,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        if not self._stop.is_set():  # asked meanwhile
            self._server.run(sockets=[listening])


@contextlib.contextmanager
def serving(address: str, routes: Sequence[BaseRoute], *, problem: Callable[[str], None]) -> Iterator[None]:
    """A WebServer for the length of a `with`."""
    server = WebServer(address, routes, problem=problem)
    server.start()
    try:
        yield
    finally:
        server.stop()


def _listen(address: str) -> socket.socket:
    host, port = parse_address(address)
    family, _, _, _, name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(name[:2], family=family)
