"""The daemon and three real machines: what is pushed rolls out, and a newer version pre-empts an older one."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.daemon.controller.daemon_process import Site, daemon, make_site, wait_for_deployment
from tests.e2e.test_rollout import APP, BLUEPRINT, CRASHES, IS_DEAF, NAMES, SERVES, WORKFLOW
from tests.fleet.fixtures import StartFleet
from tests.fleet.machines import Fleet
from tests.operator import eventually, local_operator

ONE_BY_ONE = {"canary": 1, "max_parallel": 1, "min_healthy_time": "0s", "healthy_deadline": "60s", "auto_revert": True}


class Shop:
    """People who push versions of a workflow on three machines."""

    def __init__(self, site: Site, machines: Fleet) -> None:
        self.site = site
        self.machines = machines
        self.version = 0

    def push(self, does: str, rollout: Mapping[str, Any] = ONE_BY_ONE) -> str:
        self.version += 1
        workers = {
            name: {"address": self.machines[name].address, "user": "root", "host_key": self.machines[name].host_key}
            for name in NAMES
        }
        self.site.operator.write(
            {
                "fleets/production.yaml": json.dumps({"groups": {"edge": {"rollout": rollout, "workers": workers}}}),
                "workflows/shop.yaml": WORKFLOW.replace("DOES", does).replace("VERSION", str(self.version)),
            }
        )
        self.site.operator.commit(f"Version {self.version} {does}")
        return self.site.push()

    def serving(self) -> dict[str, str]:
        """Machine -> the version that its job said last that it is."""
        command = ["journalctl", "--unit=gitopsd-shop.app.*", "--output=cat", "--grep=^version"]
        said = {name: self.machines[name].run(command).stdout.splitlines() for name in NAMES}
        return {name: lines[-1] if lines else "" for name, lines in said.items()}

    def newest(self) -> int:
        return max(self.site.deployments("production"), default=0)


@pytest.fixture(scope="module")
def shop(fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    machines = fleet(names=NAMES)
    home = tmp_path_factory.mktemp("home")
    operator = local_operator(home)
    operator.git("rm", "--quiet", "-r", "workflows", "fleets")
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
            "blueprints/app.yaml": BLUEPRINT,
            "files/app.py": APP,
        }
    )
    operator.commit("An app")
    site = make_site(home, operator)
    site.configure(
        ssh={"identity": str(machines[NAMES[0]].client_key)},
        policy={"users": ["root"], "addresses": ["0.0.0.0/0"]},
        intervals={"poll": "5s", "reconcile": "5s"},
    )
    return Shop(site, machines)


def test_versions_roll_out_and_pre_empt_each_other_and_failures_go_back(shop: Shop) -> None:
    site = shop.site
    with daemon(site) as process:
        shop.push(SERVES)
        wait_for_deployment(site, 1, "production")
        assert set(shop.serving().values()) == {"version 1 serves"}

        shop.push(IS_DEAF)  # never ready: its canary would be waited for a minute
        eventually("the canary is begun", lambda: "version 2 is-deaf" in shop.serving().values())
        shop.push(SERVES)
        wait_for_deployment(site, 3, "production")
        assert set(shop.serving().values()) == {"version 3 serves"}
        assert site.last_rollout(2, "production")["superseded_by"] == 3

        shop.push(CRASHES)
        wait_for_deployment(site, 5, "production")
        assert set(shop.serving().values()) == {"version 3 serves"}
        assert site.note(4, "production")["reverted"]["shop"]["to"] == 3
        assert site.last_rollout(4, "production")["not_attempted"], "the canary alone met the version that crashes"

        shop.push(SERVES)
        eventually("the next rollout is under way", lambda: "version 5 serves" in shop.serving().values())
        process.kill()
    with daemon(site):
        wait_for_deployment(site, 6, "production")
        assert set(shop.serving().values()) == {"version 5 serves"}

        shop.machines["edge-2"].cut_link()
        shop.push(SERVES)
        eventually("two have it", lambda: list(shop.serving().values()).count("version 6 serves") == 2)
        shop.machines["edge-2"].restore_link()
        wait_for_deployment(site, 7, "production")
        assert set(shop.serving().values()) == {"version 6 serves"}
