"""The values of secrets, for root alone: `credentials/current/JOB/NAME`, which `LoadCredential=` of the units names.

They come in sets, directories of which one rename of the link `current` chooses one. A set is whole on disk before
that, and the one before it stays, for whoever returns to the release before. Names of sets are random: nothing that
could be guessed from is derived from a value.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from .durable import remove, replace_link, sync, write_file
from .errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .layout import Layout
    from .release import Release

_SET = re.compile(r"sets/([0-9a-f]{32})")
_LEAST_KEY = 16


class Staged(NamedTuple):
    """A set that is on disk, and not yet current; `changed` are the jobs whose values it changes."""

    name: str
    changed: frozenset[str]


def parse_values(value: Any) -> dict[str, bytes]:
    """The request's `credentials`: name -> base64 of the value. AgentError `protocol` says nothing of what came."""
    if not isinstance(value, dict):
        raise AgentError("protocol", "credentials is not an object")
    try:
        return {name: base64.b64decode(text, validate=True) for name, text in value.items()}
    except (ValueError, TypeError):
        raise AgentError("protocol", "a value among the credentials is not base64") from None


def parse_key(value: Any) -> bytes | None:
    """The request's `fingerprint_key`: hex, or missing where nothing is to be compared."""
    if value is None:
        return None
    try:
        key = bytes.fromhex(value)
    except (ValueError, TypeError):
        key = b""
    if len(key) < _LEAST_KEY:
        raise AgentError("protocol", f"fingerprint_key is not hex of at least {_LEAST_KEY} bytes")
    return key


def fingerprints(layout: Layout, key: bytes) -> dict[str, dict[str, str]]:
    """Job -> name -> HMAC-SHA256 of what this worker holds; the key is the controller's, and for this answer only."""
    return {
        job: {name: _fingerprint(key, job, name, value) for name, value in values.items()}
        for job, values in _read(layout.credentials / "current").items()
    }


def _fingerprint(key: bytes, job: str, name: str, value: bytes) -> str:
    return hmac.new(key, b"\0".join((job.encode(), name.encode(), value)), sha256).hexdigest()


def stage(layout: Layout, release: Release, sent: Mapping[str, bytes]) -> Staged | None:
    """Write the values that the release's jobs ask for; None where the current set is just that already.

    What the current set has beyond that comes along until `settle`: were we killed in between, the release of before
    would still find all that its units name.
    AgentError `bad-payload` when a value wasn't sent.
    """
    missing = sorted({name for job in release.jobs.values() for name in job.secrets if name not in sent})
    if missing:
        raise AgentError("bad-payload", f"the values of these secrets were not sent: {', '.join(missing)}")
    wanted = {job.name: {name: sent[name] for name in job.secrets} for job in release.jobs.values() if job.secrets}
    held = _read(layout.credentials / "current")
    changed = frozenset(job for job, values in wanted.items() if not values.items() <= held.get(job, {}).items())
    if held == wanted:
        return None
    name = os.urandom(16).hex()
    _make_private(layout.credentials)
    _make_private(layout.credentials / "sets")
    _write(layout, name, {job: {**held.get(job, {}), **wanted.get(job, {})} for job in sorted({*held, *wanted})})
    return Staged(name, changed)


def discard(layout: Layout, staged: Staged | None) -> None:
    """Remove a set that will not become current."""
    if staged is not None:
        remove(layout.credentials / "sets" / staged.name)
        sync(layout.credentials / "sets")


def swap(layout: Layout, staged: Staged | None) -> None:
    """Point `previous` at the set that is current, and `current` at the staged one; on disk when this returns.

    Without a staged set the release before and the new one have the same.
    """
    directory = layout.credentials
    before = _set_of(directory / "current")
    if before is not None:
        _point(directory / "previous", before)
    if staged is not None:
        _point(directory / "current", staged.name)
    if directory.is_dir():
        sync(directory)


def current_set(layout: Layout) -> str | None:
    """The name of the set that counts; None where there is none."""
    return _set_of(layout.credentials / "current")


def changed_jobs(layout: Layout, release: Release, name: str | None) -> frozenset[str]:
    """Jobs of a release whose values are others in the set `name` than in the current one."""
    if name is None or name == current_set(layout):
        return frozenset()
    held, earlier = _read(layout.credentials / "current"), _read(layout.credentials / "sets" / name)
    jobs = [job for job in release.jobs.values() if job.secrets]
    return frozenset(
        job.name
        for job in jobs
        if any(held.get(job.name, {}).get(one) != earlier.get(job.name, {}).get(one) for one in job.secrets)
    )


def return_to(layout: Layout, name: str | None) -> None:
    """Make an earlier set current once more, or none; on disk when this returns. AgentError `io` when it is gone."""
    directory = layout.credentials
    if name is not None and not (directory / "sets" / name).is_dir():
        raise AgentError("io", f"{directory}/sets/{name} is gone: apply again, which sends these values anew")
    if name is None:
        remove(directory / "current")
    elif name != current_set(layout):
        _point(directory / "current", name)
    remove(directory / "previous")
    if directory.is_dir():
        sync(directory)


def settle(layout: Layout, release: Release, spare: str | None = None) -> None:
    """Once the release runs: remove what none of its jobs asks for, and the sets but this one and the one before.

    spare: a set that may be returned to.
    """
    directory = layout.credentials
    if not directory.is_dir():
        return
    for job, name in list(_names(directory / "current")):
        if job not in release.jobs or name not in release.jobs[job].secrets:
            remove(directory / "current" / job / name)
    for path in _children(directory / "current"):
        if path.name not in release.jobs or not release.jobs[path.name].secrets:
            remove(path)
    remove(directory / "staging")
    kept = {_set_of(directory / "current"), _set_of(directory / "previous"), spare}
    for path in _children(directory / "sets"):
        if path.name not in kept:
            remove(path)


def _write(layout: Layout, name: str, values: Mapping[str, Mapping[str, bytes]]) -> None:
    aside = layout.credentials / "staging"
    remove(aside)
    _make_private(aside)
    for job, by_name in values.items():
        _make_private(aside / job)
        for secret, value in by_name.items():
            write_file(aside / job / secret, value, 0o600)
            sync(aside / job / secret)
        sync(aside / job)
    sync(aside)
    aside.rename(layout.credentials / "sets" / name)
    sync(layout.credentials / "sets")
    sync(layout.credentials)
    sync(layout.root)


def _point(link: Path, name: str) -> None:
    if link.is_dir() and not link.is_symlink():
        remove(link)  # somebody put a directory in the link's place
    replace_link(link, f"sets/{name}")


def _set_of(link: Path) -> str | None:
    try:
        found = _SET.fullmatch(os.readlink(link))  # noqa: PTH115 -- what the link says exactly
    except OSError:
        return None
    return found.group(1) if found else None


def _make_private(path: Path) -> None:
    path.mkdir(mode=0o700, parents=False, exist_ok=True)
    path.chmod(0o700)


def _read(current: Path) -> dict[str, dict[str, bytes]]:
    """Job -> name -> value; what others may read, or what isn't a file, counts as not there."""
    found: dict[str, dict[str, bytes]] = {}
    for job, name in _names(current):
        path = current / job / name
        if path.is_file() and not path.is_symlink() and not path.stat().st_mode & 0o077:
            found.setdefault(job, {})[name] = path.read_bytes()
    return found


def _names(current: Path) -> Iterator[tuple[str, str]]:
    for job in _children(current):
        for path in _children(job):
            yield job.name, path.name


def _children(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
