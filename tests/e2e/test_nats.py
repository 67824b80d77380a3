"""The workflow of test_three_machines.py over a cluster of three NATS servers, one on each of its machines.

The servers let in whoever has a JWT of their operator's account and signs for it. One machine loses its power while
events pass, with its server and its jobs: nothing is lost.
"""

import json
import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_three_machines import BLUEPRINT, FLEET, SCRIPT, WORKFLOW
from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.fleet.machines import Fleet
from tests.nats_keys import Decentralised, Nkey
from tests.nats_server import program
from tests.operator import Operator, eventually

if TYPE_CHECKING:
    from pathlib import Path

NATS = Decentralised()
USER = Nkey("U")
SECONDS = 25
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
# as a program that logs; what it wrote before the power went counts
FEEDER = f"""
import time, pathlib
place = pathlib.Path("/srv/in"); place.mkdir(parents=True, exist_ok=True)
with open(place / "app.log", "a") as file:
    for n in range({SECONDS * 10}):
        file.write("".join(f"line {{n * {LINES_A_SECOND // 10} + i}} of libssl\\n" if not i else
                           f"line {{n * {LINES_A_SECOND // 10} + i}}\\n" for i in range({LINES_A_SECOND // 10})))
        file.flush()
        time.sleep(0.1)
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
    config = home / "config.yaml"
    (home / "login").write_text(NATS.creds(user=USER))
    (home / "login").chmod(0o600)
    config.write_text(
        f"ssh: {{identity: {machines.client_key}}}\nsecrets: {{nats_login: {{file: {home / 'login'}}}}}\n"
    )
    operator = Operator(folder=home / "repository", home=home, config=config)
    operator.run("init", str(operator.folder))
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
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml", "fleets/local.yaml")
    operator.write(
        {
            "gitopsd.yaml": json.dumps(
                {"environments": {"production": {"fleet": "fleets/production.yaml", "transports": transports}}}
            ),
            "fleets/production.yaml": FLEET.format(workers=workers).replace("    mounts: {/mnt/shared: shared}\n", ""),
            "workflows/logs.yaml": workflow,
            "blueprints/alarm.yaml": BLUEPRINT,
            "files/alarm.py": SCRIPT,
        }
    )
    operator.commit("Logs over NATS")
    operator.run("worker", "probe")
    results = operator.run("apply", "--json").json
    assert [worker["state"] for worker in results["workers"]] == ["converged"] * 3
    return operator


def test_no_event_is_lost_when_a_machine_loses_its_power(deployed: Operator, machines: Fleet) -> None:
    jobs = {one["job"]: one["worker"] for one in deployed.run("workloads", "--json").json}
    victim = machines[jobs["logs.deliver.0"]]
    for machine in machines.values():
        machine.run(["systemd-run", "--unit=feeder", "/usr/bin/python3", "/root/feeder.py"])
    began = time.monotonic()
    eventually("events pass", lambda: len(_written(machines, "/srv/out")) > 3 * LINES_A_SECOND)
    assert time.monotonic() - began < SECONDS - 5, "the power must go while events are being written"
    victim.power_off()
    others = {machine.name for machine in machines.values()} - {victim.name}
    whole = {(name, f"line {number}") for name in others for number in range(1, SECONDS * LINES_A_SECOND)}
    eventually(
        "everything of the machines that are left arrives",
        lambda: len(_arrived(machines).keys() & {one for one in whole if "libssl" not in one[1]}) >= len(whole) * 0.99,
        timeout=120,
    )
    victim.boot()
    sent = Counter(
        (machine.name, line)
        for machine in machines.values()
        for line in (machine.root / "srv/in/app.log").read_text().split("\n")[:-1]
    )
    assert min(sent[name, "line 1"] for name in machines) == 1
    eventually("everything has arrived", lambda: sent.keys() <= _arrived(machines).keys(), timeout=120)
    arrived = _arrived(machines)
    assert arrived.keys() == sent.keys()
    twice = sum(arrived.values()) - len(sent)
    print(f"{len(sent):,} events, {twice:,} of them twice")
    alarms = {one for one in sent if "libssl" in one[1]}
    eventually("every alarm has been written", lambda: alarms <= _arrived(machines, "/srv/alarms").keys())
    eventually("everything runs again", lambda: deployed.run("status", "--exit-code", expect=None).code == 0)


def test_the_login_is_in_no_log(deployed: Operator, machines: Fleet) -> None:
    del deployed
    for machine in machines.values():
        assert USER.seed[5:17] not in machine.run(["journalctl", "--output=cat", "--no-pager"]).stdout


def _write(machine: Machine, path: str, text: str) -> None:
    file = machine.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


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
