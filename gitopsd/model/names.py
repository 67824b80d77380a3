"""The shapes of names, and the nearest one to a misspelt one."""

import difflib
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
CHANNEL_PATTERN = r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"
PARAMETER_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
ChannelName = Annotated[str, Meta(pattern=CHANNEL_PATTERN)]
ParameterName = Annotated[str, Meta(pattern=PARAMETER_PATTERN)]

PATTERN_RULES = {
    NAME_PATTERN: "lower-case letters, digits and inner hyphens, at most 63 characters",
    CHANNEL_PATTERN: "lower-case letters, digits and inner hyphens or underscores, at most 63 characters",
    PARAMETER_PATTERN: "a lower-case letter, then lower-case letters, digits and underscores, at most 63 characters",
}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, else lists the known ones; empty when there are none."""
    candidates = sorted(known)
    nearest = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    if nearest:
        return f"did you mean `{nearest[0]}`?"
    if not candidates:
        return ""
    shown = ", ".join(f"`{candidate}`" for candidate in candidates[:12])
    return f"known here: {shown}" + (" and more" if len(candidates) > 12 else "")
