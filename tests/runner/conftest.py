from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.runner.station import Endpoint, Station

if TYPE_CHECKING:
    from collections.abc import Iterator


def _works(interpreter: str) -> bool:
    """Whether there is such a program, and not only a shim for it."""
    if shutil.which(interpreter) is None:
        return False
    probe = subprocess.run([interpreter, "-c", "import asyncio"], capture_output=True, check=False)
    return probe.returncode == 0


OTHER_INTERPRETERS = [name for name in ("python3.9", "python3.10", "python3.12", "python3.13") if _works(name)]


@pytest.fixture(params=[sys.executable, *OTHER_INTERPRETERS], ids=lambda name: Path(name).name)
def every_python(request: pytest.FixtureRequest, station: Station) -> Station:
    """The station with each interpreter that this machine has."""
    station.interpreter = request.param
    return station


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    run = tempfile.mkdtemp(prefix="gr-")  # the paths of sockets must be short
    root = tmp_path / "worker"
    root.mkdir()
    station = Station(root, Path(run))
    try:
        yield station
    finally:
        station.close()
        shutil.rmtree(run)


class Transports:
    """Makes both ends of a channel, whatever the transport."""

    def __init__(self, kind: str, station: Station) -> None:
        self.kind = kind
        self._station = station

    def output(self, steps: dict[str, int], *, producer: str = "o.collect.0", replica: int = 0) -> Endpoint:
        """One producer's end, towards each consuming step and its number of replicas."""
        if self.kind == "worker":
            return {"transport": "worker", "channel": "c", "sockets": [_socket(step, replica) for step in steps]}
        path = str(self._station.root / "mnt" / "c")
        return {"transport": "file-store", "channel": "c", "path": path, "producer": producer, "consumers": steps}

    def input(self, step: str, replica: int = 0, replicas: int = 1) -> Endpoint:
        if self.kind == "worker":
            return {"transport": "worker", "channel": "c", "socket": _socket(step, replica)}
        return {
            "transport": "file-store",
            "channel": "c",
            "path": str(self._station.root / "mnt" / "c"),
            "consumer": step,
            "replica": replica,
            "replicas": replicas,
        }


def _socket(step: str, replica: int) -> str:
    return f"{step.encode().hex()[:10]:0<10}{replica:02d}"


@pytest.fixture(params=["worker", "file-store"])
def transport(request: pytest.FixtureRequest, station: Station) -> Transports:
    return Transports(request.param, station)


@pytest.fixture
def worker(station: Station) -> Transports:
    return Transports("worker", station)


@pytest.fixture
def file_store(station: Station) -> Transports:
    return Transports("file-store", station)
