"""Unmanaged copies of jobs: made from the release that is current, then their owner's. Activation knows none of them.

A copy is there when its directory has its name; what was killed before that is swept by the next one that is made.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from . import store
from .accounts import find_account
from .copy_job import WRITTEN, copied_job
from .copy_place import CopyPlace, places
from .durable import make_directory, remove, replace_file_synced, sync, write_file
from .errors import AgentError
from .lock import exclusive
from .records import require_owner
from .release import load_release

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Protocol

    from .deadline import Deadline
    from .layout import Layout
    from .release import Job, Release
    from .services import Unit

    class CopyService(Protocol):
        """What runs copies: the worker's service manager, as far as it is asked about them."""

        def require(self) -> None:
            """As ServiceManager.require."""

        def units(self, copies: Sequence[CopyPlace]) -> dict[str, Unit]:
            """Copy's name -> its unit; those that the manager doesn't know are missing."""

        def install(self, place: CopyPlace, original: Original, deadline: Deadline) -> None:
            """Have the manager know a copy whose directory is there; it isn't started."""

        def start(self, place: CopyPlace, deadline: Deadline) -> None:
            """Start it, now and at boot."""

        def remove(self, copies: Sequence[CopyPlace], deadline: Deadline) -> list[str]:
            """Stop copies and have the manager forget them; the names of those that would not stop."""

        def log(self, place: CopyPlace, lines: int) -> list[str]: ...


FORMAT = 1
_LOG_LINES = 20


class CopyRecord(NamedTuple):
    """`copy.json`. `made` is seconds since the epoch by the worker's clock; `started`: that it starts at boot."""

    job: str
    release: str
    kind: str
    made: float
    secrets: tuple[str, ...]
    started: bool


class Original(NamedTuple):
    """The job that a copy was made from: its unit's text, and the directories that only the original writes to."""

    job: str
    unit: bytes
    parted: frozenset[str]


def list_copies(layout: Layout, service: CopyService) -> dict[str, Any]:
    """Every copy that is there, with its state."""
    found = places(layout)
    units = service.units(found) if found else {}
    return {"copies": [_described(place, units.get(place.name)) for place in found]}


def clone(
    layout: Layout,
    service: CopyService,
    place: CopyPlace,
    job: str,
    *,
    root_commit: str,
    start: bool,
    deadline: Deadline,
) -> dict[str, Any]:
    """Make a copy of a job of the current release. AgentError `not-found`, `exists`, `unsupported`, as well as `busy`.

    A copy that was made and doesn't start is there all the same; its state and log tell.
    """
    service.require()
    _require_root(layout)
    with exclusive(layout, deadline):
        require_owner(layout, root_commit)
        current = store.current_release(layout)
        if current is None:
            raise AgentError("not-found", "no release is current on this worker: `gitopsd apply` deploys")
        release = load_release(layout.releases / current)
        if job not in release.jobs:
            raise AgentError("not-found", f"{job} is not a job of the release that is current on this worker")
        if place.directory.exists():
            raise AgentError("exists", f"there is a copy {place.name} already: choose another name, or remove it first")
        original = _make(layout, place, release, release.jobs[job])
        service.install(place, original, deadline)
        if start:
            record = read_record(place)
            if record is not None:
                write_record(place, record._replace(started=True))
            service.start(place, deadline)
        described = _described(place, service.units([place]).get(place.name))
        return {"copy": described, "log": service.log(place, _LOG_LINES) if start else []}


def remove_copy(
    layout: Layout, service: CopyService, place: CopyPlace, *, root_commit: str, deadline: Deadline
) -> dict[str, Any]:
    """Stop a copy and remove all of it. AgentError `not-found`, or `busy` when it doesn't stop in time."""
    service.require()
    _require_root(layout)
    with exclusive(layout, deadline):
        require_owner(layout, root_commit)
        if not place.directory.exists():
            raise AgentError("not-found", f"there is no copy {place.name} on this worker")
        remove_copies([place], service, deadline)
        return {"removed": [place.name]}


def remove_copies(copies: Sequence[CopyPlace], service: CopyService, deadline: Deadline) -> None:
    """Under the worker's lock. AgentError `busy` names those that did not stop; the others are gone."""
    alive = service.remove(copies, deadline)
    for place in copies:
        if place.name in alive:
            continue
        remove(place.aside)
        place.directory.rename(place.aside)
        sync(place.layout.copies)
        remove(place.run)
        remove(place.aside)
    if alive:
        raise AgentError("busy", f"these copies did not stop in time: {', '.join(alive)}. Look at them, then retry")


