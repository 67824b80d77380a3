"""rsyslog and syslog-ng as jobs of real machines, beside the ones that the distribution runs as a service.

The two exclude each other, so each has a machine of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.packages import install
from tests.operator import Operator, Ran, eventually

if TYPE_CHECKING:
    from tests.fleet.fixtures import StartFleet
    from tests.fleet.machine import Machine

RSYSLOG = """\
workflow: rsyslog
steps:
  collect:
    use: std/read-files
    with: {glob: "/srv/in/*.jsonl", mode: tail}
    out: raw
    place: {group: rsyslog}
  sift:
    use: std/rsyslog
    in: raw
    out: sifted
    with:
      config: |
        module(load="mmjsonparse")
        module(load="imtcp")
        input(type="imtcp" port="1514" address="127.0.0.1" ruleset="network")
        template(name="as_json" type="list" option.jsonf="on") {
          property(outname="message" name="msg" format="jsonf")
        }
        ruleset(name="network") {
          set $.event = exec_template("as_json");
          call gitopsd_out
        }
        action(type="mmjsonparse" cookie="" useRawMsg="on")
        if $!n >= LEAST then call gitopsd_out
    place: {group: rsyslog}
  deliver:
    use: std/write-files
    in: sifted
    with: {path: /srv/out}
    place: {group: rsyslog}
channels:
  raw: {transport: worker}
  sifted: {transport: worker}
"""
SYSLOG_NG = """\
workflow: syslog-ng
steps:
  collect:
    use: std/read-files
    with: {glob: "/srv/in/*.jsonl", mode: tail}
    out: raw
    place: {group: syslog-ng}
  sift:
    use: std/syslog-ng
    in: raw
    out: sifted
    with:
      config: |
        parser as_json { json-parser(prefix("event.")); };
        filter sifted { "${event.n}" >= "LEAST" };
        log { source(gitopsd_in); parser(as_json); filter(sifted); destination(gitopsd_out); flags(flow-control); };
    place: {group: syslog-ng}
  deliver:
    use: std/write-files
    in: sifted
    with: {path: /srv/out}
    place: {group: syslog-ng}
channels:
  raw: {transport: worker}
  sifted: {transport: worker}
"""
WORKFLOWS = {"rsyslog": RSYSLOG, "syslog-ng": SYSLOG_NG}
SAID = {"rsyslog": "files/rsyslog.conf, on or before line 22: syntax error", "syslog-ng": "files/syslog-ng.conf:8:"}
PACKAGES = {"rsyslog": "rsyslog", "syslog-ng": "syslog-ng-core"}
PROGRAMS = {"rsyslog": "rsyslogd", "syslog-ng": "syslog-ng"}


@dataclass(frozen=True, kw_only=True)
class Site:
    """One engine's machine, and who deploys to it."""

    engine: str
    machine: Machine
    operator: Operator

    @property
    def job(self) -> str:
        return f"{self.engine}.sift.0"

    def deploy(self, least: int, *, mistake: str = "", expect: int | None = 0) -> Ran:
        text = WORKFLOWS[self.engine].replace("LEAST", str(least))
        text += f"# version {self.operator.git('rev-list', '--count', 'HEAD')}\n"
        if mistake:
            sift, place, rest = text.rpartition(f"    place: {{group: {self.engine}}}\n  deliver:")
            text = f"{sift}        {mistake}\n{place}{rest}"
        self.operator.write({f"workflows/{self.engine}.yaml": text})
        self.operator.commit(f"{self.engine} from {least} on")
        return self.operator.run("apply", "--json", expect=expect)

    def result(self, ran: Ran) -> dict[str, Any]:
        return next(one for one in ran.json["workers"] if one["worker"] == self.machine.name)

    def put(self, name: str, first: int, count: int) -> None:
        text = "".join(f'{{"n": {number}, "text": "ä  \\" \\\\n"}}\n' for number in range(first, first + count))
        self.machine.run(["sh", "-c", "cat > /srv/in/.new && mv /srv/in/.new /srv/in/$0.jsonl", name], input=text)

    def written(self) -> list[str]:
        return self.machine.run(["sh", "-c", "cat /srv/out/*.jsonl"], check=False).stdout.splitlines()

    def numbers(self) -> list[int]:
        return [json.loads(line).get("n", -1) for line in self.written()]

    def main_pid(self) -> str:
        return self.machine.run(["systemctl", "show", "-P", "MainPID", f"gitopsd-{self.job}.service"]).stdout.strip()

    def engine_pid(self) -> str:
        """The engine that runs as a job, a child of the runner."""
        return self.machine.run(["pgrep", "-P", self.main_pid(), "-f", PROGRAMS[self.engine]]).stdout.strip()

    def release(self) -> str:
        return self.machine.run(["readlink", "/var/lib/gitopsd/current"]).stdout.strip()


