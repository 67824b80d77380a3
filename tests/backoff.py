"""The controller's memory of attempts, as it would be after many of them: tests don't depend on how fast they run."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from gitopsd.planner.backoff import CAP_SECONDS
from tests.operator import Operator


def wait_for_longest(operator: Operator) -> None:
    """Every worker that was tried in vain waits for as long as any does, since its last attempt."""
    for remembered in _changing(operator):
        for tried in remembered.get("backoff", {}).values():
            tried["wait"] = CAP_SECONDS


def been_silent_for(operator: Operator, seconds: float) -> None:
    """Every worker that doesn't answer stopped doing so that much earlier."""
    for remembered in _changing(operator):
        if "absence" in remembered:
            for clock in ("wall", "steady"):
                remembered["absence"]["first"][clock] -= seconds


def _changing(operator: Operator) -> Iterator[dict[str, Any]]:
    """What is remembered of each worker; changes to it are kept."""
    path = operator.home / "state/gitopsd/controller/attempts.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        for key, content in connection.execute("SELECT worker, remembered FROM attempts").fetchall():
            remembered = json.loads(content)
            yield remembered
            connection.execute("UPDATE attempts SET remembered = ? WHERE worker = ?", (json.dumps(remembered), key))
