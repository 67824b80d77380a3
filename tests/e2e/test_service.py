"""gitopsd as a service on a machine of its own: installed, reloaded, stopped, hung, without power, and lost."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.e2e.controller_machine import OWNER, REPOSITORY, ControllerMachine
from tests.fleet.controller_image import build_wheel
from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.operator import eventually

CONFIGURATION = """\
repository: {repository}
ssh: {{identity: {{credential: ssh_identity}}}}
intervals: {{poll: 1s, reconcile: {reconcile}}}
listen: {{metrics: "127.0.0.1:9464"}}
"""
SERVE = """\
import os, pathlib, socket, sys, time
said = pathlib.Path(os.environ["STATE_DIRECTORY"], "started")
with said.open("a") as file:
    file.write(sys.argv[1] + "\\n")
while sys.argv[2] == "wait" and not os.path.exists("/srv/go-" + sys.argv[1]):
    time.sleep(0.05)
server = socket.create_server(("127.0.0.1", 7001))
while True:
    connection, _ = server.accept()
    connection.sendall(sys.argv[1].encode())
    connection.close()
"""
FILES = {
    "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
    "blueprints/serve.yaml": """\
blueprint: serve
params: {version: {type: string}, when: {type: string}}
job:
  exec: [python3, files/serve.py, "${{ params.version }}", "${{ params.when }}"]
  files: {serve.py: {from: files/serve.py}}
  ready: {tcp: 7001}
