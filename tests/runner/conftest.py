from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.runner.station import Station
from tests.runner.transports import KINDS
from tests.runner.transports.file_store import FileStore
from tests.runner.transports.nats import Nats
from tests.runner.transports.object_store import ObjectStore
from tests.runner.transports.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.runner.transports.kind import Transports


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


@pytest.fixture(params=list(KINDS))
def transport(request: pytest.FixtureRequest, station: Station) -> Iterator[Transports]:
    made = KINDS[request.param](station)
    yield made
    made.close()


@pytest.fixture(params=["nats", "object-store"])
def remote(request: pytest.FixtureRequest, station: Station) -> Iterator[Transports]:
    """Those whose ends see nothing of each other but by a server."""
    made = KINDS[request.param](station)
    yield made
    made.close()


@pytest.fixture
def worker(station: Station) -> Transports:
    return Worker(station)


@pytest.fixture
def file_store(station: Station) -> Transports:
    return FileStore(station)


@pytest.fixture
def nats(station: Station) -> Iterator[Nats]:
    made = Nats(station)
    yield made
    made.close()


@pytest.fixture
def object_store(station: Station) -> Iterator[ObjectStore]:
    made = ObjectStore(station)
    yield made
    made.close()
