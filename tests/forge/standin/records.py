"""What a forge remembers besides Git."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal

How = Literal["merge", "squash", "rebase", "fast-forward"]
_START = datetime(2024, 1, 1, tzinfo=UTC)
_ticks = count()


def moment() -> datetime:
    """A second later each time, so that any two differ in every format."""
    return _START + timedelta(seconds=next(_ticks))


def written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


@dataclass(kw_only=True)
class Note:
    """A comment."""

    id: int
    author: str
    body: str
    edits: int = 0
    at: datetime = field(default_factory=moment)


@dataclass(frozen=True, kw_only=True)
class Status:
    id: int
    context: str
    state: str
    description: str
    target: str


@dataclass(kw_only=True)
class Review:
    id: int
    author: str
    verdict: Literal["approved", "changes"]
    commit: str
    at: datetime
    dismissed: bool = False
    has_a_say: bool = True


@dataclass(kw_only=True)
class PullRecord:
    """`fork` is the account that the head's repository is of; empty for the base repository itself."""

    number: int
    author: str
    title: str
    branch: str
    base: str
    head: str
    base_commit: str
    fork: str = ""
    draft: bool = False
    locked: bool = False
    state: Literal["open", "merged", "closed"] = "open"
    how: How = "merge"
    merge_commit: str = ""
    at: datetime = field(default_factory=moment)
    notes: list[Note] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    versions: list[tuple[str, datetime]] = field(default_factory=list)
