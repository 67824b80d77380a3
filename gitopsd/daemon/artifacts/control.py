"""`control.json` as commands change it, and as it is shown. What has expired goes with the next change."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from gitopsd.daemon.artifacts.records import RecordsEdit, commit_records, record_file
from gitopsd.daemon.artifacts.state import read_control
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import CONTROL_FILE
from gitopsd.model.control import ControlRecord, Decision
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_file
from gitopsd.repo.commit import identity_of
from gitopsd.repo.repository import Repository

ControlChange = Callable[[ControlRecord, ArtifactHead | None], tuple[str, ControlRecord]]
"""From what is committed, without what has expired, to a subject for the commit and what is to be there instead."""


class KnownPause(msgspec.Struct, frozen=True, kw_only=True):
    """A pause as it is shown. One that is `expired` keeps nothing from being applied any more."""

    owner: str
    reason: str
    since: str
    until: str
    expired: bool


class KnownHold(msgspec.Struct, frozen=True, kw_only=True):
    """The version that an environment is held at, as it is shown. One that is `expired` counts no more."""

    owner: str
    reason: str
    since: str
    until: str
    expired: bool
    commit: str


class KnownCordon(msgspec.Struct, frozen=True, kw_only=True):
    """A cordon as it is shown. One that is `expired` counts all the same until a commit removes it."""

    owner: str
    reason: str
    since: str
    until: str
    expired: bool
    drained: bool


class KnownQuarantine(msgspec.Struct, frozen=True, kw_only=True):
    """A quarantine as it is shown. One that is `expired` counts all the same until a commit removes it."""

    owner: str
    reason: str
    since: str
    until: str
    expired: bool
    compiled: str
    failed: int
    returns_to: int


def moment(time: datetime | None = None) -> str:
    """A time, by default now, as records have it."""
    return (time or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def owner_of(workspace: Workspace) -> str:
    """Who decides: `Name <email>` by Git's configuration."""
    identity = identity_of(workspace.repository)
    return f"{identity.name} <{identity.email}>"


def control_of(repository: Repository, head: ArtifactHead | None) -> ControlRecord:
    """What is committed, expired or not."""
    return read_control(repository, head.commit.tree) if head else ControlRecord()


def known_cordons(repository: Repository, head: ArtifactHead | None) -> Mapping[str, KnownCordon]:
    """Worker -> its cordon, to be shown."""
    cordons = control_of(repository, head).cordons
    return {name: KnownCordon(**_shown(cordon), drained=cordon.drained) for name, cordon in cordons.items()}


def known_quarantines(repository: Repository, head: ArtifactHead | None) -> Mapping[str, KnownQuarantine]:
    """Workflow -> its quarantine, to be shown, in the order of their names."""
    return {
        name: KnownQuarantine(**_shown(one), compiled=one.compiled, failed=one.failed, returns_to=one.returns_to)
        for name, one in sorted(control_of(repository, head).quarantines.items())
    }


def known_pause(repository: Repository, head: ArtifactHead | None) -> KnownPause | None:
    """The environment's pause, to be shown."""
    pause = control_of(repository, head).pause
    return KnownPause(**_shown(pause)) if pause else None


def known_hold(repository: Repository, head: ArtifactHead | None) -> KnownHold | None:
    """The version that the environment is held at, to be shown."""
    hold = control_of(repository, head).hold
    return KnownHold(**_shown(hold), commit=hold.commit) if hold else None


def change_control(workspace: Workspace, branch: ArtifactBranch, change: ControlChange) -> str:
    """The commit that makes the change, and removes what has expired; empty where nothing differs."""

    def edit(head: ArtifactHead | None) -> RecordsEdit | None:
        before = control_of(workspace.repository, head)
        subject, after = change(_without_expired(before), head)
        if after == before:
            return None
        content = read_file(workspace.repository, head.commit.tree, CONTROL_FILE) if head else None
        return RecordsEdit(
            subject=subject, files={CONTROL_FILE: control_file(content, after)}, details=expired_parts(before)
        )

    return commit_records(workspace, branch, edit)


def remove_expired(workspace: Workspace, branch: ArtifactBranch) -> tuple[str, ...]:
    """Commits the end of what has expired; gives what that was, each in a sentence."""
    ended: tuple[str, ...] = ()

    def change(record: ControlRecord, head: ArtifactHead | None) -> tuple[str, ControlRecord]:
        nonlocal ended
        ended = expired_parts(control_of(workspace.repository, head))
        return "Remove what has expired", record

    change_control(workspace, branch, change)
    return ended


def expired_parts(record: ControlRecord) -> tuple[str, ...]:
    """What is over by the clock and counts until a commit removes it, each in a sentence."""
    cordons = {f"the cordon of {name}": cordon for name, cordon in sorted(record.cordons.items())}
    quarantines = {f"the quarantine of {name}": one for name, one in sorted(record.quarantines.items())}
    others = {"the pause": record.pause, "the hold": record.hold}
    parts: dict[str, Decision] = {**cordons, **quarantines, **{what: one for what, one in others.items() if one}}
    now = moment()
    return tuple(f"{what} expired at {one.until}" for what, one in parts.items() if one.has_expired(now))


def control_file(present: bytes | None, record: ControlRecord) -> bytes:
    """`control.json` as `record` has it. What a later version of gitopsd keeps there beside that stays as it is."""
    known = msgspec.json.decode(present or b"{}", type=dict[str, msgspec.Raw])
    optional = {
        "quarantines": record.quarantines,
        "pause": record.pause,
        "hold": record.hold,
        "accepted": record.accepted,
    }
    ours = {
        "format": record.format,
        "cordons": record.cordons,
        **{key: value for key, value in optional.items() if value},
    }
    return record_file({**{key: value for key, value in known.items() if key not in optional}, **ours})


def _shown(decision: Decision) -> dict[str, Any]:
    return {
        "owner": decision.owner,
        "reason": decision.reason,
        "since": decision.since,
        "until": decision.until,
        "expired": decision.has_expired(moment()),
    }


def _without_expired(record: ControlRecord) -> ControlRecord:
    now = moment()
    cordons = {name: cordon for name, cordon in record.cordons.items() if not cordon.has_expired(now)}
    quarantines = {name: one for name, one in record.quarantines.items() if not one.has_expired(now)}
    pause = None if record.pause is None or record.pause.has_expired(now) else record.pause
    hold = None if record.hold is None or record.hold.has_expired(now) else record.hold
    return replace(record, cordons=cordons, quarantines=quarantines, pause=pause, hold=hold)
