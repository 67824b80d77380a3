"""Calls to systemd over its own socket, against one that answers what a test has it answer."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gitopsd.agent import bus_wire, manager_bus
from gitopsd.agent.bus_wire import ERROR, METHOD_RETURN, SIGNAL, Body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OK = b"OK 00\r\n"


def message(kind: int, fields: bytes, body: bytes) -> bytes:
    head = b"l" + bytes([kind]) + b"\0\1" + struct.pack("<III", len(body), 1, len(fields))
    return head + fields + bytes(-len(fields) % 8) + body


def strings(*texts: str) -> bytes:
    data = b""
    for text in texts:
        data += bytes(-len(data) % 4) + struct.pack("<I", len(text)) + text.encode() + b"\0"
    return data


def removed(job: str, unit: str, result: str) -> bytes:
    fields = b"\3\1s\0\x0a\0\0\0JobRemoved\0"
    return message(SIGNAL, fields, struct.pack("<I", 7) + strings(job, unit, result))


def queued(job: str) -> bytes:
    return message(METHOD_RETURN, b"", strings(job))


REFUSED = message(ERROR, b"", strings("Unit is masked."))


class Systemd:
    """Answers whatever it is sent on one connection after the other; `hello` is what each is greeted with."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self.connections = 0

    def answer(self, *connections: tuple[bytes, ...]) -> None:
        for answers in connections:
            connection, _ = self._socket.accept()
            self.connections += 1
            with connection:
                for one in answers:
                    connection.recv(65536)
                    connection.sendall(one)
                while connection.recv(65536):
                    pass  # for as long as it is kept open

    def close(self) -> None:
        self._socket.close()


@contextmanager
def systemd(path: Path, monkeypatch: pytest.MonkeyPatch, *connections: tuple[bytes, ...]) -> Iterator[Systemd]:
    monkeypatch.setattr(bus_wire, "SOCKET", str(path / "private"))
    one = Systemd(path / "private")
    thread = threading.Thread(target=one.answer, args=connections, daemon=True)
    thread.start()
    yield one
    thread.join(20)
    one.close()
    assert not thread.is_alive(), "a connection was left open, or never made"


def test_messages_are_as_the_specification_says() -> None:
    body = Body()
    body.string("a.timer")
    body.string("replace")
    made = bus_wire.message("RestartUnit", "ss", body)
    head = (
        b"l\x01\x00\x01\x18\x00\x00\x00\x01\x00\x00\x00\x78\x00\x00\x00"
        b"\x01\x01o\x00\x19\x00\x00\x00/org/freedesktop/systemd1\x00\x00\x00\x00\x00\x00\x00"
    )  # fmt: skip
    assert made.startswith(head)
    assert made.endswith(b"\x07\x00\x00\x00a.timer\x00\x07\x00\x00\x00replace\x00")
    assert (len(made) - 0x18) % 8 == 0


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ((b"REJECTED EXTERNAL\r\n",), "does not let us in"),
        ((b"x" * 2000,), "something else than D-Bus"),
        ((OK, message(ERROR, b"", strings("Not now."))), "refused Reload: Not now"),
        ((OK, b"l\2\0\1" + b"\xff" * 12), "longer than any"),
    ],
)
def test_what_systemd_refuses_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: tuple[bytes, ...], problem: str
) -> None:
    with (
        systemd(tmp_path, monkeypatch, answers),
        pytest.raises(OSError, match=problem.replace(".", "[.]")),
    ):
        manager_bus.reload(20.0)


def test_what_became_of_each_restart_is_told_whatever_else_happens_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = removed("/job/1", "a.service", "done")  # before the answer that names the job
    said = (early, queued("/job/1"), REFUSED, removed("/job/9", "other.service", "failed"), queued("/job/3"))
    late = removed("/job/3", "c.service", "failed")
    with systemd(tmp_path, monkeypatch, (OK, b"".join(said) + late)):
        assert manager_bus.restart_units(["a.service", "b.service", "c.service"], 20.0) == {
            "a.service": "done",
            "c.service": "failed",
        }


def test_a_restart_that_takes_its_time_is_not_waited_for_longer_than_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = removed("/job/1", "a.service", "done")[:20]
    with systemd(tmp_path, monkeypatch, (OK, queued("/job/1") + half)):
        assert manager_bus.restart_units(["a.service"], 0.05) == {}
    (tmp_path / "private").unlink()
    with systemd(tmp_path, monkeypatch, (OK, queued("/job/1"))):
        assert manager_bus.restart_units(["a.service"], 0.0) == {}


def test_many_restarts_are_asked_for_without_either_side_having_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = [f"{number}.service" for number in range(100)]
    jobs = [queued(f"/job/{number}") + removed(f"/job/{number}", unit, "done") for number, unit in enumerate(units)]
    with systemd(tmp_path, monkeypatch, (OK, b"".join(jobs[:64]), b"".join(jobs[64:]))):
        assert manager_bus.restart_units(units, 20.0) == dict.fromkeys(units, "done")


def test_one_connection_serves_all_calls_that_belong_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = queued("/job/1") + removed("/job/1", "a.service", "done")
    noise = removed("/job/8", "other.service", "done")
    list_of_none = message(METHOD_RETURN, b"", struct.pack("<I", 0))
    answers = (OK, done + noise, noise + list_of_none, message(METHOD_RETURN, b"", b""))
    with systemd(tmp_path, monkeypatch, answers) as one, manager_bus.kept_open():
        assert manager_bus.restart_units(["a.service"], 20.0) == {"a.service": "done"}
        with manager_bus.kept_open():
            assert manager_bus.list_units(["*"]) == struct.pack("<I", 0)
        manager_bus.reload(20.0)
    assert one.connections == 1


def test_a_connection_with_an_answer_under_way_is_never_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = message(METHOD_RETURN, b"", b"")
    with systemd(tmp_path, monkeypatch, (OK, REFUSED), (OK, done)) as one, manager_bus.kept_open():
        with pytest.raises(OSError, match="masked"):
            manager_bus.reload(20.0)
        manager_bus.reload(20.0)
    assert one.connections == 2
