"""Constraints of a step's `place`: `label.KEY == VALUE` or `label.KEY != VALUE`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_CONSTRAINT = re.compile(r"label\.([A-Za-z0-9_.-]+) *(==|!=) *([A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A label that must have, or must not have, a value; a worker without the label has no value for it."""

    key: str
    equal: bool
    value: str

    def refusal(self, labels: Mapping[str, str]) -> str:
        """Why a worker with these labels doesn't do; empty when it does."""
        actual = labels.get(self.key)
        if (actual == self.value) == self.equal:
            return ""
        return f"its label `{self.key}` is `{actual}`" if actual is not None else f"it has no label `{self.key}`"


def parse_constraint(text: str) -> Constraint | None:
    """None when it can't be read."""
    match = _CONSTRAINT.fullmatch(text.strip())
    return Constraint(key=match[1], equal=match[2] == "==", value=match[3]) if match else None
