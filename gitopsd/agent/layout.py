"""Where things lie on a worker. The controller chooses root and run; nothing of it is ever rendered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from .errors import AgentError

PROTOCOL = 1
SERVICE_MANAGERS = ("systemd", "supervisor")

# A control character would break a unit, a configuration or a message; the rest may be in a home directory's name.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


class Layout(NamedTuple):
    root: Path
    run: Path
    service_manager: str
    supervisor_python: str | None

    @property
    def agents(self) -> Path:
        return self.root / "agent"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def guard(self) -> Path:
        """Locked for moments, by whoever looks at `armed` to change it (marker.py)."""
        return self.root / "guard"

    @property
    def owner(self) -> Path:
        return self.root / "owner.json"

    @property
    def applied(self) -> Path:
        return self.root / "applied.json"

    @property
    def credentials(self) -> Path:
        """The values of secrets; for the user who runs the agent alone."""
        return self.root / "credentials"

    @property
    def activating(self) -> Path:
        """Present while an activation changes things: found without a holder of the lock, one was interrupted."""
        return self.root / "activating"

    @property
    def armed(self) -> Path:
        """Present while an activation waits for its confirmation: what the worker returns to without one."""
        return self.root / "switch.json"

    @property
    def rolling_back(self) -> Path:
        """What `armed` is renamed to once it is too late to confirm."""
        return self.root / "rolling-back.json"

    @property
    def rolled_back(self) -> Path:
        """What the last activation was that was undone; until the next one succeeds."""
        return self.root / "rolled-back.json"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def copies(self) -> Path:
        """Unmanaged copies of jobs, which people own: a directory each."""
        return self.root / "copies"

    def draining(self, job: str) -> Path:
        """When a job that drains has to end: its launcher's, from the first start on."""
        return self.state / job / "draining"

    def completed(self, job: str) -> Path:
        """Written by the launcher when a job of kind once has ended well."""
        return self.state / job / "completed"


def parse_layout(value: Any) -> Layout:
    """Check the request's `layout`; AgentError `protocol` says what is wrong with it."""
    if not isinstance(value, dict):
        raise AgentError("protocol", "the request has no layout")
    manager = value.get("service_manager")
    if manager not in SERVICE_MANAGERS:
        raise AgentError("unsupported", f"service manager {manager!r}: this agent knows {', '.join(SERVICE_MANAGERS)}")
    supervisor = value.get("supervisor")
    python = supervisor.get("python") if isinstance(supervisor, dict) else None
    if manager == "supervisor" and not isinstance(python, str):
        raise AgentError("protocol", "layout.supervisor.python is missing: which Python has supervisor installed?")
    return Layout(
        root=_directory(value, "root"),
        run=_directory(value, "run"),
        service_manager=manager,
        supervisor_python=python,
    )


def _directory(value: dict[str, Any], key: str) -> Path:
    text = value.get(key)
    if not isinstance(text, str) or not text.startswith("/") or _UNPRINTABLE.search(text):
        raise AgentError("protocol", f"layout.{key} must be an absolute path")
    path = Path(text)
    # root is removed as a whole by teardown: a top-level directory is a mistake, not a layout
    if ".." in path.parts or len(path.parts) < 3:
        raise AgentError("protocol", f"layout.{key} {text!r} must lie at least two directories deep, without `..`")
    return path
