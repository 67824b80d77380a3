"""Whether jobs that don't notify answer: on a TCP port or an HTTP address of this machine, and of no other."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .deadline import Deadline
    from .release import Job, Ready

_POLL_SECONDS = 0.1
_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 5.0
_LEAST_SECONDS = 0.5  # one look at each, even when starting the others has used up the time


def wait_until_ready(
    jobs: Collection[Job], is_up: Callable[[], Mapping[Job, bool]], deadline: Deadline
) -> dict[Job, str]:
    """Wait for the jobs to answer, each on a thread of its own; why not, for those that don't by the deadline.

    A job that isn't up any more is waited for no longer.
    """
    waits = [_Wait(job, deadline) for job in jobs]
    for wait in waits:
        wait.start()
    while any(wait.is_alive() for wait in waits):
        _join(waits, _LOOK_SECONDS)
        if any(wait.is_alive() for wait in waits):
            up = is_up()
            for wait in waits:
                if not up.get(wait.job, False):
                    wait.given_up.set()
    return {wait.job: wait.problem for wait in waits if wait.problem is not None}


class _Wait(threading.Thread):
    """problem is why the last attempt failed; None once one was answered."""

    def __init__(self, job: Job, deadline: Deadline) -> None:
        # a daemon: one that still waits for an answer keeps nobody
        super().__init__(name=f"ready-{job.name}", daemon=True)
        self.job = job
        self.given_up = threading.Event()
        self.problem: str | None = None
        self._deadline = deadline

    def run(self) -> None:
        while True:
            seconds = min(_ANSWER_SECONDS, max(_LEAST_SECONDS, self._deadline.remaining()))
            self.problem = attempt(self.job.ready, seconds)
            if self.problem is None or self._deadline.passed or self.given_up.wait(_POLL_SECONDS):
                return


def attempt(ready: Ready, seconds: float) -> str | None:
    """Ask once; why it doesn't count as ready, None when it does."""
    if ready.kind == "tcp":
        return _connect(ready.port, seconds)
    return _fetch(ready, seconds)


def _connect(port: int, seconds: float) -> str | None:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=seconds).close()
    except OSError:
        return f"it does not answer on 127.0.0.1:{port}"
    return None


def _fetch(ready: Ready, seconds: float) -> str | None:
    # http.client follows no redirect and heeds no proxy: nothing but this machine is asked
    connection = http.client.HTTPConnection(ready.host.partition(":")[0], ready.port, timeout=seconds)
    cut = threading.Timer(seconds, _cut, (connection,))  # the time limit of the connection is for each byte anew
    cut.daemon = True
    cut.start()
    try:
        connection.request("GET", ready.path, headers={"Host": ready.host, "Connection": "close"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return f"it does not answer on 127.0.0.1:{ready.port} ({ready.url})"
    finally:
        cut.cancel()
        connection.close()
    return None if 200 <= status < 400 else f"it answers {ready.url} with status {status}"


def _cut(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError, AttributeError):  # it has ended meanwhile
        connection.sock.shutdown(socket.SHUT_RDWR)


def _join(waits: Collection[_Wait], seconds: float) -> None:
    end = time.monotonic() + seconds
    for wait in waits:
        wait.join(max(0.0, end - time.monotonic()))
