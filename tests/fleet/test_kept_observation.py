"""Over a kept connection an unchanged worker answers in a word; whatever happens to it, that answer is never given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from tests.agent.releases import TestJob, release_of
from tests.fleet.test_reconcile import DAMAGE, SYSTEM
from tests.fleet_ssh.on_machines import activate, settings_for, target_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitopsd.fleet.connection import WorkerConnection
    from gitopsd.model.facts import Observation
    from tests.fleet.fixtures import StartFleet
    from tests.fleet.machine import Machine

A, B = "orders.a.0", "orders.b.0"
RELEASE = release_of(
    TestJob(name=A), TestJob(name=B, unit_lines=("NoNewPrivileges=yes",)), extra={f"jobs/{B}/files/word.txt": b"beta\n"}
)
UNIT = f"gitopsd-{B}.service"
MORE_DAMAGE = {
    # as in DAMAGE, but of a type that is started without saying so
    "an orphan": DAMAGE["an orphan"][0].replace("sed '", "sed 's/Type=notify/Type=exec/; "),
    "an edit of the same size, with the old times": (
        f"f=/var/lib/gitopsd/current/jobs/{B}/files/word.txt; touch -r $f /tmp/times; "
        "printf 'atbe\\n' > $f; touch -r /tmp/times $f"
    ),
    "a restart": f"systemctl restart {UNIT}",
    "a killed service, started anew by systemd": f"systemctl kill -s KILL {UNIT}; sleep 1",
    "a drop-in that a package brings": (
        f"mkdir -p /usr/lib/systemd/system/{UNIT}.d; printf '[Service]\\nNice=5\\n' > "
        f"/usr/lib/systemd/system/{UNIT}.d/nice.conf; systemctl daemon-reload"
    ),
    "that drop-in gone again": f"rm -r /usr/lib/systemd/system/{UNIT}.d; systemctl daemon-reload",
    "a unit of systemd-run": "systemd-run --unit=gitopsd-orders.z.0 sleep 1000",
    "another owner": "sed -i s/aaaaaaaa/bbbbbbbb/ /var/lib/gitopsd/owner.json",
    "a frozen link in the wants directory": f"rm {SYSTEM}/multi-user.target.wants/{UNIT}",
}


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    return fleet(1)["worker-1"]


@pytest.fixture
def connection(machine: Machine) -> Iterator[WorkerConnection]:
    with Workers(settings_for(machine)) as workers:
        target = target_of(machine, owner=None)
        with workers.connect(target_of(machine)) as opened:
            machine.run(["sh", "-c", "systemctl stop 'gitopsd-*'; rm -f /var/lib/gitopsd/owner.json"])
            activate(opened, RELEASE)
        with workers.connect(target) as opened:
            verbs.observe(opened)
            until(lambda: answers_same(opened))  # what was written shortly before is never trusted to be unchanged
            yield opened


def plain(state: Observation) -> object:
    """An observation without what is rounded anew each time."""
    units = {name: msgspec.structs.replace(unit, since=None) for name, unit in state.units.items()}
    return msgspec.structs.replace(state, units=units)


def asked_anew(connection: WorkerConnection, machine: Machine) -> Observation:
    with Workers(settings_for(machine)) as workers, workers.connect_anew(connection.target) as anew:
        return verbs.observe(anew)


def answers_same(connection: WorkerConnection) -> bool:
    session = connection._session  # type: ignore[attr-defined]
    before = session._observed
    verbs.observe(connection)
    return session._observed is before


@pytest.mark.parametrize("damage", sorted({*DAMAGE, *MORE_DAMAGE}))
def test_no_change_is_missed(machine: Machine, connection: WorkerConnection, damage: str) -> None:
    verbs.observe(connection)
    assert answers_same(connection), "nothing has happened"
    before = verbs.observe(connection)
    machine.run(["sh", "-c", MORE_DAMAGE[damage] if damage in MORE_DAMAGE else DAMAGE[damage][0]], check=False)
    after = verbs.observe(connection)
    anew = asked_anew(connection, machine)
    assert plain(after) == plain(anew)
    assert plain(after) != plain(before), "the damage shows at all"
