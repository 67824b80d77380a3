"""A release as the agent reads it, and as the controller wants it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field


class ReleaseJob(Struct, frozen=True, kw_only=True):
    """One job of `release.json`."""

    kind: str
    digest: str
    unit: str
    on_change: str
    ready: dict[str, Any] = field(default_factory=dict)
    user: str = ""
    directories: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


class ReleaseRecord(Struct, frozen=True, kw_only=True):
    """`release.json`."""

    format: int
    worker: str
    environment: str
    runtime: str | None = None
    jobs: dict[str, ReleaseJob] = field(default_factory=dict)


class DesiredRelease(Struct, frozen=True, kw_only=True):
    """What one worker should hold: the release's id, its record, and path -> (mode, blob id) of all its files."""

    worker: str
    id: str
    record: ReleaseRecord
    files: Mapping[str, tuple[str, str]]
