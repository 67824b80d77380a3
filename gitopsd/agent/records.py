"""What the agent remembers between calls: who owns the worker, and what each job was last started with."""

from __future__ import annotations

import json
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .durable import replace_file_synced, sync, write_file
from .errors import AgentError
from .manifest import is_object_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .layout import Layout

_ENVIRONMENT = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


class Owner(NamedTuple):
    """The artifact branch that a worker belongs to."""

    root_commit: str
    environment: str


def parse_owner(value: Any) -> Owner:
    if not isinstance(value, dict) or not is_object_id(value.get("root_commit")):
        raise AgentError("protocol", "the request's owner is not {root_commit, environment}")
    environment = value.get("environment")
    if not isinstance(environment, str) or not _ENVIRONMENT.fullmatch(environment):
        raise AgentError("protocol", "the request's owner names no environment")
    return Owner(value["root_commit"], environment)


def read_owner(layout: Layout) -> Owner | None:
    """None for a worker that nobody has activated yet."""
    content = _read_json(layout.owner)
    if content is None:
        return None
    try:
        return parse_owner(content)
    except AgentError:
        # an owner that can't be read is still an owner: somebody has to look before anything is overwritten
        raise AgentError(
            "io", f"{layout.owner} is damaged: restore it, or remove it to give this worker away"
        ) from None


def require_owner(layout: Layout, root_commit: str | None) -> Owner | None:
    """The worker's owner; AgentError `owned-by-another` when that is another artifact branch than asked for."""
    owner = read_owner(layout)
    if owner is not None and root_commit is not None and owner.root_commit != root_commit:
        raise AgentError(
            "owned-by-another",
            f"this worker belongs to environment {owner.environment} of the artifact branch that began with commit "
            f"{owner.root_commit[:12]}, not to the one that began with {root_commit[:12]}: nothing was changed. "
            "If it is to change hands, `gitopsd worker adopt` shows what that would change, and takes it over when "
            "confirmed; or `gitopsd worker teardown`, from the repository that owns it, empties it first",
        )
    return owner


def write_owner(layout: Layout, owner: Owner, deployment: int = 0) -> None:
    """Also the fence: `deployment` is the highest number that this owner has had the worker activated for."""
    content = {"root_commit": owner.root_commit, "environment": owner.environment, "deployment": deployment}
    _write_json(layout.owner, content)


def read_deployment(layout: Layout) -> int:
    """The fence: the highest number of a deployment that the worker was activated for; 0 for none."""
    content = _read_json(layout.owner)
    number = content.get("deployment") if isinstance(content, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 0


def take_over(layout: Layout, owner: Owner, deployment: int) -> None:
    """Write down whose the worker is, and for which deployment; before anything of it is touched.

    deployment: 0 for none, which is not compared.
    AgentError `owned-by-another`; `stale` where it was activated for a later deployment already.
    """
    before = require_owner(layout, owner.root_commit)
    highest = read_deployment(layout)
    if 0 < deployment < highest:
        raise AgentError(
            "stale",
            f"this worker was activated for deployment {highest} already, and this is {deployment}: nothing was "
            "changed. Another controller is ahead: apply again, which starts from the newest deployment. If the "
            "artifact branch was set back on purpose, run `gitopsd worker adopt` for this worker, then apply again",
            deployment=highest,
        )
    if before != owner or deployment > highest:
        write_owner(layout, owner, max(deployment, highest))


def read_rolled_back(layout: Layout) -> dict[str, Any] | None:
    """What was undone last: {release, to, at, reason, token}; None since an activation has succeeded."""
    content = _read_json(layout.rolled_back)
    if not isinstance(content, dict) or not is_object_id(content.get("release")):
        return None
    to, at = content.get("to"), content.get("at")
    return {
        "release": content["release"],
        "to": to if is_object_id(to) else None,
        "at": float(at) if isinstance(at, (int, float)) else 0.0,
        "reason": str(content.get("reason", "")),
        "token": str(content.get("token", "")),
    }


def write_rolled_back(layout: Layout, content: Mapping[str, Any]) -> None:
    _write_json(layout.rolled_back, content)


def clear_rolled_back(layout: Layout) -> None:
    if layout.rolled_back.exists():
        layout.rolled_back.unlink()
        sync(layout.root)


def read_applied(layout: Layout) -> dict[str, str]:
    """Job -> digest that it was last (re)started with; a job whose entry is missing counts as unknown."""
    content = _read_json(layout.applied)
    if not isinstance(content, dict):
        return {}
    return {job: digest for job, digest in content.items() if isinstance(digest, str)}


def write_applied(layout: Layout, applied: Mapping[str, str]) -> None:
    _write_json(layout.applied, applied)


def forget_applied(layout: Layout, jobs: Iterable[str]) -> None:
    """Before a job's files or unit are touched: were we killed midway, nothing claims to know what it runs."""
    applied = read_applied(layout)
    kept = {job: digest for job, digest in applied.items() if job not in set(jobs)}
    if kept != applied:
        write_applied(layout, kept)


def mark_activating(layout: Layout, release: str) -> None:
    # not synced: it tells of a killed agent; after a power loss systemd has read everything anew anyway
    write_file(layout.activating, release.encode() + b"\n", 0o644)


def clear_activating(layout: Layout) -> None:
    with suppress(FileNotFoundError):
        layout.activating.unlink()


def completed_jobs(layout: Layout) -> list[str]:
    """Jobs of kind once that have ended well."""
    try:
        found = sorted(path.name for path in layout.state.iterdir())
    except FileNotFoundError:
        return []
    return [job for job in found if _is_plain_file(layout.completed(job))]


def _is_plain_file(path: Path) -> bool:
    """In a directory of a job's own: whatever it put there, even what can't be looked up, is at most not a file."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    replace_file_synced(path, text.encode())
