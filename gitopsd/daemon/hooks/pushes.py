"""What a push asks for: the lines that Git gives a hook, one for each ref. Costs nothing to import."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LINE = re.compile(r"([0-9a-f]{40}) ([0-9a-f]{40}) (refs/[!-~\u00a0-\U0010ffff]+)")
_NONE = "0" * 40

BRANCHES = "refs/heads/"
TAGS = "refs/tags/"
_RENDERED = "refs/heads/rendered/"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedRef:
    """One ref of a push; `old` is None where it is new, `new` where it goes. Whoever pushes chose its name."""

    ref: str
    old: str | None
    new: str | None

    @property
    def branch(self) -> str:
        """Its name as a branch, or empty."""
        return self.ref.removeprefix(BRANCHES) if self.ref.startswith(BRANCHES) else ""

    @property
    def tag(self) -> str:
        """Its name as a tag, or empty."""
        return self.ref.removeprefix(TAGS) if self.ref.startswith(TAGS) else ""


def read_pushed(lines: bytes) -> tuple[PushedRef, ...]:
    """The refs of a push as a hook reads them. What isn't of this form Git refuses by itself, after the hook."""
    found = (_LINE.fullmatch(line) for line in lines.decode("utf-8", "surrogateescape").split("\n"))
    return tuple(PushedRef(ref=one[3], old=_commit(one[1]), new=_commit(one[2])) for one in found if one is not None)


def of_people(pushed: Sequence[PushedRef]) -> tuple[PushedRef, ...]:
    """Those that may have something to do with what is deployed: neither artifact branches and notes, which controllers
    push, nor whatever else is neither branch nor tag.
    """
    return tuple(one for one in pushed if one.tag or (one.branch and not one.ref.startswith(_RENDERED)))


def _commit(written: str) -> str | None:
    return None if written == _NONE else written
