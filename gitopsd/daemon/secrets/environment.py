"""Environment variables that hold secrets are taken out of the environment: no process started later has them."""

import os
from collections.abc import Iterable

from gitopsd.model.secret import SecretValue

_taken: dict[str, SecretValue] = {}


def take_variables(names: Iterable[str]) -> None:
    """Keep the values of these variables, and remove them from what `git`, `ssh`, agents and their jobs inherit."""
    for name in names:
        value = os.environb.pop(os.fsencode(name), None)
        if value is not None:
            _taken[name] = SecretValue(value)


def taken_variable(name: str) -> SecretValue | None:
    """The value of a variable that was taken; None where it wasn't set."""
    return _taken.get(name)
