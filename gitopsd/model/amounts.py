"""Durations and shares as people write them: `10s`, `2m`, `20%`."""

import re
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from gitopsd.model.names import END

DURATION_PATTERN = rf"^[0-9]{{1,9}}(\.[0-9]{{1,9}})?(ms|s|m|h|d){END}"
SHARE_PATTERN = rf"^([0-9]{{1,2}}|100)%{END}"

Duration = Annotated[str, Meta(pattern=DURATION_PATTERN)]
Share = Annotated[str, Meta(pattern=SHARE_PATTERN)]
Count = Annotated[int, Meta(ge=0, le=100_000)]

Seconds = Annotated[float, Meta(ge=0, le=1e9)]

AMOUNT_RULES = {
    DURATION_PATTERN: "write a duration such as `10s`, `5m` or `2h`",
    SHARE_PATTERN: "write a number, or a share from `0%` to `100%`",
}

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}


def seconds(duration: str) -> float:
    """A Duration in seconds. Raises ValueError for what isn't one."""
    found = re.fullmatch(r"([0-9.]+)(ms|s|m|h|d)", duration)
    if found is None or re.match(DURATION_PATTERN, duration) is None:
        raise ValueError(f"{duration!r} is no duration")
    return float(Decimal(found[1]) * _SECONDS[found[2]])


def at_most(amount: int | str, whole: int) -> int:
    """So many of `whole` as a number or a Share comes to, rounded down; never more than all of them."""
    if isinstance(amount, int):
        return min(amount, whole)
    return whole * _percentage(amount) // 100


def at_least(amount: int | str, whole: int) -> int:
    """The same, rounded up: a Share of more than nothing is one at least."""
    if isinstance(amount, int):
        return min(amount, whole)
    return -(-whole * _percentage(amount) // 100)


def _percentage(share: str) -> int:
    if re.match(SHARE_PATTERN, share) is None:
        raise ValueError(f"{share!r} is no share")
    return int(share[:-1])
