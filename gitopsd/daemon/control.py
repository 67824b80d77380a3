"""`control.json` as commands change it: cordons put on, lifted, and removed once they have expired."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from gitopsd.daemon.artifact_state import read_control
from gitopsd.daemon.records import RecordsEdit, commit_records, record_file
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import CONTROL_FILE
from gitopsd.model.control import ControlRecord, Cordon
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_file
from gitopsd.repo.repository import Repository

ControlChange = Callable[[ControlRecord, ArtifactHead | None], tuple[str, ControlRecord]]
"""From what is committed, without what has expired, to a subject for the commit and what is to be there instead."""


class KnownCordon(msgspec.Struct, frozen=True, kw_only=True):
    """A cordon as it is shown. One that is `expired` counts all the same until a commit removes it."""

    owner: str
    reason: str
    since: str
    until: str
    drained: bool
    expired: bool


def moment(time: datetime | None = None) -> str:
    """A time, by default now, as records have it."""
    return (time or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def control_of(repository: Repository, head: ArtifactHead | None) -> ControlRecord:
    """What is committed, expired or not."""
    return read_control(repository, head.commit.tree) if head else ControlRecord()


def known_cordons(repository: Repository, head: ArtifactHead | None) -> Mapping[str, KnownCordon]:
    """Worker -> its cordon, to be shown."""
    now = moment()
    return {
        name: KnownCordon(
            owner=cordon.owner,
            reason=cordon.reason,
            since=cordon.since,
            until=cordon.until,
            drained=cordon.drained,
            expired=cordon.has_expired(now),
        )
        for name, cordon in control_of(repository, head).cordons.items()
    }


def change_control(workspace: Workspace, branch: ArtifactBranch, change: ControlChange) -> str:
    """The commit that makes the change, and removes what has expired; empty where nothing differs."""

    def edit(head: ArtifactHead | None) -> RecordsEdit | None:
        before = control_of(workspace.repository, head)
        expired = expired_cordons(before)
        subject, after = change(_without(before, expired), head)
        if after == before:
            return None
        content = read_file(workspace.repository, head.commit.tree, CONTROL_FILE) if head else None
        details = tuple(f"{name}: its cordon had expired, {cordon.until}" for name, cordon in expired.items())
        return RecordsEdit(subject=subject, files={CONTROL_FILE: control_file(content, after)}, details=details)

    return commit_records(workspace, branch, edit)


def remove_expired(workspace: Workspace, branch: ArtifactBranch) -> tuple[str, ...]:
    """Commits the end of what has expired; gives the names of the workers that take new jobs again."""
    names: tuple[str, ...] = ()

    def change(record: ControlRecord, head: ArtifactHead | None) -> tuple[str, ControlRecord]:
        nonlocal names
        before = control_of(workspace.repository, head)
        names = tuple(sorted(before.cordons.keys() - record.cordons.keys()))
        return f"Expired: the cordon of {', '.join(names)}", record

    change_control(workspace, branch, change)
    return names


def control_file(present: bytes | None, record: ControlRecord) -> bytes:
    """`control.json` with these cordons. What a later version of gitopsd keeps there beside them stays as it is."""
    known = msgspec.json.decode(present or b"{}", type=dict[str, msgspec.Raw])
    cordons = msgspec.Raw(msgspec.json.encode(dict(sorted(record.cordons.items())), order="sorted"))
    return record_file({"format": record.format, **known, "cordons": cordons})


def expired_cordons(record: ControlRecord) -> Mapping[str, Cordon]:
    """Those that are over by the clock, and count until a commit removes them."""
    now = moment()
    return {name: cordon for name, cordon in sorted(record.cordons.items()) if cordon.has_expired(now)}


def _without(record: ControlRecord, names: Mapping[str, Cordon]) -> ControlRecord:
    return replace(record, cordons={name: one for name, one in record.cordons.items() if name not in names})