@pytest.fixture(scope="module")
def sites(fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Site]:
    machines = fleet(names=tuple(f"{engine}-1" for engine in PACKAGES))
    for engine, package in PACKAGES.items():
        install(machines[f"{engine}-1"], package)
        machines[f"{engine}-1"].run(["mkdir", "-p", "/srv/in"])
    home = tmp_path_factory.mktemp("home")
    (home / ".config/gitopsd").mkdir(parents=True)
    (home / ".config/gitopsd/config.yaml").write_text(f"ssh: {{identity: {machines.client_key}}}\n")
    operator = Operator(folder=home / "repository", home=home)
    operator.run("init", str(operator.folder))
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml", "fleets/local.yaml")
    groups = {
        engine: {
            "workers": {
                f"{engine}-1": {
                    "address": machines[f"{engine}-1"].address,
                    "user": "root",
                    "host_key": machines[f"{engine}-1"].host_key,
                }
            }
        }
        for engine in PACKAGES
    }
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
            "fleets/production.yaml": json.dumps({"groups": groups}),
        }
    )
    operator.commit("Machines")
    operator.run("worker", "probe", "--commit")
    return {engine: Site(engine=engine, machine=machines[f"{engine}-1"], operator=operator) for engine in PACKAGES}


@pytest.fixture(params=list(PACKAGES))
def site(request: pytest.FixtureRequest, sites: dict[str, Site]) -> Site:
    """With the events from 100 on let through."""
    site = sites[request.param]
    site.deploy(100)
    return site


def test_events_go_through_the_engine_as_they_are_beside_the_one_of_the_distribution(site: Site) -> None:
    service = f"{site.engine}.service"
    assert site.machine.run(["systemctl", "is-active", service]).stdout.strip() == "active"
    distributions = site.machine.run(["systemctl", "show", "-P", "MainPID", service]).stdout
    before = len(site.written())
    site.put("through", 98, 5)
    eventually("events", lambda: len(site.written()) >= before + 3)
    assert site.written()[before:] == [f'{{"n": {number}, "text": "ä  \\" \\\\n"}}' for number in (100, 101, 102)]
    assert site.machine.run(["ps", "-o", "user=", "-p", site.engine_pid()]).stdout.strip() == "gitopsd-job"
    assert site.machine.run(["systemctl", "show", "-P", "MainPID", service]).stdout == distributions


def test_a_change_reaches_a_running_engine_and_no_event_is_lost(site: Site) -> None:
    pids = site.main_pid(), site.engine_pid()
    before = len(site.written())
    site.put("during", 1000, 50_000)
    result = site.result(site.deploy(200))
    reloads = site.engine == "syslog-ng"
    assert result["touched"]["reloaded" if reloads else "restarted"] == [site.job]
    assert ((site.main_pid(), site.engine_pid()) == pids) is reloads
    eventually("events", lambda: len(site.written()) >= before + 50_000)
    assert sorted(set(site.numbers()[before:])) == list(range(1000, 51_000))
    site.put("after", 199, 2)
    eventually("the event after", lambda: 200 in site.numbers())
    assert 199 not in site.numbers()


def test_what_the_engine_refuses_is_not_activated_and_what_runs_goes_on(site: Site) -> None:
    release, pids = site.release(), (site.main_pid(), site.engine_pid())
    result = site.result(site.deploy(100, mistake="nonsense {", expect=1))
    message = json.dumps(result)
    assert f"{site.job}: `{PROGRAMS[site.engine]} " in message
    assert "refuses its files" in message
    assert SAID[site.engine] in message
    assert (site.release(), (site.main_pid(), site.engine_pid())) == (release, pids)
    assert (
        site.machine.run(
            ["sh", "-c", "ls -d /run/gitopsd-check-* /run/systemd/system/gitopsd-check-*"], check=False
        ).stdout
        == ""
    )
    assert site.result(site.operator.run("apply", "--json", expect=1))["state"] == "failed"  # nor is it later on
    before = len(site.written())
    site.put("still", 300, 2)
    eventually("events", lambda: len(site.written()) >= before + 2)
    site.deploy(100)


def test_an_engine_is_a_source_by_itself(sites: dict[str, Site]) -> None:
    site = sites["rsyslog"]
    site.deploy(100)
    line = b'<13>Nov 30 12:00:00 host app: denied "x"\n'
    send = f"import socket; socket.create_connection(('127.0.0.1', 1514)).sendall({line!r})"
    site.machine.run(["python3", "-c", send])
    eventually("the event", lambda: any("denied" in line for line in site.written()))
    assert json.loads(next(line for line in site.written() if "denied" in line))["message"].strip() == 'denied "x"'
