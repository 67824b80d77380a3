"""People who deploy to the machines of a fleet."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.fleet.machine import Machine
from tests.fleet.machines import Fleet
from tests.operator import Operator


def production_operator(home: Path, machines: Fleet, more: str = "") -> Operator:
    """Whose repository has the environment `production` alone, with no workflow yet and no fleet file.

    `more` is text of the operator's configuration, beside the key that opens the machines.
    """
    config = home / "config.yaml"
    config.write_text(f"ssh: {{identity: {machines.client_key}}}\n{more}")
    operator = Operator(folder=home / "repository", home=home, config=config)
    operator.run("init", str(operator.folder))
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml", "fleets/local.yaml")
    operator.write({"gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n"})
    return operator


def workers_of(machines: Iterable[Machine]) -> dict[str, dict[str, Any]]:
    """What a fleet file says of them, by name."""
    return {one.name: {"address": one.address, "user": "root", "host_key": one.host_key} for one in machines}