def read_record(place: CopyPlace) -> CopyRecord | None:
    """None where it is missing or damaged: a person may have edited it."""
    try:
        content = json.loads(place.record.read_bytes())
        return CopyRecord(
            job=str(content["job"]),
            release=str(content["release"]),
            kind=str(content["kind"]),
            made=float(content["made"]),
            secrets=tuple(str(name) for name in content["secrets"]),
            started=content["started"] is True,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(place: CopyPlace, record: CopyRecord) -> None:
    replace_file_synced(place.record, _record_text(record))


def _record_text(record: CopyRecord) -> bytes:
    content = {"format": FORMAT, **record._asdict()}
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def _make(layout: Layout, place: CopyPlace, release: Release, job: Job) -> Original:
    """Put the copy's directory there, whole."""
    source = layout.releases / release.id
    copied = copied_job(_read_job(source / "jobs" / job.name / "job.json"), place)
    make_directory(layout.copies, 0o755)
    _sweep(layout)
    aside = place.aside
    try:
        make_directory(aside, 0o755)
        make_directory(aside / "jobs", 0o755)
        _copy_tree(source / "runtime", aside / "runtime")
        if (source / "libraries").exists():
            _copy_tree(source / "libraries", aside / "libraries")
        _copy_tree(source / "jobs" / job.name, aside / "jobs" / place.name)
        text = json.dumps(copied.document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        _write(aside / "jobs" / place.name / "job.json", text.encode(), 0o644)
        _make_state(aside, job)
        _copy_credentials(layout, aside, job)
        record = CopyRecord(job.name, release.id, job.kind, round(time.time(), 3), job.secrets, started=False)
        _write(aside / "copy.json", _record_text(record), 0o644)
        for directory in (aside / "jobs", aside):
            sync(directory)
        aside.rename(place.directory)
    except BaseException:
        with suppress(OSError):
            remove(aside)
        raise
    sync(layout.copies)
    sync(layout.root)
    return Original(job.name, release.units.get(f"gitopsd-{job.name}.service", b""), copied.parted)


def _make_state(aside: Path, job: Job) -> None:
    """As systemd would make it, and in it the directory that the runner expects to be there."""
    import os  # noqa: PLC0415 -- for root only

    account = find_account(job.user) if os.geteuid() == 0 else None
    for directory in (aside / "state", aside / "state" / WRITTEN):
        make_directory(directory, 0o755)
        if account is not None:
            os.chown(directory, account.uid, account.gid)
        sync(directory)


def _copy_credentials(layout: Layout, aside: Path, job: Job) -> None:
    if not job.secrets:
        return
    make_directory(aside / "credentials", 0o700)
    for name in job.secrets:
        try:
            value = (layout.credentials / "current" / job.name / name).read_bytes()
        except FileNotFoundError:
            raise AgentError(
                "unsupported", f"the secret {name} of {job.name} is not on this worker: `gitopsd reconcile` brings it"
            ) from None
        _write(aside / "credentials" / name, value, 0o600)
    sync(aside / "credentials")


def _copy_tree(source: Path, target: Path) -> None:
    """As it is on this worker, edits by hand included; plain files and directories only."""
    if source.is_symlink():
        raise AgentError("unsupported", f"{source} is a link: `gitopsd reconcile` puts the release right")
    make_directory(target, 0o755)
    for path in sorted(source.iterdir()):
        if path.is_dir() or path.is_symlink():
            _copy_tree(path, target / path.name)
        else:
            _write(target / path.name, path.read_bytes(), path.stat().st_mode & 0o755)
    sync(target)


def _write(path: Path, content: bytes, mode: int) -> None:
    write_file(path, content, mode)
    sync(path)


def _require_root(layout: Layout) -> None:
    if not layout.root.is_dir():
        raise AgentError("not-found", "nothing is deployed to this worker: `gitopsd apply` deploys")


def _sweep(layout: Layout) -> None:
    for path in layout.copies.iterdir():
        if path.name.startswith("."):
            remove(path)


def _read_job(path: os.PathLike[str]) -> Any:
    with open(path, "rb") as file:  # noqa: PTH123 -- as good
        try:
            return json.loads(file.read())
        except ValueError:
            return None


def _described(place: CopyPlace, unit: Unit | None) -> Mapping[str, Any]:
    record = read_record(place)
    return {
        "name": place.name,
        "unit": place.unit,
        "directory": str(place.directory),
        "job": record.job if record else "",
        "release": record.release if record else "",
        "made": record.made if record else None,
        "secrets": list(record.secrets) if record else [],
        "state": None if unit is None else unit.as_json(),
    }
