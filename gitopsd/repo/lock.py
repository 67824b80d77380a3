"""The host lock: one gitopsd at a time works on an environment of a repository on this machine."""

import contextlib
import fcntl
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from gitopsd.repo.errors import LockHeldError, RepositoryError

_QUIET_SECONDS = 1.0


@contextmanager
def host_lock(
    identity: str,
    environment: str,
    *,
    deadline: float = 10.0,
    folder: Path | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Hold the lock of `environment` of the repository with that identity for the length of a `with`.

    `deadline` in seconds. `on_wait` is told who holds it, once, when it isn't free within a second.
    The kernel drops the lock when its holder dies. Give the identity of the remote where there is one, so that two
    clones of it share a lock. Raises LockHeldError, naming the holder, when the deadline passes.
    """
    key = sha256(f"{environment} {identity}".encode()).hexdigest()[:16]
    path = (folder or lock_folder()) / f"{environment}-{key}.lock"
    descriptor = _open(path)
    try:
        _acquire(descriptor, path, f"{identity}, environment {environment}", deadline, on_wait)
        with contextlib.suppress(OSError):  # who holds it is a courtesy, which a full disk leaves out
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {Path(sys.argv[0]).name}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # the file stays: removing it would let two holders lock two files of one name


def lock_folder() -> Path:
    """Where locks are: one place for everything root runs, the user's state folder otherwise."""
    if os.geteuid() == 0:
        return Path("/run/lock/gitopsd")
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state.startswith("/") else Path.home() / ".local/state") / "gitopsd" / "locks"


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.parent.stat().st_uid != os.geteuid():
            raise RepositoryError(f"{path.parent} belongs to another user", "remove it, or have its owner do so")
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RepositoryError(
            f"the lock {path} cannot be opened: {error.strerror}", "check the permissions there"
        ) from None


def _acquire(descriptor: int, path: Path, what: str, deadline: float, on_wait: Callable[[str], None]) -> None:
    started = time.monotonic()
    until = started + deadline
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            left = until - time.monotonic()
            if left <= 0:
                raise _held(path, what, deadline) from None
            if not told and time.monotonic() - started >= _QUIET_SECONDS:
                told = True
                on_wait(f"{_holder(path)[1]} is working on {what}: waiting for it, {left:.0f} s at most")
            time.sleep(min(left, random.uniform(0.02, 0.1)))  # noqa: S311 - jitter
        else:
            return


def _held(path: Path, what: str, deadline: float) -> LockHeldError:
    pid, holder = _holder(path)
    return LockHeldError(
        f"{holder} is working on {what}, and still was after {deadline:g} s", "wait for it to end, or stop it", pid=pid
    )


def _holder(path: Path) -> tuple[int | None, str]:
    pid, _, program = path.read_text(errors="replace").strip().partition(" ")
    return (int(pid), f"process {pid} ({program})") if pid.isdigit() else (None, "another process")
