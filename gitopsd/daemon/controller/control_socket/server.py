"""The control socket: other gitopsd processes on this machine ask the leader to look, to converge, and what happens."""

import logging
import os
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from gitopsd.daemon.controller.control_socket.protocol import Answer, Done, Request
from gitopsd.daemon.errors import ControllerError

_MOST_CLIENTS = 64
_LONGEST_REQUEST = 64 * 1024
_CONNECT_SECONDS = 2.0
_REQUEST_SECONDS = 5.0
_SEND_SECONDS = 30.0
_MODE = 0o660

_REQUEST: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)

Responder = Callable[[Request], Iterator[Answer | None]]
"""The answers to a request, as they come; None where there is nothing new, so that the other side hears something."""


class ControlServer:
    """Listens at `path` until `close`; each client has a thread of its own, and can hold up nobody else.

    Raises OSError where it can't listen, ControllerError where somebody else does, for another repository say. A socket
    that is left of a leader that died is replaced.
    """

    def __init__(self, path: Path, respond: Responder) -> None:
        self._path = path
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        if _is_listened_on(path):
            raise ControllerError(
                f"another controller listens on {path}",
                "give each its own place: `listen: {control: PATH}` in the operator's configuration",
            )
        path.unlink(missing_ok=True)
        self._server = _Server(str(path), respond)
        path.chmod(_MODE)
        self._thread = threading.Thread(target=self._server.serve_forever, name="control", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def _is_listened_on(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connection.connect(str(path))
        except (BlockingIOError, TimeoutError):
            return True  # by somebody who has much to do
        except OSError:
            return False
    return True


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = _MOST_CLIENTS  # beyond it a client is told at once that nobody listens

    def __init__(self, path: str, respond: Responder) -> None:
        self.respond = respond
        self.clients = threading.BoundedSemaphore(_MOST_CLIENTS)
        before = os.umask(0o177)  # nobody else between `bind` and `chmod`
        try:
            super().__init__(path, _Client)
        finally:
            os.umask(before)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if not self.clients.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        del request, client_address
        error = sys.exception()
        logging.getLogger(__name__).error("a request over the control socket failed", exc_info=error)


class _Client(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        try:
            with suppress(OSError):  # whoever asked went away: what they asked for goes on
                self._handle()
        finally:
            self.server.clients.release()

    def _handle(self) -> None:
        line = self._line()
        self.connection.settimeout(_SEND_SECONDS)
        try:
            request = _REQUEST.decode(line)
        except msgspec.DecodeError as error:
            self._send(Done(problem=f"the request isn't understood: {error}", hint="is it another version of gitopsd?"))
            return
        for answer in self.server.respond(request):
            self._send(answer)

    def _line(self) -> bytes:
        """What was asked, all of it in good time: a byte now and then keeps no place among the clients."""
        end, gathered = time.monotonic() + _REQUEST_SECONDS, bytearray()
        while b"\n" not in gathered and len(gathered) < _LONGEST_REQUEST:
            self.connection.settimeout(max(0.001, end - time.monotonic()))
            received = self.connection.recv(_LONGEST_REQUEST)
            if not received:
                break
            gathered += received
        return bytes(gathered)

    def _send(self, answer: Answer | None) -> None:
        self.wfile.write((b"" if answer is None else msgspec.json.encode(answer)) + b"\n")
