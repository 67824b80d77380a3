"""Features of workers: what a worker declares, `python3` or `python3==3.11.2`, and what a blueprint requires of it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NAME = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"
_VERSION = r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,5}"
_RANGE = rf"(==|!=|>=|<=|>|<) *({_VERSION})"
_DECLARED = re.compile(rf"({_NAME})(?: *== *({_VERSION}))?")
_REQUIRED = re.compile(rf"({_NAME})( *{_RANGE}(?: *, *{_RANGE}){{0,7}})?")
_RANGES = re.compile(_RANGE)
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """`>=3.9`: an operator and a version."""

    operator: str
    version: str

    def holds(self, version: str) -> bool:
        """Versions compare number by number; missing ones count as 0, so `3` is `3.0`."""
        order = _compare(version, self.version)
        return {
            "==": order == 0, "!=": order != 0, ">=": order >= 0, "<=": order <= 0, ">": order > 0, "<": order < 0,
        }[self.operator]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """`python3>=3.9,<4`: a feature, and the ranges that its version must lie in, all of them."""

    name: str
    ranges: tuple[Range, ...] = ()

    def is_met_by(self, version: str) -> bool:
        return all(one.holds(version) for one in self.ranges)


def parse_requirement(text: str) -> Requirement | None:
    """None when it can't be read."""
    match = _REQUIRED.fullmatch(text.strip())
    if match is None:
        return None
    ranges = tuple(Range(operator=found[1], version=found[2]) for found in _RANGES.finditer(match[2] or ""))
    return Requirement(name=match[1], ranges=ranges)


def is_feature(text: str) -> bool:
    """Whether a worker may declare this."""
    return _DECLARED.fullmatch(text.strip()) is not None


def is_probed(name: str, version: str) -> bool:
    """Whether a worker may have been found to have this: plain names and numbers, whatever it answered."""
    return len(name) <= _LONGEST_NAME and _DECLARED.fullmatch(f"{name}=={version}") is not None


def unmet(required: str, declared: Iterable[str], facts: Mapping[str, str] | None = None) -> str:
    """Why a worker doesn't have the required feature; empty when it has.

    `declared` is what the fleet file says of the worker, `facts` what was found on it: feature -> version. Either will
    do; facts that are empty or None mean that nobody has looked.
    """
    requirement = parse_requirement(required)
    if requirement is None:
        raise ValueError(f"{required!r} was not checked before")
    name, probed = requirement.name, (facts or {}).get(requirement.name)
    matches = [match for match in map(_DECLARED.fullmatch, map(str.strip, declared)) if match and match[1] == name]
    if not matches and probed is None:
        looked = "a probe found none" if facts else "nobody probed it: `gitopsd worker probe --commit`"
        return f"it doesn't declare the feature `{name}`, and {looked}"
    found = {probed} if probed is not None and re.fullmatch(_VERSION, probed) else set()
    versions = {match[2] for match in matches if match[2]} | found
    if not requirement.ranges or any(map(requirement.is_met_by, versions)):
        return ""
    if not versions:
        unknown = "" if facts else ", and nobody probed it: `gitopsd worker probe --commit`"
        return f"it declares `{name}` without a version{unknown}"
    return f"it has `{name}` in version " + ", ".join(f"`{version}`" for version in sorted(versions))


def _compare(first: str, second: str) -> int:
    one, other = ([int(part) for part in version.split(".")] for version in (first, second))
    length = max(len(one), len(other))
    one, other = (parts + [0] * (length - len(parts)) for parts in (one, other))
    return (one > other) - (one < other)
