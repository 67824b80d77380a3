"""Starting and ending supervisord itself, and what a killed one leaves behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .durable import make_directory
from .errors import AgentError
from .supervisor_conf import Files
from .supervisor_rpc import connect

if TYPE_CHECKING:
    from .deadline import Deadline
    from .layout import Layout

_POLL_SECONDS = 0.02
_STRAYS_SECONDS = 5.0
# What jobs inherit: they run in the same surroundings whoever's shell the controller was started from.
_KEPT_ENVIRONMENT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")


def api(layout: Layout) -> Any | None:
    """The API of supervisord, or None when it doesn't run."""
    proxy = connect(Files(layout).socket)
    try:
        proxy.supervisor.getState()
    except OSError:
        return None
    return proxy.supervisor


def start(layout: Layout, deadline: Deadline) -> Any:
    """Start supervisord apart from this process and its terminal; AgentError `io` when it doesn't answer in time."""
    files = Files(layout)
    _end_unreachable(layout, deadline)
    end_strays(layout)
    with suppress(FileNotFoundError):
        files.socket.unlink()
    environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    with files.start_log.open("wb") as log:
        subprocess.run(
            [str(layout.supervisor_python), "-m", "supervisor.supervisord", "-c", str(files.conf)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=files.directory,
            env=environment,
            start_new_session=True,
            timeout=max(1.0, deadline.remaining()),
            check=False,
        )
    while True:
        found = api(layout)
        if found is not None:
            return found
        if deadline.passed:
            raise AgentError("io", f"supervisord did not start: {_tail(files.start_log)}")
        time.sleep(_POLL_SECONDS)


def end(layout: Layout, deadline: Deadline) -> None:
    """Have supervisord stop its programs and end; then see that nothing of them is left."""
    pid = _pid(layout)
    running = api(layout)
    if running is not None:
        pid = int(running.getPID())
        running.shutdown()
    elif pid is not None:
        os.kill(pid, signal.SIGTERM)
    if pid is not None and not _wait_gone([pid], deadline.remaining()):
        os.kill(pid, signal.SIGKILL)
    end_strays(layout)
    with suppress(FileNotFoundError):
        Files(layout).socket.unlink()


def end_strays(layout: Layout) -> None:
    """End jobs of this worker whose supervisord was killed: none may ever run twice. Unmanaged copies as well."""
    strays = _strays(layout)
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        for pid in strays:
            with suppress(ProcessLookupError):
                os.kill(pid, signal_number)
        if _wait_gone(strays, _STRAYS_SECONDS):
            return
        strays = _strays(layout)


def _end_unreachable(layout: Layout, deadline: Deadline) -> None:
    """A supervisord whose socket was removed under it can't be spoken to any more, only ended."""
    pid = _pid(layout)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    if not _wait_gone([pid], deadline.remaining()):
        os.kill(pid, signal.SIGKILL)


def _pid(layout: Layout) -> int | None:
    """The process that the pid file names, if it is still this worker's supervisord."""
    files = Files(layout)
    try:
        pid = int(files.pid.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(files.conf).encode() in command.split(b"\0") else None


def _strays(layout: Layout) -> list[int]:
    marks = tuple(b"STATE_DIRECTORY=" + os.fsencode(path) + b"/" for path in (layout.state, layout.copies))
    found: list[int] = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or another user's
        if any(variable.startswith(marks) for variable in environment.split(b"\0")):
            found.append(int(process.name))
    return found


def _wait_gone(pids: list[int], seconds: float) -> bool:
    end_at = time.monotonic() + seconds
    while any(_is_alive(pid) for pid in pids):
        if time.monotonic() >= end_at:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    # a zombie waits for a parent that may never look: it runs nothing any more
    return status.rpartition(b")")[2].split()[0] != b"Z"


def _tail(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return "it left no message"
    return " / ".join(line.strip() for line in lines[-5:]) or "it left no message"


def make_directories(layout: Layout) -> None:
    files = Files(layout)
    for path in (files.directory, files.logs, files.starts):
        make_directory(path, 0o755)
    layout.run.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_directory(layout.run, 0o700)
    found = layout.run.lstat()
    # it may lie in /tmp, where anybody could have made it first
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise AgentError("unsupported", f"{layout.run} is not a private directory of this user: remove it, then retry")
    make_directory(layout.run / "s", 0o700)
