import contextlib
import io
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from logging_journald import JournaldTransport

from gitopsd.daemon.controller.events import Event, Listener, Said
from gitopsd.daemon.controller.onlookers.event_line import Priority, line_of
from gitopsd.daemon.controller.onlookers.event_log import Lines, LogHandler, event_log
from gitopsd.daemon.controller.onlookers.journal import LONGEST_MESSAGE, Journal, message_id
from tests.daemon.controller import samples

HOSTILE = "it failed\nPRIORITY=0\n\x1b[2Jroot: all is well\udcff\0"


def said(message: str) -> Said:
    return Said(environment="production", at=samples.AT, message=message)


class Journald:
    """The receiving end of the journal's socket: takes what it is sent apart as journald does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(5)

    def entry(self) -> Mapping[str, str]:
        content, files, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
        if files:
            with os.fdopen(files[0], "rb") as sealed:
                sealed.seek(0)
                content = sealed.read()
        return dict(self._fields(content))

    def is_silent(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(1)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()
        self.path.unlink()

    @staticmethod
    def _fields(content: bytes) -> Iterator[tuple[str, str]]:
        while content:
            line, _, rest = content.partition(b"\n")
            name, equals, value = line.partition(b"=")
            if not equals:
                size = int.from_bytes(rest[:8], "little")
                value, rest = rest[8 : 8 + size], rest[9 + size :]
            yield name.decode(), value.decode()
            content = rest


@pytest.fixture
def journald(tmp_path: Path) -> Journald:
    return Journald(tmp_path / "socket")


def journal(journald: Journald, *, debug: bool = False) -> Listener:
    return event_log(Journal(debug=debug, transport=JournaldTransport(journald.path, connected=False)))


@pytest.mark.parametrize("event", samples.EVERY, ids=lambda event: type(event).__name__)
def test_every_event_has_a_line(event: Event) -> None:
    line = line_of(event)
    assert line.message
    assert line.event
    assert line.environment == event.environment


def test_an_entry_says_what_it_is_about(journald: Journald) -> None:
    journal(journald)(samples.worker_ended("edge-1", "failed", "orders.a.0: exit code 1"))
    assert journald.entry() == {
        "MESSAGE": "edge-1: failed: orders.a.0: exit code 1",
        "PRIORITY": "3",
        "MESSAGE_ID": message_id("worker-ended"),
        "SYSLOG_IDENTIFIER": "gitopsd",
        "GITOPSD_EVENT": "worker-ended",
        "GITOPSD_ENVIRONMENT": "production",
        "GITOPSD_DEPLOYMENT": "7",
        "GITOPSD_WORKER": "edge-1",
    }
    journal(journald)(samples.committed())
    entry = journald.entry()
    assert (entry["GITOPSD_SOURCE"], entry["PRIORITY"]) == (samples.SOURCE, "5")
    assert entry["MESSAGE_ID"] != message_id("worker-ended")


def test_what_is_said_all_the_time_is_left_out_without_debug(journald: Journald) -> None:
    quiet: list[Event] = [samples.looked(), samples.worker_ended(state="in-sync"), samples.left_out(), samples.EVERY[9]]
    for event in quiet:
        assert line_of(event).priority == Priority.DEBUG
        journal(journald)(event)
    assert journald.is_silent()
    journal(journald, debug=True)(quiet[0])
    assert not journald.is_silent()


def test_hostile_text_makes_no_field_of_its_own(journald: Journald) -> None:
    journal(journald)(said(HOSTILE))
    entry = journald.entry()
    assert entry["PRIORITY"] == "6"
    assert entry["MESSAGE"] == "it failed\nPRIORITY=0\n\\x1b[2Jroot: all is well\\udcff\\x00"


def test_what_no_datagram_holds_arrives_and_has_an_end(journald: Journald) -> None:
    journal(journald)(said("x" * (LONGEST_MESSAGE + 5)))
    assert journald.entry()["MESSAGE"] == "x" * LONGEST_MESSAGE + "\n… and 5 characters more"


def test_a_journal_that_was_away_is_told_how_much_it_missed(tmp_path: Path) -> None:
    gone = Journald(tmp_path / "socket")
    listener = journal(gone)
    gone.close()
    listener(said("one"))
    listener(said("two"))
    back = Journald(tmp_path / "socket")
    listener(said("three"))
    listener(said("four"))
    assert back.entry()["GITOPSD_LOST"] == "2"
    assert "GITOPSD_LOST" not in back.entry()


def test_a_journal_that_takes_nothing_holds_nobody_up(journald: Journald) -> None:
    sink = Journal(debug=False, transport=JournaldTransport(journald.path, connected=False))
    for number in range(2000):  # more than its queue has room for
        sink(line_of(said(f"{number}")))
        if sink._lost:
            break
    assert sink._lost == 1


def test_lines_of_text_have_a_time_and_indent_what_follows() -> None:
    stream = io.StringIO()
    event_log(Lines(stream, "text", debug=False))(said(HOSTILE))
    first, *more = stream.getvalue().splitlines()
    assert first == "2027-01-15T08:00:00.000Z info    production: it failed"
    assert more == ["    PRIORITY=0", "    \\x1b[2Jroot: all is well\\udcff\\x00"]


def test_what_the_code_logs_goes_there_too_with_its_traceback() -> None:
    stream = io.StringIO()
    handler = LogHandler(Lines(stream, "text", debug=False))
    defect = ValueError("a defect\n\x1b[2J")
    for level, message, error in ((logging.ERROR, "a cycle failed", defect), (logging.DEBUG, "never mind", None)):
        raised = (type(error), error, None) if error else None
        handler.handle(logging.LogRecord("gitopsd", level, "", 0, message, None, raised))
    first, *more = stream.getvalue().splitlines()
    assert first.endswith("error   a cycle failed")
    assert more == ["    ValueError: a defect", "    \\x1b[2J"]


def test_lines_of_json_are_one_object_each() -> None:
    stream = io.StringIO()
    lines = event_log(Lines(stream, "json", debug=False))
    lines(said(HOSTILE))
    lines(samples.reverted())
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["message"].startswith("it failed\nPRIORITY=0\n")
    assert second == {
        "time": "2027-01-15T08:00:00.000Z",
        "priority": "error",
        "event": "reverted",
        "message": "deployment 7 failed, and deployment 8 reverts it: orders: orders.a.0 failed",
        "environment": "production",
        "deployment": 8,
    }


def test_a_reader_who_went_away_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    event_log(Lines(stream, "text", debug=False))(said("anybody?"))
    with contextlib.suppress(BrokenPipeError):  # what was left in its buffer
        stream.close()


def test_the_journal_is_chosen_only_where_stderr_goes_there() -> None:
    program = (
        "from gitopsd.daemon.controller.onlookers.event_log import log_sink; print(type(log_sink(None, debug=False)))"
    )
    for stream, chosen in (("0:0", "Lines"), ("nonsense", "Lines"), ("", "Lines")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "JOURNAL_STREAM": stream},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert chosen in done.stdout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stderr:
        status = os.fstat(stderr.fileno())
        stream = f"{status.st_dev}:{status.st_ino}"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "JOURNAL_STREAM": stream},
            stdout=subprocess.PIPE,
            stderr=stderr.fileno(),
            text=True,
            check=True,
            timeout=60,
        )
    assert "Journal" in done.stdout
