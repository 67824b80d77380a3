"""An agent on a machine that is killed before its n-th change, whichever verb it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import tests.crash.points
from gitopsd.agent.bundle import agent_script
from gitopsd.fleet.layout import layout_of
from tests.fleet_ssh.on_machines import target_of

if TYPE_CHECKING:
    from tests.fleet.machine import Machine

MOST_POINTS = 400
_KILLED = 137


def put_in_place(machine: Machine) -> None:
    """Before `killed_at`: the agent, and what kills it."""
    for name, content in (
        ("points.py", Path(tests.crash.points.__file__).read_bytes()),
        ("agent.py", agent_script().content),
    ):
        machine.run(["sh", "-c", f"cat > /opt/{name}"], input=content)


def killed_at(machine: Machine, point: int, verb: str, request: dict[str, object], payload: bytes = b"") -> bool:
    """Run a verb that is killed before its point-th change; False when it ended before that."""
    layout = layout_of(target_of(machine)).as_json()
    stdin = json.dumps({"protocol": 1, "layout": layout, **request}).encode() + b"\n" + payload
    command = ["sh", "-c", f'/usr/bin/python3 -IB /opt/points.py {point} /opt/agent.py {verb}; exit "$?"']
    done = machine.run(command, input=stdin, check=False)
    assert done.returncode in (0, _KILLED), done.stderr
    return done.returncode == _KILLED
