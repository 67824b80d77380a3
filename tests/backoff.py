"""The controller's memory of attempts, as it would be after many of them: tests don't depend on how fast they run."""

import json
import sqlite3
from contextlib import closing

from gitopsd.planner.backoff import CAP_SECONDS
from tests.operator import Operator


def wait_for_longest(operator: Operator) -> None:
    """Every worker that was tried in vain waits for as long as any does, since its last attempt."""
    path = operator.home / "state/gitopsd/controller/attempts.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        for key, content in connection.execute("SELECT worker, remembered FROM attempts").fetchall():
            remembered = json.loads(content)
            for tried in remembered.get("backoff", {}).values():
                tried["wait"] = CAP_SECONDS
            connection.execute("UPDATE attempts SET remembered = ? WHERE worker = ?", (json.dumps(remembered), key))
