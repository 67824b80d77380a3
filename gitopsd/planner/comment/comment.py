"""What a pull request would do to one environment, as Markdown for whoever reviews it.

The same content gives the same bytes: there is no clock in it. Whatever a repository holds, the page keeps its form,
and does nothing on a forge but to be read (`neutral.py`).
"""

import re
from collections.abc import Iterator
from typing import assert_never

from gitopsd.planner.comment.budget import Section, fitted
from gitopsd.planner.comment.content import Content, Refused, Rest, Shown
from gitopsd.planner.comment.diffs import diffs
from gitopsd.planner.comment.events import events
from gitopsd.planner.comment.mistakes import mistakes
from gitopsd.planner.comment.neutral import code, link, neutral
from gitopsd.planner.comment.summary import holds, summary, title
from gitopsd.planner.comment.upgrade import upgrade
from gitopsd.planner.comment.workers import data_in_flight, graph_of, overwritten, workers

SHORTEST = 6_000
"""Bytes: what is always there has room in it, whatever it says."""

_MISSING_BYTES = 600
_SHORT = 12
_LONGEST_COMMAND = 200
_PLAIN_COMMAND = re.compile(r"[A-Za-z0-9 ._/@=-]+")


def marker(environment: str) -> str:
    """What the comment about that environment begins with; nobody sees it."""
    kept = "".join(c for c in environment if c.isascii() and (c.isalnum() or c in "._-"))
    return f"<!-- gitopsd plan {kept[:80]} -->"


def comment_text(content: Content, limit: int | None = None) -> str:
    """Whole Markdown, ending in a newline, of at most `limit` bytes of UTF-8: that is never less than its characters.

    Where that is too little, it says what is missing and where the rest is. A limit below `SHORTEST` is refused with a
    ValueError.
    """
    if limit is not None and limit < SHORTEST:
        raise ValueError(f"a comment needs {SHORTEST:,} bytes")
    head = f"{marker(content.environment)}\n### {title(content)}\n\n"
    foot = "".join(_foot(content))
    left = None if limit is None else limit - len((head + foot).encode()) - _MISSING_BYTES
    body, missing = fitted(_sections(content, left), left)
    return head + body + _missing(missing, content.rest) + foot


def _sections(content: Content, limit: int | None) -> tuple[Section, ...]:
    about = content.about
    match about:
        case Shown():
            return (
                *holds(about),
                *upgrade(about),
                summary(about),
                graph_of(about),
                data_in_flight(about),
                overwritten(about),
                workers(about),
                *events(about),
                diffs(about, limit),
            )
        case Refused():
            return (mistakes(about),)
        case _:
            assert_never(about)


def _missing(missing: tuple[str, ...], rest: Rest) -> str:
    if not missing:
        return ""
    where = [f"{_command(rest.command)} shows everything."] if rest.command else []
    where += [link("Where it was planned.", rest.address)] if rest.address else []
    return "\n" + " ".join([f"> Not shown, for length: {', '.join(missing)}.", *where]) + "\n"


def _command(command: str) -> str:
    is_plain = len(command) <= _LONGEST_COMMAND and _PLAIN_COMMAND.fullmatch(command)
    return f"`{command}`" if is_plain else neutral(command, _LONGEST_COMMAND // 2)


def _foot(content: Content) -> Iterator[str]:
    versions = content.versions
    about = content.about
    parts = []
    if isinstance(about, Shown):
        parts.append(f"plan {_id(about.plan.digest)}, effects {_id(about.effects)}")
    if versions.base:
        tree = f" (tree {_id(versions.merged)})" if versions.merged else ""
        parts.append(f"of {_id(versions.head)} merged into {_id(versions.base)}{tree}")
    else:
        head = _id(versions.head) if versions.head else "the work tree, with edits that are not committed"
        parts.append(f"of {head}")
    if isinstance(about, Shown):
        parts += [f"pinned to {_id(about.plan.inputs.pinned)}"] * bool(about.plan.inputs.pinned)
        parts.append(f"against {_id(content.artifact_head) if content.artifact_head else 'nothing deployed yet'}")
    parts.append(f"gitopsd {neutral(content.renderer, 30)}")
    yield f"\n<sub>{', '.join(parts)}</sub>\n"


def _id(full: str) -> str:
    return code(full[:_SHORT])
