"""Features of workers: what a worker declares, `python3` or `python3==3.11.2`, and what a blueprint requires of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NAME = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"
_VERSION = r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,5}"
_DECLARED = re.compile(rf"({_NAME})(?: *== *({_VERSION}))?")
_REQUIRED = re.compile(rf"({_NAME})(?: *(==|!=|>=|<=|>|<) *({_VERSION}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """`python3>=3.9`: a feature, and a range where one is asked for."""

    name: str
    operator: str = ""
    version: str = ""

    def is_met_by(self, version: str) -> bool:
        """Versions compare number by number; missing ones count as 0, so `3` is `3.0`."""
        order = _compare(version, self.version)
        return {
            "==": order == 0, "!=": order != 0, ">=": order >= 0, "<=": order <= 0, ">": order > 0, "<": order < 0,
        }[self.operator]  # fmt: skip


def parse_requirement(text: str) -> Requirement | None:
    """None when it can't be read."""
    match = _REQUIRED.fullmatch(text.strip())
    return Requirement(name=match[1], operator=match[2] or "", version=match[3] or "") if match else None


def is_feature(text: str) -> bool:
    """Whether a worker may declare this."""
    return _DECLARED.fullmatch(text.strip()) is not None


def unmet(required: str, declared: Iterable[str]) -> str:
    """Why a worker that declares these features doesn't have the required one; empty when it has."""
    requirement = parse_requirement(required)
    if requirement is None:
        raise ValueError(f"{required!r} was not checked before")
    matches = [
        match for match in map(_DECLARED.fullmatch, map(str.strip, declared)) if match and match[1] == requirement.name
    ]
    if not matches:
        return f"it doesn't declare the feature `{requirement.name}`"
    if not requirement.operator or any(match[2] and requirement.is_met_by(match[2]) for match in matches):
        return ""
    versions = ", ".join(sorted(f"`{match[2]}`" for match in matches if match[2]))
    return f"it declares `{requirement.name}` " + (f"in version {versions}" if versions else "without a version")


def _compare(first: str, second: str) -> int:
    one, other = ([int(part) for part in version.split(".")] for version in (first, second))
    length = max(len(one), len(other))
    one, other = (parts + [0] * (length - len(parts)) for parts in (one, other))
    return (one > other) - (one < other)
