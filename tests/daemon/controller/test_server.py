"""The control socket under clients that come all at once."""

import socket
from contextlib import ExitStack
from pathlib import Path

from gitopsd.daemon.controller.protocol import Done
from gitopsd.daemon.controller.server import ControlServer


def test_many_clients_that_come_at_once_are_all_let_in(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    server = ControlServer(path, lambda _: iter([Done()]))  # not begun yet: each of them waits
    with ExitStack() as opened:
        clients = [opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) for _ in range(30)]
        for client in clients:
            client.settimeout(10)
            client.connect(str(path))
            client.sendall(b'{"request": "who"}\n')
        server.start()
        opened.callback(server.close)
        assert {client.makefile().readline() for client in clients} == {'{"answer":"done","problem":"","hint":""}\n'}
