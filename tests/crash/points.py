"""Every effect that a process has, as a point with a name, at which a test can kill it, hold it, or move its clock.

Runs inside gitopsd and inside the agents on machines, so it is standard library for Python 3.9 and touches nothing
unless a test has made the folder that it writes to. Effects are what Python's audit hooks report of files, processes
and sockets, besides what has none: fsync, the ends of commands, and what systemd is asked for. A point's name is the
calls that led there, the effect, and how often that has come up: the same in every run, whatever the ids and times in
it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PATHS = ("os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir", "os.chmod", "os.link", "os.truncate")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
HOLD_SECONDS = 120.0
_VARYING = (
    (re.compile(r"[0-9a-f]{8,}"), "X"),  # ids of objects, releases, sets of secrets
    (re.compile(r"tmp[A-Za-z0-9_]{6,}"), "X"),
    (re.compile(r"\b(even|odd)\b"), "other"),  # jobs that come and go (versions.py)
    (re.compile(r"\d+"), "N"),
)
_CALLS = re.compile(rb"\0(RestartUnit|StartTransientUnit|Reload)\0")  # of systemd, those that change something
_WORDS = 3  # of a command: what it does, not to which units


class Points:
    """The points of this process; `package` is what its own files have in their path.

    In `folder`: `log`, a line for each point that was reached by whichever process; `plan`, what shall happen where;
    `reached`, which process it happened to; `go`, which ends that it is held.
    """

    def __init__(self, folder: Path, package: str, act: Callable[[str], None]) -> None:
        self._folder = folder
        self._package = package
        self._act = act
        self._here = threading.local()

    def reach(self, effect: str) -> None:
        if getattr(self._here, "busy", False) or not self._folder.is_dir():
            return
        self._here.busy = True
        try:
            name = self._name(effect)
            plan = json.loads((self._folder / "plan").read_bytes())
            if plan.get("point") == name:
                self._happen(plan["action"])
        except FileNotFoundError:
            pass  # nobody plans anything, or the test is over
        finally:
            self._here.busy = False

    def _name(self, effect: str) -> str:
        """The point's name, once it is in the log."""
        what = f"{' > '.join(self._calls())} | {effect}"
        with (self._folder / "log").open("a+") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            log.seek(0)
            before = sum(line.rpartition(" #")[0] == what for line in log)
            name = f"{what} #{before + 1}"
            log.write(f"{name}\n")
        return name

    def _calls(self) -> list[str]:
        calls: list[str] = []
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            code = frame.f_code
            _, ours, path = code.co_filename.rpartition(self._package)
            if ours and not code.co_name.startswith("<"):
                calls.append(f"{path[: -len('.py')].replace('/', '.')}.{code.co_name}")
            frame = frame.f_back
        return calls[::-1]

    def _happen(self, action: str) -> None:
        (self._folder / "reached").write_text(f"{os.getpid()}\n")
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "hold":
            end = time.monotonic() + HOLD_SECONDS
            while self._is_planned() and not (self._folder / "go").exists() and time.monotonic() < end:
                time.sleep(0.002)
        else:
            self._act(action)

    def _is_planned(self) -> bool:
        return (self._folder / "plan").exists()


def install(folder: str, package: str, act: Callable[[str], None] = lambda _: None) -> Points:
    """Have this process's points in a folder from now on."""
    points = Points(Path(folder), package, act)
    watch(points.reach)
    return points


def watch(reach: Callable[[str], None]) -> None:
    """Call `reach` before each effect that this process has, and at the end of each command, from now on."""
    fsync = os.fsync

    def watched_fsync(descriptor: int) -> None:
        reach("fsync")
        fsync(descriptor)

    class WatchedPopen(subprocess.Popen):  # type: ignore[type-arg]  # at run time, before 3.9.2, it takes none
        def communicate(self, *arguments: Any, **options: Any) -> tuple[Any, Any]:
            output = super().communicate(*arguments, **options)
            reach(f"end of {command_of(self.args)}")
            return output

    sendall = socket.socket.sendall

    def watched_sendall(self: socket.socket, data: Any, *flags: int) -> None:
        found = _CALLS.search(data) if self.family == socket.AF_UNIX else None
        what = found.group(1).decode() if found else ""
        if what:
            reach(f"before the call of {what}")
        sendall(self, data, *flags)
        if what:
            reach(f"after the call of {what}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        effect = _effect(event, arguments)
        if effect is not None:
            reach(effect)

    setattr(os, "fsync", watched_fsync)  # noqa: B010 -- replaced for the whole process, whatever its type
    setattr(subprocess, "Popen", WatchedPopen)  # noqa: B010
    setattr(socket.socket, "sendall", watched_sendall)  # noqa: B010
    sys.addaudithook(hook)


def _effect(event: str, arguments: tuple[Any, ...]) -> str | None:
    if event in PATHS:
        return f"{event[len('os.') :]} {_short(arguments[0])}"
    if event == "open":
        path, _, flags = arguments
        is_written = isinstance(path, (str, bytes)) and isinstance(flags, int) and flags & WRITES
        return f"write {_short(path)}" if is_written else None
    if event == "subprocess.Popen":
        return f"run {command_of(arguments[1])}"
    return {"os.kill": "kill", "socket.connect": "connect"}.get(event)


def command_of(argv: Any) -> str:
    """What a command does: its program and first words, without options and what differs from run to run."""
    words = [os.fsdecode(word) for word in argv]
    plain = [word for word in words[1:] if not word.startswith("-") and not set(word) & set("=/,")]
    return _short(" ".join([os.path.basename(words[0]), *plain[: _WORDS - 1]]))  # noqa: PTH119


def _short(path: Any) -> str:
    text = os.fsdecode(path) if isinstance(path, (str, bytes)) else "a descriptor"
    text = "/".join(text.split("/")[-2:])
    for pattern, substitute in _VARYING:
        text = pattern.sub(substitute, text)
    return text


def main() -> None:
    """`points.py N AGENT VERB`: the agent, killed before its n-th effect; one that ends before it answers as always."""
    left = int(sys.argv[1])
    sys.argv = sys.argv[2:]

    def count(_effect: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    watch(count)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
