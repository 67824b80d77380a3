"""gitopsd, command by command, each in a process of its own: `python -m tests.crash.controller`.

What a command needs is imported once and each command is a fork: the same `main` that `gitopsd` runs, without a second
of imports for each of hundreds of commands. A command that is watched has its points in a folder (points.py), and its
clock can be moved. One request a line of JSON on stdin, one answer a line on stdout.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import gitopsd
from tests.crash.points import Points, install

_PRELOADED = ("gitopsd.cli.apply", "gitopsd.cli.reconcile", "gitopsd.cli.failure", "gitopsd.fleet.ssh", "fabric")


class Clock:
    """The controller's wall clock; `offset` seconds are added to what it really is."""

    offset = 0.0


class MovableDatetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> MovableDatetime:
        return cls.fromtimestamp(time.time(), tz)


def move_clock(action: str) -> None:
    Clock.offset = float(action.removeprefix("clock "))


def make_clock_movable() -> None:
    real = time.time
    setattr(time, "time", lambda: real() + Clock.offset)  # noqa: B010 -- the process's, for all that asks it
    for name, module in list(sys.modules.items()):
        if name.startswith("gitopsd.") and getattr(module, "datetime", None) is datetime:
            setattr(module, "datetime", MovableDatetime)  # noqa: B010


def watch(folder: str) -> None:
    """Points before and after each connection and each call of a worker, besides those of every process."""
    points = install(folder, f"{Path(gitopsd.__file__).parent}/", move_clock)
    from gitopsd.fleet.connector import Connector  # noqa: PLC0415 -- nothing of ours before the fork server is up
    from gitopsd.fleet.ssh import SshWorker  # noqa: PLC0415

    _bracket(points, Connector, "open", lambda _: "connection")
    _bracket(points, SshWorker, "call", lambda arguments: f"call of {arguments[1]}")
    make_clock_movable()


def _bracket(points: Points, owner: type, method: str, name: Any) -> None:
    original = getattr(owner, method)

    def bracketed(*arguments: Any, **options: Any) -> Any:
        points.reach(f"before the {name(arguments)}")
        result = original(*arguments, **options)
        points.reach(f"after the {name(arguments)}")
        return result

    setattr(owner, method, bracketed)


def command(request: dict[str, Any]) -> None:
    """In the fork: become the command."""
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for descriptor, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
    if request["points"] is not None:
        watch(request["points"])
    sys.argv = ["gitopsd", *request["arguments"]]
    from gitopsd.cli.main import main  # noqa: PLC0415

    main()


def serve() -> None:
    for module in _PRELOADED:
        importlib.import_module(module)
    assert threading.active_count() == 1, "a fork has no threads but its own"
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            pid, status = os.waitpid(request["wait"], os.WNOHANG)
            answer = {"code": os.waitstatus_to_exitcode(status) if pid else None}
        else:
            pid = os.fork()
            if pid == 0:
                command(request)
            answer = {"pid": pid}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
