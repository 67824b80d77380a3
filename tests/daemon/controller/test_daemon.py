"""`gitopsd daemon` as people meet it: a real process, real pushes, and processes that run on this machine."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.daemon.controller.daemon_process import (
    Site,
    daemon,
    wait_for_deployment,
    wait_for_outcome,
)
from tests.daemon.controller.two_programs import DIES, FLEET, RUNS, two_programs
from tests.forge.standin import forge_standin
from tests.operator import eventually
from tests.ports import free_port


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from two_programs(tmp_path)


def change(site: Site, name: str, text: str) -> str:
    site.operator.write({f"files/{name}.sh": text})
    site.operator.commit(f"Another {name}")
    return site.push()


def running(site: Site) -> dict[str, int]:
    """Job -> process."""
    found = site.operator.run("workloads", "--json").json
    return {one["job"]: one["main_pid"] for one in found if one["state"] == "running"}


def test_what_is_pushed_is_deployed_and_what_was_killed_runs_again(site: Site) -> None:
    with daemon(site):
        wait_for_deployment(site, 1)
        first = running(site)
        assert set(first) == {"orders.main.0", "alerts.main.0"}
        change(site, "orders", RUNS + "# better\n")
        wait_for_deployment(site, 2)
        second = running(site)
        assert second["orders.main.0"] != first["orders.main.0"]
        assert second["alerts.main.0"] == first["alerts.main.0"], "what did not change is not restarted"
        status = site.operator.run("status").stdout
        assert "controller: process" in status
        released = site.operator.home / "state/gitopsd"
        edited = next(path for path in released.rglob("current/jobs/orders.main.0/files/run"))
        edited.chmod(0o755)
        edited.write_text("#!/bin/sh\nexec sleep 2000\n")
        eventually("the edit by hand is undone", lambda: "better" in edited.read_text())
        eventually("and recorded", lambda: "overwritten" in str(site.note(2)))


def test_a_version_that_does_not_compile_is_refused_and_said_and_the_next_one_deployed(site: Site) -> None:
    with daemon(site):
        wait_for_deployment(site, 1)
        path = site.operator.folder / "workflows/orders.yaml"
        good = path.read_text()
        path.write_text(good.replace("group: local", "group: locl"))
        site.operator.commit("A typo")
        refused = wait_for_outcome(site, "refused", site.push())
        assert "workflows/orders.yaml:3" in refused["diagnostics"]
        shown = site.operator.run("status").stdout
        assert "is not deployed" in shown
        assert "unknown group" in shown or "locl" in shown
        assert len(running(site)) == 2
        path.write_text(good)
        site.operator.write({"files/orders.sh": RUNS + "# mended\n"})
        site.operator.commit("Mended")
        site.push()
        wait_for_deployment(site, 2)


def test_of_a_burst_of_pushes_the_newest_one_comes_to_run(site: Site) -> None:
    with daemon(site):
        wait_for_deployment(site, 1)
        for number in range(8):
            newest = change(site, "orders", RUNS + f"# {number}\n")
        eventually("the newest one is deployed", lambda: site.outcome().get("source") == newest)
        last = max(site.deployments())
        wait_for_deployment(site, last)
        rendered = site.operator.git("--git-dir", str(site.bare), "show", f"{site.deployments()[last]}:workers")
        assert "local-1" in rendered
        run = f"{site.deployments()[last]}:workers/local-1/jobs/orders.main.0/files/run"
        assert "# 7" in site.operator.git("--git-dir", str(site.bare), "show", run)


def test_a_version_that_fails_is_reverted_and_not_tried_again_and_a_revert_by_hand_settles_it(site: Site) -> None:
    with daemon(site) as process:
        wait_for_deployment(site, 1)
        before = running(site)
        change(site, "orders", DIES)
        wait_for_deployment(site, 3)
        assert site.note(2)["reverted"]["orders"]["to"] == 1
        assert running(site)["alerts.main.0"] == before["alerts.main.0"]
        process.kill()
    with daemon(site):
        eventually("it leads again", lambda: bool(site.state()))
        change(site, "alerts", RUNS + "# better\n")  # orders as it was: still the form that failed
        wait_for_deployment(site, 4)
        assert "orders" in site.operator.run("quarantine", "list").stdout
        path = f"{site.deployments()[4]}:workers/local-1/jobs/orders.main.0/files/run"
        assert "exit 3" not in site.operator.git("--git-dir", str(site.bare), "show", path)
        change(site, "orders", RUNS + "# mended\n")
        wait_for_deployment(site, 5)
        assert "orders" not in site.operator.run("quarantine", "list").stdout


def test_a_second_one_stands_by_and_takes_over(site: Site) -> None:
    with daemon(site) as first:
        wait_for_deployment(site, 1)
        with daemon(site, log=site.operator.home / "second.log") as second:
            eventually(
                "it says whom it stands by for",
                lambda: f"process {first.pid}" in (site.operator.home / "second.log").read_text(),
            )
            first.kill()
            eventually("the second one leads", lambda: site.state().get("leader", {}).get("pid") == second.pid)
            change(site, "orders", RUNS + "# after\n")
            wait_for_deployment(site, 2)


def test_it_stops_within_seconds_during_a_rollout_and_the_next_one_goes_on(site: Site) -> None:
    patient = FLEET.replace("WORKER", "local-1").replace("1s, healthy_deadline: 20s", "60s, healthy_deadline: 90s")
    site.operator.write({"fleets/local.yaml": patient})
    site.operator.commit("Patient")
    site.push()
    with daemon(site) as process:
        eventually("the jobs are being watched", lambda: len(site.deployments()) == 1 and len(running(site)) == 2)
        pids = running(site)
        assert process.stop(45) == 0  # the jobs would be watched for a minute
        assert not site.socket.exists()
    assert site.last_rollout(1)["interrupted"] is True
    site.operator.write({"fleets/local.yaml": FLEET.replace("WORKER", "local-1")})
    site.operator.commit("Less patient")
    site.push()
    with daemon(site):
        eventually("the next one sees all well", lambda: site.last_rollout(1)["counts"] == {"converged": 1})
        assert running(site) == pids


def test_an_environment_whose_branch_is_renamed_during_a_rollout_goes_on_with_the_new_one(site: Site) -> None:
    patient = FLEET.replace("WORKER", "local-1").replace("1s, healthy_deadline: 20s", "60s, healthy_deadline: 90s")
    site.operator.write({"fleets/local.yaml": patient})
    site.operator.commit("Patient")
    site.push()
    with daemon(site):
        eventually("the jobs are being watched", lambda: len(site.deployments()) == 1 and len(running(site)) == 2)
        renamed = "environments:\n  local: {fleet: fleets/local.yaml, artifacts: rendered/renamed}\n"
        site.operator.write({"gitopsd.yaml": renamed, "fleets/local.yaml": FLEET.replace("WORKER", "local-1")})
        site.operator.commit("Another branch")
        site.push()
        branches = ("--git-dir", str(site.bare), "for-each-ref", "refs/heads/rendered/renamed")
        eventually("it is deployed to that one", lambda: bool(site.operator.git(*branches)))
        eventually("and looked after", lambda: site.state()["environments"]["local"]["cycles"] > 0)


def test_a_tag_that_an_environment_is_pinned_to_deploys_when_it_comes_and_when_it_moves(site: Site) -> None:
    def tag(text: str) -> None:
        site.operator.write({"files/orders.sh": text})
        site.operator.commit("Another version")
        site.operator.git("push", "--quiet", "origin", "HEAD:refs/heads/next")
        site.operator.git("tag", "--force", "live")
        site.operator.git("push", "--quiet", "--force", "origin", "live")

    site.configure(repository=f"file://{site.bare}")
    pinned = "environments:\n  local: {fleet: fleets/local.yaml, pin: live}\n"
    site.operator.write({"gitopsd.yaml": pinned})
    site.operator.commit("Pinned to a tag that is yet to come")
    source = site.push()
    with daemon(site):
        assert "unknown-pin" in wait_for_outcome(site, "refused", source)["diagnostics"]
        tag(RUNS + "# one\n")
        wait_for_deployment(site, 1)
        tag(RUNS + "# two\n")
        wait_for_deployment(site, 2)


def test_the_trouble_of_one_environment_does_not_delay_another(site: Site) -> None:
    site.operator.write(
        {
            "gitopsd.yaml": "environments: {local: {fleet: fleets/local.yaml}, second: {fleet: fleets/second.yaml}}\n",
            "fleets/second.yaml": FLEET.replace("WORKER", "second-1").replace("  local:", "  other:"),
        }
    )
    site.operator.commit("A second environment without the group")
    broken = site.push()
    with daemon(site):
        wait_for_deployment(site, 1)
        wait_for_outcome(site, "refused", broken, "second")
        site.operator.write({"fleets/second.yaml": FLEET.replace("WORKER", "second-1")})
        site.operator.commit("With it")
        site.push()
        wait_for_deployment(site, 1, "second")


def test_a_pause_holds_what_is_pushed_until_it_is_ended(site: Site) -> None:
    with daemon(site):
        wait_for_deployment(site, 1)
        site.operator.run("pause", "--reason", "an inventory")
        held = wait_for_outcome(site, "held", change(site, "orders", RUNS + "# later\n"))
        assert "an inventory" in held["reasons"][0]
        assert "waits" in site.operator.run("status").stdout
        site.operator.run("resume")
        wait_for_deployment(site, 2)


def test_a_pause_ends_the_rollout_that_is_under_way_and_after_resume_it_goes_on(site: Site) -> None:
    with daemon(site):
        wait_for_deployment(site, 1)
        before = running(site)["orders.main.0"]
        patient = FLEET.replace(
            "min_healthy_time: 1s, healthy_deadline: 20s", "min_healthy_time: 30s, healthy_deadline: 5m"
        )
        site.operator.write({"fleets/local.yaml": patient.replace("WORKER", "local-1")})
        change(site, "orders", RUNS + "# slow\n")
        eventually("the new one runs", lambda: running(site).get("orders.main.0", before) != before)
        site.operator.run("pause", "--reason", "it looks bad")
        eventually("the rollout ends", lambda: "it looks bad" in str(site.note(2)))
        assert site.last_rollout(2)["not_attempted"] == ["local-1"]
        site.operator.run("resume")
        wait_for_deployment(site, 2)
        assert site.last_rollout(2)["counts"] == {"converged": 1}, "it was still on trial"


def test_a_version_is_on_trial_also_after_its_controller_was_killed(site: Site) -> None:
    with daemon(site) as process:
        wait_for_deployment(site, 1)
        before = running(site)["orders.main.0"]
        patient = FLEET.replace("min_healthy_time: 1s", "min_healthy_time: 15s").replace("WORKER", "local-1")
        site.operator.write({"fleets/local.yaml": patient})
        change(site, "orders", "#!/bin/sh\nsleep 8\nexit 3\n")
        eventually("the new one runs", lambda: running(site).get("orders.main.0", before) != before)
        process.kill()
    with daemon(site):
        wait_for_deployment(site, 3)
    assert site.note(2)["reverted"]["orders"]["to"] == 1


def test_a_configuration_is_read_again_and_one_with_a_mistake_changes_nothing(site: Site) -> None:
    with daemon(site) as process:
        wait_for_deployment(site, 1)
        site.configure(policy={"max_jobs": 1, "local_workers": True})
        process.reload()
        refused = wait_for_outcome(site, "refused", change(site, "orders", RUNS + "# more\n"))
        assert "max_jobs" in str(refused)
        (site.operator.home / "config.yaml").write_text("polcy: {}\n")
        process.reload()
        eventually("the mistake is said", lambda: "not read again" in site.log.read_text())
        other = site.bare.with_name("other.git")
        site.operator.git("clone", "--quiet", "--bare", str(site.bare), str(other))
        site.configure(repository=str(other))
        process.reload()
        eventually("the other repository is not taken up", lambda: "another repository" in site.log.read_text())
        assert site.state()["leader"]["repository"] == f"file://{site.bare}"
        listen = {"control": str(site.socket), "metrics": "127.0.0.1:9"}
        site.configure(listen=listen, notify=[{"url": {"env": "HOOK"}}])
        process.reload()
        eventually("what waits is said", lambda: "new in `listen` and `notify` counts once" in site.log.read_text())
        site.configure()
        process.reload()
        wait_for_deployment(site, 2)


def test_apply_and_reconcile_leave_the_work_to_the_controller_and_tell_how_it_goes(site: Site) -> None:
    with daemon(site) as process:
        wait_for_deployment(site, 1)
        ran = site.operator.run("reconcile")
        assert f"process {process.pid}" in ran.stdout
        assert "local-1: in-sync" in ran.stdout
        os.kill(process.pid, signal.SIGSTOP)  # it sees nothing of the push before apply commits it
        try:
            change(site, "orders", RUNS + "# applied\n")
            site.operator.run("plan")
        finally:
            os.kill(process.pid, signal.SIGCONT)
        ran = site.operator.run("apply", "--json")
        assert ran.json["deployment"] == 2
        assert [one["worker"] for one in ran.json["workers"]] == ["local-1"]


def test_a_clone_that_is_named_by_url_is_followed_by_polling(site: Site) -> None:
    site.configure(repository=f"file://{site.bare}")
    other = replace(site.operator, config=site.operator.home / "config.yaml")
    with daemon(site):
        wait_for_deployment(site, 1)
        change(site, "orders", RUNS + "# from afar\n")
        wait_for_deployment(site, 2)
        assert "controller: process" in other.run("status").stdout


def test_a_repository_that_is_away_keeps_nothing_from_being_healed_nor_a_daemon_from_starting(site: Site) -> None:
    site.configure(repository=f"file://{site.bare}")
    away = site.bare.with_suffix(".away")
    with daemon(site):
        wait_for_deployment(site, 1)
    site.bare.rename(away)
    with daemon(site):
        eventually("it leads all the same", lambda: bool(site.state().get("environments")))
        released = site.operator.home / "state/gitopsd"
        edited = next(path for path in released.rglob("current/jobs/orders.main.0/files/run"))
        edited.chmod(0o755)
        edited.write_text("#!/bin/sh\nexec sleep 2000\n")
        eventually("the edit by hand is undone", lambda: edited.read_text() == RUNS)
        assert site.state()["problem"], "that the repository is away is said"
        away.rename(site.bare)
        change(site, "orders", RUNS + "# after it came back\n")
        wait_for_deployment(site, 2)


def test_a_merge_on_a_forge_is_deployed_at_once_by_its_webhook(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "webhook_secret"
    secret.write_text("a secret of this test\n")
    secret.chmod(0o600)
    port = free_port()
    with forge_standin("gitea", tmp_path / "forge", site.bare) as forge:
        site.configure(
            repository=site.bare.as_uri(),
            intervals={"poll": "1h", "reconcile": "1h"},
            listen={"control": str(site.socket), "webhook": f"127.0.0.1:{port}"},
            forge={
                "kind": "gitea",
                "repository": forge.name,
                "url": forge.url,
                "token": {"file": "/none"},
                "webhook_secret": {"file": str(secret)},
            },
        )
        with daemon(site):
            wait_for_deployment(site, 1)
            hook = forge.webhook(f"http://127.0.0.1:{port}/webhook", secret.read_text().strip())
            forge.commit("feature", {"files/orders.sh": RUNS + "# better\n"})
            number = forge.open("feature")
            merged = forge.merge(number)
            wait_for_deployment(site, 2)
            assert site.outcome()["source"] == merged
    assert {one.status for one in hook.deliveries} == {202}
