"""A worker that answers as nobody should: it costs its own result alone, and little else."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.fleet.connector import Connector
from gitopsd.fleet.errors import WorkerUnreachable
from gitopsd.fleet.exchange import CutOff, _receive, ended
from gitopsd.fleet.protocol import Ownership, decode
from gitopsd.fleet.stream import log_lines
from gitopsd.fleet.target import SshSettings, Target
from gitopsd.fleet.wire import excerpt

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3p1+0H0cWfWbXEG1yqXcHq6k7cWl2q4Q4cQYzLk0AA"


class Dripping:
    """A channel on which something comes again and again, on stdout or on stderr, for a minute."""

    def __init__(self, on: str) -> None:
        self._on = on
        self._end = time.monotonic() + 60

    def settimeout(self, seconds: float) -> None:
        self._seconds = seconds

    def recv_stderr_ready(self) -> bool:
        return self._on == "stderr" and time.monotonic() < self._end

    def recv_stderr(self, size: int) -> bytes:
        return self._next(size)

    def recv(self, size: int) -> bytes:
        return self._next(size)

    def _next(self, size: int) -> bytes:
        del size
        time.sleep(min(self._seconds if hasattr(self, "_seconds") else 0.005, 0.005))
        return b"x" if time.monotonic() < self._end else b""


@pytest.mark.parametrize("on", ["stdout", "stderr"])
def test_a_worker_that_never_falls_silent_is_given_up_at_the_deadline(on: str) -> None:
    begun = time.monotonic()
    channel: Any = Dripping(on)
    with pytest.raises(TimeoutError):
        _receive(channel, begun + 0.3)
    assert time.monotonic() - begun < 20


def test_so_is_one_that_goes_on_with_stderr_once_it_has_answered() -> None:
    begun = time.monotonic()
    channel: Any = Dripping("stderr")
    with pytest.raises((TimeoutError, CutOff)):
        ended(channel, b"", bytearray(), begun + 0.3)
    assert time.monotonic() - begun < 20


def test_of_a_long_output_the_end_alone_is_read() -> None:
    begun = time.process_time()
    assert excerpt(b"x \xff" * (20 * 1024 * 1024) + b"the end").endswith("the end")
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("address", "user"),
    [
        ("127.0.0.1;touch {}", "root"),
        ("-oProxyCommand=touch {}", "root"),
        ("127.0.0.1", "root;touch {}"),
        ("a\nb", "x"),
    ],
)
def test_nothing_of_an_address_or_a_user_is_run_whatever_ssh_is_configured_to_do(
    tmp_path: Path, address: str, user: str
) -> None:
    config, touched = tmp_path / "config", tmp_path / "touched"
    config.write_text('Match exec "true %h %r"\n  Port 22\n')
    target = Target(name="w", address=address.format(touched), user=user.format(touched), port=1, host_key=KEY)
    with pytest.raises(WorkerUnreachable) as refused:
        Connector(SshSettings(config=str(config))).open(target, time.monotonic() + 20)
    assert "nothing was tried" in refused.value.message
    assert refused.value.message.isprintable()
    assert not touched.exists()


@pytest.mark.parametrize("moment", [1e308, -1e308, 1e12])
def test_a_time_that_is_no_date_is_refused(moment: float) -> None:
    with pytest.raises(Exception, match="does not fit"):
        decode("w", "adopt", {"owner": None, "activated": moment}, Ownership)


class Endless:
    def __init__(self, first: bytes, then: bytes) -> None:
        self._chunks = iter([first, *[then] * 1000])

    def read(self, seconds: float) -> bytes | None:
        del seconds
        return next(self._chunks, b"")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("then", [b"x" * 65536, b"\xff{\n", b'{"later": ' + b"[" * 50_000 + b"\n"])
def test_a_log_that_makes_no_sense_ends(then: bytes) -> None:
    with pytest.raises(WorkerUnreachable) as failed:
        list(log_lines("w", Endless(b'{"ok": true}\n', then), threading.Event()))
    assert "the connection ended" not in failed.value.message
