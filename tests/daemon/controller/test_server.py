"""The control socket under clients that come all at once."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from gitopsd.daemon.controller.control_socket.protocol import Done
from gitopsd.daemon.controller.control_socket.server import ControlServer
from gitopsd.daemon.errors import ControllerError


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


def test_a_client_that_never_ends_its_request_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitopsd.daemon.controller.control_socket.server._REQUEST_SECONDS", 0.3)
    path = tmp_path / "control.sock"
    server = ControlServer(path, lambda _: iter([Done()]))
    server.start()
    with ExitStack() as opened:
        opened.callback(server.close)
        client = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        client.settimeout(0.05)
        client.connect(str(path))
        end = time.monotonic() + 30
        gone = False
        while not gone:
            assert time.monotonic() < end
            try:
                client.send(b" ")
                gone = client.recv(1) == b""
            except TimeoutError:
                continue  # each byte comes in time
            except OSError:
                gone = True


def test_a_socket_that_another_controller_listens_on_is_left_to_it_and_one_of_a_dead_one_replaced(
    tmp_path: Path,
) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ControllerError, match="another controller listens"):
            ControlServer(path, lambda _: iter([Done()]))
        assert path.exists()
    server = ControlServer(path, lambda _: iter([Done()]))
    server.start()
    server.close()
    assert not path.exists()
