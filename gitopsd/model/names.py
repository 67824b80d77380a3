"""The shapes of names, and the nearest one to a misspelt one."""

import difflib
from bisect import bisect_left
from collections.abc import Collection, Iterable
from heapq import nlargest, nsmallest
from typing import Annotated

from msgspec import Meta

END = r"(?![\s\S])"
"""The very end of a text in Python, JavaScript and Rust alike: in Python `$` also fits before a last newline."""

NAME_PATTERN = rf"^[a-z0-9]([a-z0-9-]{{0,61}}[a-z0-9])?{END}"
CHANNEL_PATTERN = rf"^[a-z0-9]([a-z0-9_-]{{0,61}}[a-z0-9])?{END}"
PARAMETER_PATTERN = rf"^[a-z][a-z0-9_]{{0,62}}{END}"
USER_PATTERN = rf"^[a-z_][a-z0-9_-]{{0,31}}{END}"
BRANCH_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*){{0,9}}{END}"

SECRET_PATTERN = rf"^[a-z0-9]([a-z0-9_-]{{0,61}}[a-z0-9])?{END}"
PIN_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9._/-]{{0,199}}{END}"

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
ChannelName = Annotated[str, Meta(pattern=CHANNEL_PATTERN)]
ParameterName = Annotated[str, Meta(pattern=PARAMETER_PATTERN)]
UserName = Annotated[str, Meta(pattern=USER_PATTERN)]
SecretName = Annotated[str, Meta(pattern=SECRET_PATTERN)]
Pin = Annotated[str, Meta(pattern=PIN_PATTERN)]
BranchName = Annotated[str, Meta(pattern=BRANCH_PATTERN, max_length=200)]

PATTERN_RULES = {
    NAME_PATTERN: "lower-case letters, digits and inner hyphens, at most 63 characters",
    CHANNEL_PATTERN: "lower-case letters, digits and inner hyphens or underscores, at most 63 characters",
    PARAMETER_PATTERN: "a lower-case letter, then lower-case letters, digits and underscores, at most 63 characters",
    USER_PATTERN: "the name of a Unix account: lower-case letters, digits, `_` and `-`, at most 32 characters",
    SECRET_PATTERN: "lower-case letters, digits and inner hyphens or underscores, at most 63 characters",
    PIN_PATTERN: "the name of a tag such as `v1.4.0`, or a commit",
    BRANCH_PATTERN: "letters, digits, `_` and `-`, with `/` between the parts, such as `rendered/production`",
}

_SEARCHED = 100
"""So many known names are compared with a wrong one; where there are more, those that sort next to it."""

_SORTED = 2_000
"""Of more known names only those next to the wrong one are put in order."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, else lists the known ones; empty when there are none."""
    candidates = list(known)
    named_alike = sorted(candidate for candidate in candidates if candidate.endswith(f"/{name}"))
    nearby = _nearby(name, candidates)
    nearest = named_alike or difflib.get_close_matches(name[:200], nearby, n=1, cutoff=0.6)
    if nearest:
        return f"did you mean `{nearest[0]}`?"
    if not candidates:
        return ""
    shown = ", ".join(f"`{candidate}`" for candidate in nsmallest(12, candidates))
    return f"known here: {shown}" + (" and more" if len(candidates) > 12 else "")


def _nearby(name: str, candidates: Collection[str]) -> list[str]:
    """Those that sort next to the name, in their order; of many, without sorting them all."""
    if len(candidates) > _SORTED:
        before = nlargest(_SEARCHED // 2, (candidate for candidate in candidates if candidate < name))
        return [*reversed(before), *nsmallest(_SEARCHED // 2, (other for other in candidates if other >= name))]
    ordered = sorted(candidates)
    position = max(0, bisect_left(ordered, name) - _SEARCHED // 2)
    return ordered[position : position + _SEARCHED]
