"""The oldest and the newest workers that gitopsd is for: a life from the first deployment to the teardown on each.

Debian 11 has Python 3.9 and systemd 247, the least that a worker must have; Debian 13 has the newest of both that we
test. The other tests run on the release of this machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from tests.agent.releases import TestJob, release_of
from tests.fleet.commands import CommandFailedError
from tests.fleet.fixtures import REQUIRE
from tests.fleet_ssh.on_machines import activate, settings_for, starts, target_of, until
from tests.operator import Operator, eventually

if TYPE_CHECKING:
    from tests.fleet.fixtures import StartFleet
    from tests.fleet.machine import Machine

ROOT = "/var/lib/gitopsd"
KEEP, SHAPE, TICK = "life.keep.0", "life.shape.0", "life.tick.0"
FILES = {
    "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
    "workflows/life.yaml": """\
workflow: life
steps:
  collect:
    use: std/read-files
    with: {glob: "/srv/in/*.jsonl", mode: tail}
    out: raw
    place: {group: all}
  shape:
    use: std/exec
    in: raw
    with: {command: [jq, -c, --unbuffered, "{number: .number}"]}
    out: shaped
    place: {group: all}
  sift:
    use: std/transform
    in: shaped
    with: {actions: [{parse: json}, {filter: "number >= `2`"}]}
    out: {default: sifted}
    place: {group: all}
  deliver:
    use: std/write-files
    in: sifted
    with: {path: /srv/out}
    place: {group: all}
  tick:
    use: blueprints/tick
    out: ticks
    place: {group: all}
  ticked:
    use: std/write-files
    in: ticks
    with: {path: /srv/ticks}
    place: {group: all}
  keep: {use: blueprints/keep, place: {group: all}}
  start: {use: blueprints/start, place: {group: all}}
channels:
  raw: {transport: worker}
  shaped: {transport: file-store, path: /srv/shaped}
  sifted: {transport: worker}
  ticks: {transport: worker}
""",
    "blueprints/tick.yaml": """\
blueprint: tick
out: {default: {speaks: [stdio]}}
job:
  kind: schedule
  schedule: "*-*-* *:*:0/2"
  exec: [python3, files/tick.py]
  files: {tick.py: {from: files/tick.py}}
""",
    "blueprints/keep.yaml": """\
blueprint: keep
secrets: [token]
job:
  exec: [python3, files/keep.py]
  validate: [sh, -c, 'grep -q create_server "$1" || { echo "it serves nothing"; exit 1; }', sh, files/keep.py]
  files: {keep.py: {from: files/keep.py}}
  ready: {tcp: 7001}
""",
    "blueprints/start.yaml": """\
blueprint: start
job:
  kind: once
  exec: [sh, -c, 'echo started > "$STATE_DIRECTORY/started"']
""",
    "files/tick.py": 'import json, sys, time\nprint(json.dumps({"at": time.time()}))\nsys.stderr.write("ticked\\n")\n',
    "files/keep.py": """\
import hashlib, os, pathlib, socket, time
value = pathlib.Path(os.environ["CREDENTIALS_DIRECTORY"], "token").read_bytes()
pathlib.Path(os.environ["STATE_DIRECTORY"], "held").write_text(hashlib.sha256(value).hexdigest())
server = socket.create_server(("127.0.0.1", 7001))
while True:
    server.accept()[0].close()
