"""What a controller adds to a comment: at its end what it showed, hidden, and at its beginning what came of it.

Both are read back from where they are put and nowhere else: a diff in the middle may hold the same words.
"""

import hashlib
import re

from gitopsd.daemon.pull_requests.shown import Shown
from gitopsd.forge.forge import Comment

ROOM = 8_000
"""Bytes that a plan leaves for both."""

_BEGIN, _END = "<!-- gitopsd deployed -->", "<!-- gitopsd deployed end -->"
_SHOWN = re.compile(r"\n<!-- gitopsd shown (?P<head>[0-9a-f]{40}) (?P<effects>[0-9a-f]{40}|-) -->\s*\Z")
_OUTCOME = re.compile(rf"\A(?P<marker>[^\n]*\n){_BEGIN}\n.*?\n{_END}\n", re.DOTALL)
_FOOT = re.compile(r"\n<sub>[^\n]*</sub>\s*\Z")


def with_shown(comment: str, head: str, effects: str) -> str:
    """The comment with a line that nobody sees, from which `shown_in` has what it showed."""
    return f"{comment.rstrip()}\n\n<!-- gitopsd shown {head} {effects or '-'} -->\n"


def shown_in(comment: Comment | None) -> Shown | None:
    """What a comment of ours showed; None where it doesn't say. Since when is known no better than that it was written
    last: so an approval may be asked for again, and none counts that was for something else.
    """
    found = _SHOWN.search(_lines(comment.body)) if comment is not None else None
    if comment is None or found is None:
        return None
    since = comment.at.timestamp()
    return Shown(head=found["head"], effects=found["effects"].removeprefix("-"), since=since)


def with_outcome(text: str, outcome: str) -> str:
    """The comment with `outcome`, whole lines of Markdown, at its beginning, instead of an earlier one."""
    bare = _OUTCOME.sub(r"\g<marker>", _lines(text))
    marker, _, rest = bare.partition("\n")
    return f"{marker}\n{_BEGIN}\n{outcome.strip()}\n{_END}\n{rest}"


def essence(comment: str, head: str, effects: str) -> str:
    """40 hex digits over what a comment tells its readers: which versions of everything else it was planned against is
    told too, and is no reason to write it again.
    """
    return hashlib.sha256(f"{head} {effects}\n{_FOOT.sub('', comment)}".encode()).hexdigest()[:40]


def _lines(text: str) -> str:
    """Some forges keep the ends of lines as browsers send them."""
    return "\n".join(text.splitlines()) + "\n"
