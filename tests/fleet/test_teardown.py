import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.base_image import cache_folder
from tests.fleet.leftovers import leftovers, traces
from tests.fleet.machines import Fleet
from tests.fleet.readiness import greets
from tests.fleet.slot import sweep

pytestmark = pytest.mark.fleet


def test_nothing_is_left_of_a_fleet_that_was_stopped() -> None:
    with Fleet.start(1) as fleet:
        slot = slot_of(fleet["worker-1"].address)
        assert traces(slot)
    fleet.stop()

    assert leftovers(slot) == []


def test_two_fleets_at_once_do_not_meet() -> None:
    with Fleet.start(1) as one:
        with Fleet.start(1) as other:
            assert slot_of(other["worker-1"].address) != slot_of(one["worker-1"].address)
            assert other["worker-1"].host_key != one["worker-1"].host_key

        assert greets(one["worker-1"].address, within=30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_a_fleet_whose_owner_was_interrupted(number: signal.Signals) -> None:
    owner, slot = fleet_of_another_process()
    assert traces(slot)

    owner.send_signal(number)

    assert owner.wait(timeout=120) == 0
    assert leftovers(slot) == []


def test_what_a_killed_owner_left_is_swept() -> None:
    owner, slot = fleet_of_another_process()
    assert traces(slot)
    owner.kill()
    owner.wait(timeout=120)

    sweep()

    assert leftovers(slot) == []


def slot_of(address: str) -> int:
    return int(address.split(".")[2])


def fleet_of_another_process() -> tuple[subprocess.Popen[str], int]:
    argv = [sys.executable, "-m", "tests.fleet", "up", "1"]
    with_our_image = {**os.environ, "XDG_CACHE_HOME": str(cache_folder().parents[1])}  # tests have another cache
    owner = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], env=with_our_image)
    assert owner.stdout is not None
    printed = ""
    while not printed.rstrip().endswith("\n]"):
        line = owner.stdout.readline()
        assert line, f"the fleet did not come up; it printed: {printed}"
        printed += line
    owner.stdout.close()
    return owner, slot_of(json.loads(printed)[0]["address"])
