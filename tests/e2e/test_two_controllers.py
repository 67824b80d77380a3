"""Two daemons on two hosts that share nothing but the repository: neither undoes what the other one does."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.daemon.controller.daemon_process import Site, daemon, wait_for_deployment
from tests.e2e.shop import NAMES, SERVES, make_shop
from tests.fleet.fixtures import StartFleet
from tests.operator import eventually

PUSHES = 6
# locks of its own, as another host has them; nothing of it is left when the process ends
ANOTHER_HOST = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run/lock && exec "$@"', "sh")


def test_two_hosts_race_and_no_worker_goes_back_to_an_older_version(fleet: StartFleet, tmp_path: Path) -> None:
    shop = make_shop(fleet(names=NAMES), tmp_path, repository=f"file://{tmp_path / 'fleet.git'}")
    first = shop.site
    home = tmp_path / "another"
    home.mkdir()
    second = Site(operator=replace(first.operator, home=home, config=home / "config.yaml"), bare=first.bare)
    (home / "config.yaml").write_text(
        (tmp_path / "config.yaml").read_text().replace(str(first.socket), str(second.socket))
    )
    with daemon(first), daemon(second, prefix=ANOTHER_HOST):
        eventually("both lead", lambda: bool(first.state()) and bool(second.state()))
        for _ in range(PUSHES):
            newest = shop.push(SERVES)
            eventually("somebody deployed it", partial(_is_deployed, first, newest))
        last = max(first.deployments("production"))
        wait_for_deployment(first, last, "production")
        eventually("all serve it", lambda: set(shop.serving().values()) == {f"version {PUSHES} {SERVES}"})
        committed = {one["leader"]["pid"] for one in (first.state(), second.state())}
        assert len(committed) == 2
    for name in NAMES:
        starts = shop.machines[name].run(["sh", "-c", "cat /var/lib/gitopsd/state/*/starts"]).stdout.splitlines()
        versions = [int(line.split()[0]) for line in starts]
        assert versions == sorted(set(versions)), f"{name} went back, or started a version twice: {versions}"


def _is_deployed(site: Site, source: str) -> bool:
    """Whether a deployment came from that commit."""
    wanted = f"--grep=^Source-Commit: {source}"
    return bool(site.operator.git("--git-dir", str(site.bare), "log", "--branches=rendered/*", wanted, "--format=%H"))
