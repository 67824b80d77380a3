"""SSH servers that stop answering at a stage of our choice: real sockets, real key exchanges."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

import paramiko

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paramiko import Channel, PKey, Transport

HangsAt = Literal["banner", "exchange", "auth", "session", "exec", "read", "answer", "never"]


class Peer:
    """One that hangs at a stage, for as long as the test lasts. `served` are the commands that it was given."""

    def __init__(self, hangs_at: HangsAt) -> None:
        self.hangs_at = hangs_at
        self.let_go = threading.Event()
        self.host_key = paramiko.ECDSAKey.generate()
        self.served: list[str] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []

    @property
    def port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    @property
    def host_key_line(self) -> str:
        return f"{self.host_key.get_name()} {self.host_key.get_base64()}"

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self.let_go.set()
        self._listening.close()
        for connection in self._open:
            connection.close()

    def _serve(self, connection: socket.socket) -> None:
        if self.hangs_at == "banner":
            return
        if self.hangs_at == "exchange":
            connection.sendall(b"SSH-2.0-peer\r\n")
            return
        with suppress(paramiko.SSHException, EOFError, OSError):  # the test may be over before we begin
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.host_key)
            transport.start_server(event=threading.Event(), server=_Server(self, transport))


class _Server(paramiko.ServerInterface):
    def __init__(self, peer: Peer, transport: Transport) -> None:
        self._peer = peer
        self._transport = transport

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 -- Paramiko's
        return "publickey"

    def check_auth_publickey(self, username: str, key: PKey) -> int:  # noqa: ARG002
        self._hang("auth")
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002
        self._hang("session")
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: Channel, command: bytes) -> bool:
        self._hang("exec")
        self._peer.served.append(command.decode())
        stays = b" serve'" in command
        threading.Thread(target=self._command, args=(channel,), kwargs={"stays": stays}, daemon=True).start()
        return True

    def _hang(self, stage: HangsAt) -> None:
        if self._peer.hangs_at == stage:
            self._peer.let_go.wait(60)

    def _command(self, channel: Channel, *, stays: bool) -> None:
        """As the agent would: a line for each request, the same for each; and one alone unless it stays."""
        with suppress(OSError, EOFError):
            while line := _line(channel):
                self._peer.requests.append(line)
                self._hang("read")
                if self._peer.hangs_at == "answer":
                    channel.sendall(b'{"ok": true, "lin')
                    self._hang("answer")
                channel.sendall(b'{"ok": true, "lines": ["hello"]}\n')
                if not stays:
                    channel.send_exit_status(0)
                    channel.close()


def _line(channel: Channel) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        received = channel.recv(1)
        if not received:
            return b""
        line += received
    return line


@contextmanager
def peer_that_hangs_at(stage: HangsAt) -> Iterator[Peer]:
    peer = Peer(stage)
    threading.Thread(target=peer.run, daemon=True).start()
    try:
        yield peer
    finally:
        peer.close()