""",
    "blueprints/stay.yaml": "blueprint: stay\njob: {exec: [sleep, infinity]}\n",
    "files/serve.py": SERVE,
    "workflows/stay.yaml": "workflow: stay\nsteps:\n  stay: {use: blueprints/stay, place: {group: all}}\n",
}
STARTED = "/var/lib/gitopsd/state/shop.serve.0/started"


def serve(version: str, when: str = "now") -> dict[str, str]:
    """A version of the job: that serves at once, or `wait`s until it may."""
    step = f'{{use: blueprints/serve, with: {{version: "{version}", when: "{when}"}}, place: {{group: all}}}}'
    return {"workflows/shop.yaml": f"workflow: shop\nsteps:\n  serve: {step}\n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    controller: ControllerMachine
    spare: ControllerMachine
    worker: Machine

    def configure(self, machine: ControllerMachine, repository: str = REPOSITORY, reconcile: str = "5s") -> None:
        machine.machine.run(["install", "-d", "-m", "700", "/etc/gitopsd/credentials"])
        machine.put("/etc/gitopsd/credentials/ssh_identity", self.worker.client_key.read_text(), mode="600")
        text = CONFIGURATION.format(repository=repository, reconcile=reconcile)
        machine.put("/etc/gitopsd/config.yaml", text, mode="640", group=OWNER if repository == REPOSITORY else "root")

    def serving(self) -> str:
        """What the worker's job answers with; empty while it doesn't."""
        script = "import socket; print(socket.create_connection(('127.0.0.1', 7001), 5).recv(99).decode())"
        return self.worker.run(["python3", "-c", script], check=False).stdout.strip()

    def let(self, version: str) -> None:
        self.worker.run(["touch", f"/srv/go-{version}"])

    def started(self) -> list[str]:
        """The versions that the job was started with."""
        return self.worker.run(["cat", STARTED], check=False).stdout.split()

    def pids(self) -> Mapping[str, str]:
        units = ("gitopsd-shop.serve.0", "gitopsd-stay.stay.0")
        return {
            unit: self.worker.run(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout.strip()
            for unit in units
        }


@pytest.fixture(scope="module")
def site(fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> Site:
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    names = ("controller", "spare", "worker-1")
    machines = fleet(names=names, controllers=names[:2])
    controller, spare = (ControllerMachine(machine=machines[name]) for name in names[:2])
    for one in (controller, spare):
        one.install(wheel)
    worker = machines["worker-1"]
    workers = {"worker-1": {"address": worker.address, "user": "root", "host_key": worker.host_key}}
    group = {"rollout": {"min_healthy_time": "1s", "healthy_deadline": "5m"}, "workers": workers}
    controller.make_repository({**FILES, "fleets/production.yaml": json.dumps({"groups": {"all": group}})})
    return Site(controller=controller, spare=spare, worker=worker)


def test_it_is_installed_once_all_that_it_needs_is_there_and_says_what_is_missing(site: Site) -> None:
    controller = site.controller
    nothing = controller.gitopsd("service", "install", check=False)
    assert nothing.returncode == 1
    assert "/etc/gitopsd/config.yaml names no repository yet" in nothing.stderr

    site.configure(controller)
    not_owner = controller.gitopsd("service", "install", check=False)
    assert not_owner.returncode == 1
    assert f"{REPOSITORY} belongs to {OWNER}" in not_owner.stderr
    assert f"gitopsd service install --user {OWNER}" in not_owner.stderr

    planned = controller.gitopsd("service", "install", "--user", OWNER, "--dry-run").stderr
    assert "to be done: /etc/systemd/system/gitopsd.service.d/10-installed.conf\n" in planned
    assert controller.gitopsd("service", "status", check=False).returncode == 1

    controller.put("/etc/gitopsd/config.yaml", f"repository: {REPOSITORY}\n", mode="644")
    no_key = controller.gitopsd("service", "install", "--user", OWNER, check=False)
    assert no_key.returncode == 1
    assert "there is no key to the workers" in no_key.stderr
    assert "done: the service runs" not in no_key.stderr

    site.configure(controller)
    controller.gitopsd("service", "install")  # whom it is for is known by now
    shown = controller.service("ActiveState", "User", "StatusText", "UnitFileState", "NRestarts")
    assert (shown["ActiveState"], shown["User"], shown["UnitFileState"]) == ("active", OWNER, "enabled")
    assert shown["NRestarts"] == "0"
    assert "leads" in shown["StatusText"]
    assert "state:     active" in controller.gitopsd("service", "status").stdout


def test_installing_it_again_changes_nothing(site: Site) -> None:
    process = site.controller.process()
    again = site.controller.gitopsd("service", "install").stderr  # it stays whose it is
    assert "there already: the service runs, and is ready" in again
    assert "done:" not in again.replace("there already", "")
    assert site.controller.process() == process
    assert site.controller.service("User")["User"] == OWNER


def test_a_push_runs_on_the_worker_and_shows_in_journal_metrics_and_health(site: Site) -> None:
    controller = site.controller
    source = controller.push("Serve one", serve("one"))
    eventually("the worker serves it", lambda: site.serving() == "one")
    (committed,) = controller.journal(f"GITOPSD_SOURCE={source}", "GITOPSD_EVENT=committed")
    assert (committed["GITOPSD_DEPLOYMENT"], committed["PRIORITY"]) == ("2", "5")
    eventually(
        "the worker is well",
        lambda: controller.journal("GITOPSD_WORKER=worker-1", "GITOPSD_EVENT=worker-ended") != [],
    )
    assert controller.get("/healthz")[0] == 200
    status, ready = controller.get("/readyz")
    assert (status, json.loads(ready)["role"]) == (200, "leading")
    eventually(
        "it is counted",
        lambda: 'gitopsd_workers{environment="production",state="in_sync"} 1.0' in controller.get("/metrics")[1],
    )
    assert 'gitopsd_deployments_total{environment="production"' in controller.get("/metrics")[1]


def test_a_reload_reads_the_configuration_again_and_a_bad_one_changes_nothing(site: Site) -> None:
    controller, process = site.controller, site.controller.process()
    controller.put("/etc/gitopsd/config.yaml", "repository: [\n", mode="640", group=OWNER)
    controller.machine.run(["systemctl", "reload", "gitopsd"])
    eventually(
        "it says so", lambda: any("was not read again" in str(one["MESSAGE"]) for one in controller.journal())
    )  # fmt: skip
    site.configure(controller)
    controller.machine.run(["systemctl", "reload", "gitopsd"])
    controller.push("Serve two", serve("two"))
    eventually("it goes on", lambda: site.serving() == "two")
    assert controller.process() == process
    assert controller.service("ActiveState")["ActiveState"] == "active"


def test_it_stops_by_itself_while_a_rollout_is_on_and_goes_on_afterwards(site: Site) -> None:
    controller = site.controller
    controller.push("Serve three, when it may", serve("three", "wait"))
    eventually("the rollout waits for the job", lambda: site.started()[-1:] == ["three"])
    controller.machine.run(["systemctl", "stop", "gitopsd"], timeout=60)
    shown = controller.service("Result", "ExecMainStatus", "ActiveState")
    assert shown == {"Result": "success", "ExecMainStatus": "0", "ActiveState": "inactive"}
    ends = [str(one["MESSAGE"]) for one in controller.journal("GITOPSD_EVENT=rollout-ended")]
    assert "interrupted" in ends[-1]
    controller.machine.run(["systemctl", "start", "gitopsd"], timeout=60)
    site.let("three")
    eventually("the worker serves it", lambda: site.serving() == "three")
    assert site.started().count("three") == 1


def test_one_that_hangs_is_killed_and_comes_back(site: Site) -> None:
    controller = site.controller
    controller.put("/run/systemd/system/gitopsd.service.d/50-test.conf", "[Service]\nWatchdogSec=8s\nRestartSec=1s\n")
    controller.machine.run(["systemctl", "daemon-reload"])
    controller.machine.run(["systemctl", "restart", "gitopsd"], timeout=60)
    process = controller.process()
    controller.machine.run(["kill", "-STOP", str(process)])
    eventually("another one leads", lambda: controller.process() not in {0, process})
    eventually("it is ready", lambda: "leads" in controller.service("StatusText")["StatusText"])
    assert int(controller.service("NRestarts")["NRestarts"]) >= 1
    controller.machine.run(["rm", "-r", "/run/systemd/system/gitopsd.service.d"])
    controller.machine.run(["systemctl", "daemon-reload"])


def test_a_power_cut_in_the_middle_of_a_rollout_is_made_up_for_by_itself(site: Site) -> None:
    controller = site.controller
    source = controller.push("Serve four, when it may", serve("four", "wait"))
    eventually("the worker begins", lambda: site.started()[-1:] == ["four"])
    controller.machine.power_off()
    controller.machine.boot()
    eventually("the service is back", lambda: controller.service("ActiveState")["ActiveState"] == "active")
    site.let("four")
    eventually("the worker serves it", lambda: site.serving() == "four")
    eventually("its end is recorded", lambda: recorded(site, source) in ({"in-sync": 1}, {"converged": 1}))
    assert site.started().count("four") == 1


def recorded(site: Site, source: str) -> dict[str, int]:
    """What the history says became of a version."""
    command = ["runuser", "-u", OWNER, "--", "gitopsd", "--repo", REPOSITORY, "history", "--json"]
    deployments = json.loads(site.controller.machine.run(command).stdout)
    return next((one["outcome"] for one in deployments if one["source_commit"] == source), {})


def test_where_services_cannot_run_it_that_is_said_with_a_way_out(site: Site) -> None:
    machine = site.spare.machine
    machine.run(["chmod", "700", "/opt/pipx"])
    closed = site.spare.gitopsd("service", "install", check=False)
    machine.run(["chmod", "755", "/opt/pipx"])
    assert closed.returncode == 1
    assert "/usr/local/bin/gitopsd can't be executed by other accounts" in closed.stderr
    assert "pipx install --global" in closed.stderr
    machine.run(["ln", "-s", "/opt/pipx/venvs/gitopsd/bin/gitopsd", "/root/gitopsd"])
    hidden = machine.run(["/root/gitopsd", "service", "install"], check=False)
    assert "gitopsd is installed in /root/gitopsd, which services don't see" in hidden.stderr
    assert machine.run(["test", "-e", "/etc/gitopsd"], check=False).returncode == 1


def test_a_new_controller_carries_on_where_the_disk_of_the_first_one_was_lost(site: Site) -> None:
    """All that is left is the repository, the key and the configuration."""
    controller, spare = site.controller, site.spare
    controller.gitopsd("service", "remove")
    before = site.pids()
    address, host_key = controller.machine.address, controller.machine.host_key
    site.configure(spare, repository=f"ssh://{OWNER}@{address}{REPOSITORY}")
    unreadable = spare.gitopsd("service", "install", check=False)
    assert "gitopsd-controller can't read /etc/gitopsd/config.yaml" in unreadable.stderr
    spare.machine.run(["chgrp", "gitopsd-controller", "/etc/gitopsd/config.yaml"])
    unknown = spare.gitopsd("service", "install", check=False)
    assert "the service doesn't start:" in unknown.stderr
    assert "Host key verification failed" in unknown.stderr
    spare.put("/etc/ssh/ssh_known_hosts", f"{address} {host_key}\n")
    spare.gitopsd("service", "install")
    eventually("it has looked at the worker", lambda: 'in_sync"} 1.0' in spare.get("/metrics")[1])
    assert site.pids() == before
    (probed,) = json.loads(spare.gitopsd("worker", "probe", "--json").stdout)  # root has the service's key too
    assert probed["facts"]["features"]["systemd"]

    controller.push("Serve five", serve("five"))
    eventually("the worker serves it", lambda: site.serving() == "five")
    changed = {unit for unit, process in site.pids().items() if process != before[unit]}
    assert changed == {"gitopsd-shop.serve.0"}