""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of Debian, what a worker of it has, and the account that logs in there."""

    suite: str
    python: str
    systemd: str
    user: str


OLDEST = Release(suite="bullseye", python="3.9", systemd="247", user="deploy")
NEWEST = Release(suite="trixie", python="3.13", systemd="257", user="root")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    release: Release
    machine: Machine
    operator: Operator

    def workloads(self) -> dict[str, dict[str, Any]]:
        return {one["job"]: one for one in self.operator.run("workloads", "--json").json}

    def pids(self) -> dict[str, int]:
        """Of services: what is scheduled or ends comes and goes."""
        return {job: one["main_pid"] for job, one in self.workloads().items() if one["state"] == "running"}

    def read(self, *command: str) -> str:
        return self.machine.run(list(command), check=False).stdout

    def put(self, path: str, text: str) -> None:
        self.machine.run(["sh", "-c", 'mkdir -p "${0%/*}"; cat >> "$0"; chmod -R a+rX "${0%/*}"', path], input=text)


@pytest.fixture(scope="module", params=[OLDEST, NEWEST], ids=lambda release: release.suite)
def site(request: pytest.FixtureRequest, fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> Site:
    release: Release = request.param
    machine = boot(release, fleet)
    let_in(machine, release.user)
    home = tmp_path_factory.mktemp("home")
    (home / "value").write_text("first")
    (home / "value").chmod(0o600)
    config = home / "config.yaml"
    config.write_text(f"ssh: {{identity: {machine.client_key}}}\nsecrets:\n  token: {{file: {home}/value}}\n")
    operator = Operator(folder=home / "repository", home=home, config=config)
    operator.run("init", str(operator.folder))
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml", "fleets/local.yaml")
    worker = {"address": machine.address, "user": release.user, "host_key": machine.host_key}
    fleet_file = json.dumps({"groups": {"all": {"workers": {"worker-1": worker}}}})
    operator.write({**FILES, "fleets/production.yaml": fleet_file})
    operator.commit("A life")
    site = Site(release=release, machine=machine, operator=operator)
    site.put("/srv/in/a.jsonl", '{"number": 1}\n{"number": 2}\n')
    (result,) = operator.run("apply", "--json").json["workers"]
    assert result["state"] == "converged", result
    return site


def boot(release: Release, fleet: StartFleet) -> Machine:
    """Skips where this machine's mirror doesn't have the release, and fails there where machines are required."""
    try:
        return fleet(1, suite=release.suite)["worker-1"]
    except CommandFailedError as error:
        reason = f"no machine of {release.suite} can be made here: {error}"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{REQUIRE}=1, but {reason}", pytrace=False)
        pytest.skip(reason)


def let_in(machine: Machine, user: str) -> None:
    """An ordinary account that may do everything by `sudo`, and comes in with the same key as root."""
    if user == "root":
        return
    home = f"/home/{user}"
    machine.run(["useradd", "--create-home", "--shell", "/bin/sh", user])
    machine.run(["cp", "-r", "/root/.ssh", home])
    machine.run(["chown", "-R", f"{user}:{user}", home])
    rule = f"/etc/sudoers.d/{user}"
    machine.run(["sh", "-c", 'cat > "$0" && chmod 440 "$0"', rule], input=f"{user} ALL=(root) NOPASSWD: ALL\n")


def test_it_is_the_release_that_it_should_be(site: Site) -> None:
    (probed,) = site.operator.run("worker", "probe", "--json").json
    features = probed["facts"]["features"]
    assert features["python3"].startswith(f"{site.release.python}.")
    assert features["systemd"] == site.release.systemd


def test_systemd_knows_every_setting_of_the_units_that_it_was_given(site: Site) -> None:
    units = site.read("sh", "-c", "ls /etc/systemd/system/gitopsd-life.*").split()
    assert any(unit.endswith(".timer") for unit in units)
    checked = site.machine.run(["systemd-analyze", "verify", "--man=no", *units], check=False)
    assert [line for line in checked.stderr.splitlines() if "gitopsd-" in line] == []
    log = site.read("journalctl", "-b", "-q", "-o", "cat", "_PID=1")
    assert [line for line in log.splitlines() if "gitopsd-" in line and ("Unknown" in line or "ignor" in line)] == []


def test_events_pass_through_the_runner_and_a_filter(site: Site) -> None:
    site.put("/srv/in/a.jsonl", '{"number": 3}\n')
    eventually(
        "the events are delivered",
        lambda: site.read("sh", "-c", "cat /srv/out/*.jsonl").splitlines() == ['{"number":2}', '{"number":3}'],
    )


def test_a_scheduled_job_runs_and_its_events_arrive(site: Site) -> None:
    eventually("two ticks arrive", lambda: len(site.read("sh", "-c", "cat /srv/ticks/*.jsonl").splitlines()) >= 2)
    tick = site.workloads()[TICK]
    assert tick["state"] in {"waiting", "running"}
    assert tick["last_run"] is not None
    assert "ticked" in site.operator.run("logs", TICK).stdout
    assert site.operator.run("reconcile", "--dry-run").code == 0


def test_a_job_of_kind_once_has_run(site: Site) -> None:
    eventually("it has completed", lambda: site.workloads()["life.start.0"]["state"] == "completed")
    assert site.read("cat", f"{ROOT}/state/life.start.0/started") == "started\n"


def test_a_change_restarts_the_job_that_changed(site: Site) -> None:
    before = site.pids()
    site.operator.write({"files/keep.py": FILES["files/keep.py"] + "# changed\n"})
    site.operator.commit("Change what keep runs")
    site.operator.run("apply")
    after = site.pids()
    assert {job for job in before if after.get(job) != before[job]} - {TICK} == {KEEP}


def test_what_a_jobs_checker_refuses_changes_nothing(site: Site) -> None:
    before = site.pids()
    site.operator.write({"files/keep.py": "import time\n"})
    site.operator.commit("Break what keep runs")
    assert "it serves nothing" in site.operator.run("apply", expect=1).stderr
    after = site.pids()
    assert {job for job in before if after.get(job) != before[job]} - {TICK} == set()
    site.operator.write({"files/keep.py": FILES["files/keep.py"]})
    site.operator.commit("Put it right")
    site.operator.run("apply")


def test_a_secret_is_rolled(site: Site) -> None:
    before = site.pids()
    (site.operator.home / "value").write_text("second")
    site.operator.run("apply")
    expected = hashlib.sha256(b"second").hexdigest()
    eventually("the job has the new value", lambda: site.read("cat", f"{ROOT}/state/{KEEP}/held") == expected)
    assert {job for job, pid in site.pids().items() if before.get(job) != pid} - {TICK} == {KEEP}


def test_what_was_changed_by_hand_is_put_right(site: Site) -> None:
    site.machine.run(["sh", "-c", f"echo edited >> {ROOT}/current/jobs/{SHAPE}/job.json"])
    site.machine.run(["systemctl", "disable", "--now", f"gitopsd-{TICK}.timer"])
    found = site.operator.run("reconcile", "--dry-run", expect=2).stdout
    assert f"jobs/{SHAPE}/job.json" in found
    assert "its timer is inactive" in found
    site.operator.run("reconcile")
    assert site.operator.run("status", "--exit-code").code == 0
    ticks = len(site.read("sh", "-c", "cat /srv/ticks/*.jsonl").splitlines())
    eventually("it ticks again", lambda: len(site.read("sh", "-c", "cat /srv/ticks/*.jsonl").splitlines()) > ticks)


def test_jobs_and_timers_come_back_after_a_reboot(site: Site) -> None:
    services = site.pids().keys() - {TICK}
    since = time.time()
    site.machine.reboot()
    eventually("the jobs run", lambda: services <= site.pids().keys())
    eventually("the timer fires", lambda: (site.workloads()[TICK]["last_run"] or 0) > since)


def test_a_teardown_leaves_nothing(site: Site) -> None:
    site.operator.run("worker", "teardown", "worker-1", "--yes")
    places = ["/etc/systemd/system", "/var/lib/systemd/timers", "/run/systemd/system"]
    assert site.read("find", *places, "-name", "*gitopsd-life*") == ""
    assert site.read("systemctl", "list-units", "--all", "--plain", "--no-legend", "gitopsd-*") == ""
    assert site.machine.run(["test", "-e", ROOT], check=False).returncode == 1


def test_what_nobody_confirms_is_undone_and_what_somebody_confirms_stays(site: Site) -> None:
    job = "orders.a.0"
    first, second = (release_of(TestJob(name=job, version=version)) for version in ("1", "2"))
    target = target_of(site.machine, user=site.release.user)
    with Workers(settings_for(site.machine)) as workers, workers.connect(target) as worker:
        activate(worker, first)
        activate(worker, second, first, confirm_timeout=3.0)
        until(lambda: verbs.observe(worker).rolled_back is not None, 60.0)
        until(lambda: verbs.observe(worker).switch is None)
        assert verbs.observe(worker).release == first.id
        assert starts(site.machine, job) == ["1", "2", "1"]
        result = activate(worker, second, first, confirm_timeout=30.0)
        assert result.token is not None
        with Workers(settings_for(site.machine)) as others, others.connect(target) as anew:
            assert verbs.confirm(anew, result.token, second.id).confirmed
        assert verbs.health(worker, second.id, min_healthy_time=0.5, wait=10).healthy == (job,)
        state = verbs.observe(worker)
        assert (state.release, state.switch, state.rolled_back) == (second.id, None, None)
        verbs.teardown(worker)
