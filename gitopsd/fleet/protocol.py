"""The agent's answers, typed. Fields that a newer agent adds are ignored, so that either side may be updated first."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from gitopsd.fleet.errors import WorkerRefused
from gitopsd.fleet.target import Owner  # noqa: TC001 -- msgspec reads the annotations at run time
from gitopsd.fleet.wire import excerpt


class UnitState(msgspec.Struct, frozen=True, kw_only=True):
    """One unit in systemd's words; since is seconds since the epoch by the worker's clock, blob its file's Git id.

    drop_ins are the files that override parts of it (`systemctl edit`): a hot edit that activation removes.
    Under supervisor blob is None and enabled True for every job that its configuration has.
    """

    active: str
    sub: str
    result: str
    main_pid: int
    restarts: int
    enabled: bool
    since: float | None = None
    blob: str | None = None
    drop_ins: tuple[str, ...] = ()


class ObservedFile(msgspec.Struct, frozen=True, array_like=True):
    path: str
    mode: str
    blob: str


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker holds and runs. In sync means tree == release == desired, and units as release.json says.

    files is empty unless tree differs from release. busy: an activation was under way, so the picture may be mixed.
    """

    owner: Owner | None
    release: str | None
    tree: str | None
    units: dict[str, UnitState]
    applied: dict[str, str]
    completed: tuple[str, ...]
    releases: tuple[str, ...]
    interrupted: bool
    files: tuple[ObservedFile, ...] = ()
    busy: bool = False


class JobFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job isn't up, and the last lines of its log."""

    message: str
    log: tuple[str, ...] = ()


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """What one activation did to each job, and what was read back afterwards; seconds by step."""

    started: tuple[str, ...]
    restarted: tuple[str, ...]
    reloaded: tuple[str, ...]
    stopped: tuple[str, ...]
    unchanged: tuple[str, ...]
    failed: dict[str, JobFailure]
    daemon_reload: bool
    seconds: dict[str, float]
    observation: Observation


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a machine; problems are what keeps it from being a worker, each with the way out."""

    python: str
    features: dict[str, str]
    os: str
    architecture: str
    user: str
    problems: tuple[str, ...]
    owner: Owner | None = None


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    removed: tuple[str, ...]
    in_use: tuple[str, ...] = ()


class TornDown(msgspec.Struct, frozen=True, kw_only=True):
    units: tuple[str, ...]
    directories: tuple[str, ...]


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    lines: tuple[str, ...]


_T = TypeVar("_T")


def decode(worker: str, verb: str, answer: dict[str, Any], kind: type[_T]) -> _T:
    """An answer as its type; WorkerRefused `protocol` names what doesn't fit."""
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        found = excerpt(msgspec.json.encode(answer))
        raise WorkerRefused(
            worker, "protocol", f"{worker}: the answer to `{verb}` does not fit: {error}; it ends with {found}"
        ) from None
