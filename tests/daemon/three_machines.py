"""A repository with a workflow on three machines that nobody reaches, and the records of its artifact branch."""

import json
from pathlib import Path
from typing import Any

from gitopsd.repo.artifacts import artifact_branch
from tests.daemon.deployments import Deployments, deployments, environments, workflow

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRqpX2nJ8oWkBKmZQ1L8D0Ck7W4o3y2UuJbqv0mAOt"
BRANCH = artifact_branch("production")


def machines(*numbers: int) -> dict[str, Any]:
    workers = {f"edge-{n}": {"address": f"10.0.0.{n}", "host_key": f"{KEY}{chr(64 + n)}"} for n in numbers}
    return {"groups": {"edge": {"mounts": {"/mnt": "shared"}, "workers": workers}}}


def three_machines(path: Path) -> Deployments:
    found = deployments(path)
    found.commit(
        {
            "gitopsd.yaml": environments(production=""),
            "fleets/production.yaml": machines(1, 2, 3),
            "workflows/orders.yaml": workflow("orders", 3),
        }
    )
    return found


def record(repository: Deployments, path: str = "control.json") -> Any:
    return json.loads(repository.repo.git("show", f"rendered/production:{path}"))
