"""People who push versions of a workflow on three real machines, with a daemon that deploys them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.daemon.controller.daemon_process import Site, make_site
from tests.e2e.test_rollout import APP, BLUEPRINT, CRASHES, IS_DEAF, NAMES, SERVES, WORKFLOW
from tests.fleet.machines import Fleet
from tests.fleet.operators import workers_of
from tests.operator import local_operator

__all__ = ["CRASHES", "IS_DEAF", "NAMES", "SERVES", "Shop", "make_shop"]

ONE_BY_ONE = {"canary": 1, "max_parallel": 1, "min_healthy_time": "0s", "healthy_deadline": "60s", "auto_revert": True}


class Shop:
    """People who push versions of a workflow on three machines."""

    def __init__(self, site: Site, machines: Fleet) -> None:
        self.site = site
        self.machines = machines
        self.version = 0

    def push(self, does: str, rollout: Mapping[str, Any] = ONE_BY_ONE) -> str:
        self.version += 1
        workers = workers_of(self.machines[name] for name in NAMES)
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


def make_shop(machines: Fleet, home: Path, repository: str = "") -> Shop:
    """`repository` as the daemon's configuration names it, by default the path of the bare one."""
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
        repository=repository or str(site.bare),
        ssh={"identity": str(machines[NAMES[0]].client_key)},
        policy={"users": ["root"], "addresses": ["0.0.0.0/0"]},
        intervals={"poll": "5s", "reconcile": "5s"},
    )
    return Shop(site, machines)
