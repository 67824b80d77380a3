"""Calls to systemd's manager over its own socket, as systemctl makes them: a process for each would cost more than all
else that an activation does.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .bus_wire import ERROR, METHOD_RETURN, NAME, SECONDS, SIGNAL, Body, Connection, message, strings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_AT_ONCE = 64  # calls that are sent before their answers are read: few enough that neither side ever blocks


class _Kept:
    """The connection that calls share, for as long as somebody wants them to."""

    wanted = False
    connection: Connection | None = None


@contextmanager
def kept_open() -> Iterator[None]:
    """All calls inside go over one connection: to take one costs systemd more than what is asked over it.

    Not for as long as a process lives: systemd tells everybody who is connected everything that happens.
    """
    if _Kept.wanted:
        yield
        return
    _Kept.wanted = True
    try:
        yield
    finally:
        _Kept.wanted = False
        if _Kept.connection is not None:
            _Kept.connection.close()
            _Kept.connection = None


def restart_units(units: Sequence[str], seconds: float = SECONDS) -> dict[str, str]:
    """Restart units side by side; waits for systemd to be done with them, or until the seconds are over.

    How that ended by unit, in systemd's words (`done`, `failed`); without those that it refused, or still is at.
    OSError when it can't be asked.
    """
    restarts = _Restarts(units)
    with suppress(TimeoutError), _connected() as connection:
        for start in range(0, len(units), _AT_ONCE):
            connection.send(b"".join(map(_restart, units[start : start + _AT_ONCE])))
            while restarts.answers < min(len(units), start + _AT_ONCE):
                restarts.take(connection)
        end = time.monotonic() + seconds
        while not restarts.over and time.monotonic() < end:
            connection.patience(end - time.monotonic())
            restarts.take(connection)
    return restarts.results()


def reload(seconds: float) -> None:
    """Have systemd read all its units anew, and wait for that; OSError when it can't be asked, or doesn't in time."""
    with _connected() as connection:
        connection.patience(seconds)
        connection.send(message("Reload", "", Body()))
        connection.answer("Reload")


def start_scope(scope: str, description: str, pid: int) -> None:
    """Have systemd move a process into a transient scope, which goes when that ends; OSError when it won't."""
    body = Body()
    body.string(scope)
    body.string("fail")
    length = body.begin_array(8)
    for name, signature in (("Description", "s"), ("CollectMode", "s"), ("PIDs", "au")):
        body.align(8)
        body.string(name)
        body.signature(signature)
        if name == "PIDs":
            pids = body.begin_array(4)
            body.number(pid)
            body.end_array(pids)
        else:
            body.string(description if name == "Description" else "inactive-or-failed")
    body.end_array(length)
    body.end_array(body.begin_array(8))  # no other units
    with _connected() as connection:
        connection.send(message("StartTransientUnit", "ssa(sv)a(sa(sv))", body))
        connection.answer("StartTransientUnit")


def list_units(patterns: Sequence[str]) -> bytes:
    """Names, states and queued jobs of the loaded units that fit, as systemd tells them; OSError when it doesn't."""
    body = Body()
    body.end_array(body.begin_array(4))  # of any state
    wanted = body.begin_array(4)
    for pattern in patterns:
        body.string(pattern)
    body.end_array(wanted)
    with _connected() as connection:
        connection.send(message("ListUnitsByPatterns", "asas", body))
        return connection.answer("ListUnitsByPatterns")


def get_properties(wanted: Sequence[tuple[str, str, str]]) -> list[bytes]:
    """The variant of each property, (path of its object, interface below systemd's name, property), as it came.

    OSError when one can't be had.
    """
    found: list[bytes] = []
    with _connected() as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            calls = wanted[start : start + _AT_ONCE]
            connection.send(b"".join(_get(*call) for call in calls))
            found += [connection.answer("Get") for _ in calls]
    return found


class _Restarts:
    """What systemd has said of restarts that it was asked for, in this order."""

    def __init__(self, units: Sequence[str]) -> None:
        self._units = units
        self._jobs: list[str | None] = []
        self._removed: dict[str, str] = {}

    @property
    def answers(self) -> int:
        return len(self._jobs)

    @property
    def over(self) -> bool:
        return self.answers == len(self._units) and self._removed.keys() >= {job for job in self._jobs if job}

    def take(self, connection: Connection) -> None:
        """The next message. Jobs of others end as well, and one's own may before they are known."""
        received = connection.receive()
        if received.kind == METHOD_RETURN:
            self._jobs.append(strings(received.body, 0, 1)[0])
        elif received.kind == ERROR:
            self._jobs.append(None)
        elif received.kind == SIGNAL and b"\0JobRemoved\0" in received.fields:
            job, _, result = strings(received.body, 4, 3)
            self._removed[job] = result

    def results(self) -> dict[str, str]:
        named = zip(self._units, self._jobs)
        return {unit: self._removed[job] for unit, job in named if job is not None and job in self._removed}


@contextmanager
def _connected() -> Iterator[Connection]:
    """The connection for one call: after an error nobody gets it again."""
    connection = _Kept.connection or Connection()
    _Kept.connection = None
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    if _Kept.wanted:
        connection.patience(SECONDS)
        _Kept.connection = connection
    else:
        connection.close()


def _restart(unit: str) -> bytes:
    body = Body()
    body.string(unit)
    body.string("replace")
    return message("RestartUnit", "ss", body)


def _get(path: str, interface: str, name: str) -> bytes:
    body = Body()
    body.string(f"{NAME}.{interface}")
    body.string(name)
    return message("Get", "ss", body, path, "org.freedesktop.DBus.Properties")
