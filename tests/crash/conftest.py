from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from tests.crash.killing import put_in_place
from tests.fleet.fixtures import fleet, pytest_collection_modifyitems, pytest_runtest_setup
from tests.fleet_ssh.on_machines import settings_for, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitopsd.fleet.connection import WorkerConnection
    from tests.fleet.fixtures import StartFleet
    from tests.fleet.machine import Machine

__all__ = ["fleet", "pytest_collection_modifyitems", "pytest_runtest_setup"]


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    """One whose agents can be killed (killing.py)."""
    machine = fleet(1)["worker-1"]
    put_in_place(machine)
    return machine


@pytest.fixture
def worker(machine: Machine) -> Iterator[WorkerConnection]:
    with Workers(settings_for(machine)) as workers, workers.connect(target_of(machine)) as connection:
        yield connection
        verbs.teardown(connection)
