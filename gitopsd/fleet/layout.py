"""Where gitopsd's things lie on a worker: decided here, sent with each request, never rendered."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gitopsd.agent.layout import Layout as AgentLayout
from gitopsd.agent.supervisor_conf import path_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitopsd.fleet.target import Target

SYSTEM_ROOT = "/var/lib/gitopsd"
SYSTEM_RUN = "/run/gitopsd"
# the longest socket below run is `supervisor.sock.<pid>`, of at most 107 bytes in all
_LONGEST_RUN = 80


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The `layout` of a request; supervisor_python is the interpreter that has supervisor installed."""

    root: str
    run: str
    service_manager: str
    supervisor_python: str | None = None

    def as_json(self) -> dict[str, Any]:
        supervisor = None if self.supervisor_python is None else {"python": self.supervisor_python}
        return {
            "root": self.root,
            "run": self.run,
            "service_manager": self.service_manager,
            "supervisor": supervisor,
        }


def layout_of(target: Target, environment: Mapping[str, str] | None = None) -> Layout:
    """The layout of a worker: fixed under systemd, under $XDG_STATE_HOME for the built-in worker without it."""
    if target.service_manager == "systemd":
        return Layout(root=SYSTEM_ROOT, run=SYSTEM_RUN, service_manager="systemd")
    variables = os.environ if environment is None else environment
    state = variables.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    owner = "unowned" if target.owner is None else target.owner.root_commit[:8]
    root = Path(state) / "gitopsd" / f"{target.name}-{owner}"
    return Layout(
        root=str(root), run=_run_directory(root), service_manager="supervisor", supervisor_python=sys.executable
    )


def layout_problem(layout: Layout) -> str | None:
    """What keeps a worker from lying there, with the way out, or None. To be asked before anything is written."""
    if layout.supervisor_python is None:
        return None
    agent_layout = AgentLayout(
        root=Path(layout.root),
        run=Path(layout.run),
        service_manager=layout.service_manager,
        supervisor_python=layout.supervisor_python,
    )
    problem = path_problem(agent_layout)
    if problem is None:
        return None
    if path_problem(agent_layout._replace(supervisor_python="/usr/bin/python3")) is None:
        return f"{problem}: install gitopsd in a directory whose path has letters, digits and `/._-` only"
    return f"{problem}: set XDG_STATE_HOME to a path of letters, digits and `/._-` only"


def _run_directory(root: Path) -> str:
    """Inside the root, private and stable, unless the paths of its sockets would grow too long for the kernel."""
    inside = str(root / "run")
    if len(os.fsencode(inside)) <= _LONGEST_RUN:
        return inside
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return f"/tmp/gitopsd-{os.getuid()}-{name}"  # noqa: S108 -- the agent checks that it is ours and private
