from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from gitopsd.fleet.connector import Connector
from gitopsd.fleet.errors import WorkerUnreachable
from gitopsd.fleet.target import SshSettings, Target

if TYPE_CHECKING:
    from pathlib import Path


def test_a_connection_leaves_the_configuration_alone_that_all_of_them_share(tmp_path: Path) -> None:
    """Others read it meanwhile, each on its own thread: put together anew, it would be empty for a moment."""
    (tmp_path / "config").write_text("Host *\n  IdentityFile /none\n")
    connector = Connector(SshSettings(config=str(tmp_path / "config")))
    shared = connector._config
    before = shared._config
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and doesn't listen
        target = Target(name="edge-1", address="127.0.0.1", user="root", port=nobody.getsockname()[1])
        with pytest.raises(WorkerUnreachable, match="refused"):
            connector.open(target, time.monotonic() + 10)
    assert shared._config is before
