"""The workflow of test_three_machines.py over a cluster of three NATS servers, one on each of its machines, and a step
that a message starts.

The servers let in whoever has a JWT of their operator's account and signs for it. One machine loses its power while
events pass, with its server and its jobs, and another is drained: nothing is lost.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

from tests.e2e import test_messages as messages
from tests.e2e.test_three_machines import BLUEPRINT, FLEET, SCRIPT, WORKFLOW
from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.fleet.machines import Fleet
from tests.fleet.operators import production_operator
from tests.nats_keys import Decentralised, Nkey
from tests.nats_server import program
from tests.operator import Operator, eventually

if TYPE_CHECKING:
    from pathlib import Path

NATS = Decentralised()
USER = Nkey("U")
LINES_A_SECOND = 2000

SERVER = """\
server_name: {name}
listen: "0.0.0.0:4222"
jetstream {{ store_dir: "/var/lib/nats", max_file: 1G }}
cluster {{ name: fleet, listen: "0.0.0.0:6222", routes: [{routes}] }}
{login}
"""
UNIT = """\
[Service]
ExecStart=/usr/local/bin/nats-server -c /etc/nats.conf
Restart=always
[Install]
WantedBy=multi-user.target
"""
# as a program that logs, until it is stopped; what it wrote before the power went counts
FEEDER = f"""
import itertools, sys, time
name = sys.argv[1]
with open(f"/srv/in/{{name}}.log", "a") as file:
    for n in itertools.count(step={LINES_A_SECOND // 10}):
        lines = (f"{{name}} {{n + i}}{{'' if i else ' of libssl'}}\\n" for i in range({LINES_A_SECOND // 10}))
        file.write("".join(lines))
        file.flush()
        time.sleep(0.1)
"""
SHOP = """\
workflow: shop
steps:
  close: {use: blueprints/close, signals: closed, place: {group: edge, replicas: 3}}
  report: {use: blueprints/step, on: {message: closed}, place: {group: edge, replicas: 3}}
messages:
  closed: {transport: nats, replicas: 3}
"""


@pytest.fixture(scope="module")
def machines(fleet: StartFleet) -> Fleet:
    machines = fleet(names=("edge-1", "edge-2", "edge-3"))
    routes = ", ".join(f"nats://{machine.address}:6222" for machine in machines.values())
    for machine in machines.values():
        shutil.copy(program(), machine.root / "usr/local/bin/nats-server")
        _write(machine, "etc/nats.conf", SERVER.format(name=machine.name, routes=routes, login=NATS.configuration()))
        _write(machine, "etc/systemd/system/nats.service", UNIT)
        _write(machine, "root/feeder.py", FEEDER)
        (machine.root / "srv/in").mkdir()
    for machine in machines.values():
        machine.run(["systemctl", "enable", "--now", "nats.service"])
    return machines


@pytest.fixture(scope="module")
def deployed(machines: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    home = tmp_path_factory.mktemp("home")
    (home / "login").write_text(NATS.creds(user=USER))
    (home / "login").chmod(0o600)
    operator = production_operator(home, machines, f"secrets: {{nats_login: {{file: {home / 'login'}}}}}\n")
    workers = "\n".join(
        f'      {machine.name}: {{address: {machine.address}, user: root, host_key: "{machine.host_key}"}}'
        for machine in machines.values()
    )
    servers = [f"nats://{machine.address}:4222" for machine in machines.values()]
    transports = {"nats": {"servers": servers, "credentials": "nats_login"}}
    workflow = WORKFLOW
    for channel in ("shaped", "alarms"):
        workflow = workflow.replace(
            f"transport: file-store, path: /mnt/shared/{channel}", "transport: nats, replicas: 3"
        )
    operator.write(
        {
            "gitopsd.yaml": json.dumps(
                {"environments": {"production": {"fleet": "fleets/production.yaml", "transports": transports}}}
            ),
            "fleets/production.yaml": FLEET.format(workers=workers).replace("    mounts: {/mnt/shared: shared}\n", ""),
            "workflows/logs.yaml": workflow,
            "blueprints/alarm.yaml": BLUEPRINT,
            "files/alarm.py": SCRIPT,
            "workflows/shop.yaml": SHOP,
            "blueprints/close.yaml": messages.CLOSE,
            "blueprints/step.yaml": messages.STEP,
            "files/step.py": messages.SCRIPT,
        }
    )
    operator.commit("Logs over NATS")
    operator.run("worker", "probe")
    results = operator.run("apply", "--json").json
    assert [worker["state"] for worker in results["workers"]] == ["converged"] * 3
    return operator


def test_nothing_is_lost_when_a_machine_loses_its_power(deployed: Operator, machines: Fleet) -> None:
    victim = machines[_worker_of(deployed, "logs.deliver.0")]
    others = [machine for machine in machines.values() if machine is not victim]
    _feed(machines.values(), "power")
    eventually("events pass", lambda: len(_written(machines, "/srv/out")) > 3 * LINES_A_SECOND)
    victim.power_off()
    _close(others[0])
    before = len(_written(machines, "/srv/out"))
    eventually("they go on", lambda: len(_written(machines, "/srv/out")) > before + 3 * LINES_A_SECOND)
    _stop(others)
    of_others = _sent(others, "power")
    eventually(
        "everything of the machines that are left arrives",
        lambda: len(_arrived(machines).keys() & of_others.keys()) >= len(of_others) * 0.99,
    )
    eventually("the close is reported", lambda: _reported(machines) == 1)
    victim.boot()
    _close(victim)
    sent = _sent(machines.values(), "power")
    assert {name for name, _ in sent} == machines.keys()
    eventually("everything has arrived", lambda: sent.keys() <= _arrived(machines).keys(), timeout=120)
    arrived = _arrived(machines)
    assert arrived.keys() == sent.keys()
    twice = arrived.total() - len(sent)
    print(f"{len(sent):,} events, {twice:,} of them twice")
    alarms = {one for one in sent if "libssl" in one[1]}
    eventually("every alarm has been written", lambda: alarms <= _arrived(machines, "/srv/alarms").keys())
    eventually("both closes are reported", lambda: _reported(machines) == 2)
    eventually("everything runs again", lambda: deployed.run("status", "--exit-code", expect=None).code == 0)


def test_nothing_is_lost_or_stuck_when_a_machine_is_drained(deployed: Operator, machines: Fleet) -> None:
    drained = machines[_worker_of(deployed, "logs.deliver.1")]
    others = [machine for machine in machines.values() if machine is not drained]
    for machine in machines.values():
        machine.run(["rm", "/srv/in/power.log"])  # jobs that come from elsewhere would begin with it
    _feed(others, "drain")
    eventually("events pass", lambda: len(_of("drain", _arrived(machines))) > LINES_A_SECOND)
    deployed.run("worker", "drain", drained.name, "--reason", "new disk")
    deployed.run("apply")
    _close(others[0])
    _stop(others)
    sent = {line for _, line in _sent(others, "drain")}
    # by the line alone: where two jobs collect one file now, each sets its own machine's name
    eventually("everything has arrived", lambda: _of("drain", _arrived(machines)) == sent)
    alarms = {line for line in sent if "libssl" in line}
    eventually("every alarm has been written", lambda: _of("drain", _arrived(machines, "/srv/alarms")) == alarms)
    eventually("the close is reported", lambda: _reported(machines) == 3)
    assert drained.name not in {one["worker"] for one in deployed.run("workloads", "--json").json}
    eventually("nothing waits any more", lambda: _waiting(deployed) == 0)


def test_the_login_is_in_no_log(deployed: Operator, machines: Fleet) -> None:
    del deployed
    for machine in machines.values():
        assert USER.seed[5:17] not in machine.run(["journalctl", "--output=cat", "--no-pager"]).stdout


def _write(machine: Machine, path: str, text: str) -> None:
    file = machine.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _worker_of(deployed: Operator, job: str) -> str:
    (worker,) = [one["worker"] for one in deployed.run("workloads", "--json").json if one["job"] == job]
    return str(worker)


def _waiting(deployed: Operator) -> int:
    traffic = [one["traffic"] for one in deployed.run("workloads", "--json").json if one["traffic"]]
    return sum(end["waiting"] or 0 for one in traffic for end in one["inputs"])


def _feed(machines: Iterable[Machine], name: str) -> None:
    run = ["systemd-run", "--quiet", "--unit=feeder", "--property=RuntimeMaxSec=120"]
    for machine in machines:
        machine.run([*run, "/usr/bin/python3", "/root/feeder.py", name])


def _stop(machines: Iterable[Machine]) -> None:
    for machine in machines:
        machine.run(["systemctl", "stop", "feeder.service"])


def _close(machine: Machine) -> None:
    """A run out of schedule, to its end, which its signal is a part of."""
    unit = next((machine.root / "etc/systemd/system").glob("gitopsd-shop.close.*.service"))
    machine.run(["systemctl", "start", unit.name])


def _reported(machines: Fleet) -> int:
    """Closes that have been reported: a run is for all that came before it."""
    logs = [log for machine in machines.values() for log in (machine.root / "srv/log").glob("shop.report.*")]
    entries = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return sum(entry["began"]["count"] for entry in entries if "began" in entry)


def _sent(machines: Iterable[Machine], name: str) -> Counter[tuple[str, str]]:
    """By machine and line, whole lines only."""
    files = [(machine.name, machine.root / f"srv/in/{name}.log") for machine in machines]
    return Counter((machine, line) for machine, file in files for line in file.read_text().split("\n")[:-1])


def _of(name: str, events: Iterable[tuple[str, str]]) -> set[str]:
    return {line for _, line in events if line.startswith(f"{name} ")}


def _arrived(machines: Fleet, folder: str = "/srv/out") -> Counter[tuple[str, str]]:
    events = [json.loads(event) for event in _written(machines, folder)]
    return Counter((event["host"], event["line"]) for event in events)


def _written(machines: Fleet, folder: str) -> list[str]:
    """Whole lines only: the last one of a file may be under way, or be cut off where the power went."""
    files: list[Path] = []
    for machine in machines.values():
        below = machine.root / folder.lstrip("/")
        files += sorted(below.glob("*.jsonl")) if below.exists() else []
    return [line for file in files for line in file.read_text().split("\n")[:-1]]
