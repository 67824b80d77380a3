"""One comment that stays, and one status of each name: what is there already is not written again."""

from collections.abc import Callable, Iterable
from datetime import datetime

from gitopsd.forge.forge import Comment, CommitStatus


def upsert(
    comments: Iterable[Comment],
    marker: str,
    body: str,
    *,
    limit: int,
    create: Callable[[str], datetime],
    edit: Callable[[int, str], datetime],
) -> datetime | None:
    """As `Forge.upsert_comment`; `comments` by age, the oldest first, read no farther than needed. `create` and `edit`
    say when the forge wrote it.
    """
    if not marker or not body.startswith(marker):
        raise ValueError("a comment starts with its marker")
    if len(body) > limit:
        raise ValueError(f"a comment has at most {limit:,} characters here, and this one {len(body):,}")
    there = ours(comments, marker)
    if there is None:
        return create(body)
    return None if _as_kept(there.body) == _as_kept(body) else edit(there.id, body)


def ours(comments: Iterable[Comment], marker: str) -> Comment | None:
    """The oldest of our own with that marker, which is the one that `upsert` edits."""
    return next((one for one in comments if one.ours and one.body.startswith(marker)), None)


def fitting(status: CommitStatus, limit: int) -> CommitStatus:
    """With a description of at most `limit` characters, on one line."""
    text = " ".join(status.description.split())
    return CommitStatus(
        context=status.context,
        state=status.state,
        description=text if len(text) <= limit else text[: limit - 1] + "…",
        target=status.target,
    )


def _as_kept(text: str) -> str:
    """Forges differ in what they make of the ends of lines, and of that of a text."""
    return "\n".join(text.splitlines()).rstrip()
