"""Events and a message over an S3 API between real machines, under systemd: a machine and the store go and come back.

The store's key and the certificate that it is trusted by come to the jobs as secrets.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.test_messages import CLOSE, SCRIPT, STEP
from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.fleet.machines import Fleet
from tests.fleet.operators import production_operator, workers_of
from tests.operator import Operator, eventually
from tests.s3_server import BUCKET, KEY, S3Server, credentials, make_certificate

WORKFLOW = """\
workflow: archive
steps:
  collect:
    use: std/read-files
    with: {glob: /srv/in/*.log, mode: tail, format: lines}
    out: lines
    place: {group: edge}
  store: {use: std/write-files, in: lines, with: {path: /srv/out}, place: {group: core, replicas: 2}}
  close: {use: blueprints/close, signals: closed, place: {group: edge}}
  report: {use: blueprints/step, on: {message: closed}, place: {group: core}}
channels:
  lines: {transport: object-store}
messages:
  closed: {transport: object-store}
"""
LINES = "lines: {transport: object-store"
# a program that logs, until it is stopped; the time bounds it where the test that would stop it was killed
FEEDER = """\
import itertools, time
with open("/srv/in/app.log", "a") as file:
    for n in itertools.count():
        file.write("".join(f"{time.time_ns()} {n} {i}\\n" for i in range(200)))
        file.flush()
        time.sleep(0.1)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    operator: Operator
    machines: Fleet
    store: S3Server

    @property
    def edge(self) -> Machine:
        return self.machines["edge-1"]

    def worker_of(self, job: str) -> Machine:
        (name,) = [one["worker"] for one in self.operator.run("workloads", "--json").json if one["job"] == job]
        return self.machines[name]

    @contextmanager
    def fed(self) -> Iterator[None]:
        run = ["systemd-run", "--quiet", "--unit=feeder", "--property=RuntimeMaxSec=120"]
        self.edge.run([*run, "/usr/bin/python3", "-c", FEEDER])
        try:
            yield
        finally:
            self.edge.run(["systemctl", "stop", "feeder.service"])

    def sent(self) -> set[str]:
        return set((self.edge.root / "srv/in/app.log").read_text().split("\n")[:-1])

    def arrived(self, *machines: Machine) -> Counter[str]:
        """Whole lines only: the last one of a file may be under way, or be cut off where the power went."""
        files = [path for one in machines or self.machines.values() for path in (one.root / "srv/out").glob("*.jsonl")]
        return Counter(json.loads(line)["line"] for file in files for line in file.read_text().split("\n")[:-1])

    def everything_arrives(self) -> None:
        sent = self.sent()
        assert sent
        eventually("everything has arrived", lambda: self.arrived().keys() >= sent)
        assert self.arrived().keys() == sent

    def close(self, *options: str) -> None:
        """A run out of schedule, to its end, which its signal is a part of."""
        self.edge.run(["systemctl", "start", *options, "gitopsd-archive.close.0.service"])

    def reported(self) -> int:
        """Closes that have been reported: a run is for all that came before it."""
        logs = [one.root / "srv/log/archive.report.0" for one in self.machines.values()]
        entries = [json.loads(line) for log in logs if log.exists() for line in log.read_text().splitlines()]
        return sum(entry["began"]["count"] for entry in entries if "began" in entry)


@pytest.fixture(scope="module")
def archive(fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    machines = fleet(names=("edge-1", "core-1", "core-2"))
    home = tmp_path_factory.mktemp("home")
    certificate, key = make_certificate(home, machines.gateway)
    store = S3Server(home / "store", address=machines.gateway, tls=(certificate, key))
    store.start()
    try:
        operator = repository(home, machines, store, certificate)
        (machines["edge-1"].root / "srv/in").mkdir()
        store.wait()
        operator.run("apply")
        yield Archive(operator=operator, machines=machines, store=store)
    finally:
        store.close()


def repository(home: Path, machines: Fleet, store: S3Server, certificate: Path) -> Operator:
    (home / "key").write_text(credentials())
    (home / "key").chmod(0o600)
    certificate.chmod(0o600)
    secrets = {"s3_key": {"file": str(home / "key")}, "s3_authority": {"file": str(certificate)}}
    operator = production_operator(home, machines, f"secrets: {json.dumps(secrets)}\n")
    ways = workers_of(machines.values())
    groups = {
        group: {"workers": {name: way for name, way in ways.items() if name.startswith(group)}}
        for group in ("edge", "core")
    }
    where = {"endpoint": store.endpoint, "bucket": BUCKET, "credentials": "s3_key", "authority": "s3_authority"}
    environment = {"fleet": "fleets/production.yaml", "transports": {"object-store": where}}
    operator.write(
        {
            "gitopsd.yaml": json.dumps({"environments": {"production": environment}}),
            "fleets/production.yaml": json.dumps({"groups": groups}),
            "workflows/archive.yaml": WORKFLOW,
            "blueprints/close.yaml": CLOSE,
            "blueprints/step.yaml": STEP,
            "files/step.py": SCRIPT,
        }
    )
    operator.commit("Lines into a bucket, and out of it")
    return operator


def test_nothing_is_lost_when_a_machine_and_then_the_store_go_and_come_back(archive: Archive) -> None:
    victim = archive.worker_of("archive.report.0")
    other = archive.machines["core-2" if victim.name == "core-1" else "core-1"]
    with archive.fed():
        eventually("both replicas have some", lambda: all(archive.arrived(one) for one in (victim, other)))
        victim.power_off()
        had = archive.arrived(victim)
        archive.close()
        before = len(archive.arrived(other))
        eventually("the other one goes on", lambda: len(archive.arrived(other)) > before)
        archive.store.kill()
        archive.close("--no-block")
        archive.store.start()
        victim.switch_on()
        archive.store.wait()
        victim.wait_until_up()
    archive.everything_arrives()
    arrived = archive.arrived()
    twice = {line for line, times in arrived.items() if times > 1}
    print(f"{len(arrived):,} events, {len(twice):,} of them twice")
    assert max(arrived.values()) <= 2
    assert twice <= had.keys(), "only what was written just before the power went"
    eventually("both closes have been reported", lambda: archive.reported() == 2)
    eventually("everything runs", lambda: archive.operator.run("status", "--exit-code", expect=None).code == 0)


def test_a_machine_that_is_drained_gives_its_share_to_the_other_one(archive: Archive) -> None:
    machine = archive.worker_of("archive.report.0")
    before = archive.reported()
    with archive.fed():
        archive.operator.run("worker", "drain", machine.name, "--reason", "new disk")
        archive.operator.run("apply")
        archive.close()
    archive.everything_arrives()
    eventually("the close has been reported", lambda: archive.reported() == before + 1)
    workloads = archive.operator.run("workloads", "--json").json
    assert {one["job"] for one in workloads if one["worker"] == machine.name} == set()


def test_a_channel_is_read_where_it_was_until_its_producer_has_moved_on_too(archive: Archive) -> None:
    """Its readers change while its producer's machine can't be reached from here, and goes on writing."""
    archive.edge.run(["systemctl", "stop", "ssh.socket", "ssh.service"])
    archive.operator.write({"workflows/archive.yaml": WORKFLOW.replace(LINES, f"{LINES}, prefix: elsewhere")})
    archive.operator.commit("Lines elsewhere")
    archive.operator.run("apply", expect=4)
    log = ("logs", "archive.store-was.0")
    eventually("its reader waits", lambda: "a producer hasn't ended" in archive.operator.run(*log).stdout)
    with archive.fed():
        before = len(archive.arrived())
        eventually("more comes", lambda: len(archive.arrived()) > before)
    archive.edge.run(["systemctl", "start", "ssh.service"])
    archive.operator.run("apply")
    archive.everything_arrives()


def test_the_key_is_in_no_log(archive: Archive) -> None:
    for machine in archive.machines.values():
        assert KEY[1] not in machine.run(["journalctl", "--output=cat", "--no-pager"]).stdout
