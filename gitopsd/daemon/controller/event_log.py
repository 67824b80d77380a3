"""Events for people and programs that read along: to the journal under systemd, else as lines on stderr."""

import sys
from datetime import UTC, datetime
from threading import Lock
from typing import Literal, TextIO

import msgspec

from gitopsd.daemon.controller.event_line import Line, Priority, line_of
from gitopsd.daemon.controller.events import Event, Listener
from gitopsd.daemon.controller.journal import Journal, is_under_journal, readable

LogFormat = Literal["text", "json"]


def event_log(log_format: LogFormat | None, *, debug: bool) -> Listener:
    """Without a format: the journal where stderr goes there, else text. `debug`: also what is said all the time."""
    if log_format is None and is_under_journal():
        return Journal(debug=debug)
    return Lines(sys.stderr, log_format or "text", debug=debug)


class Lines:
    """A Listener that writes lines of text, further lines of one message indented; or one line of JSON each."""

    def __init__(self, stream: TextIO, log_format: LogFormat, *, debug: bool) -> None:
        self._stream = stream
        self._format = _text if log_format == "text" else _json
        self._least = Priority.DEBUG if debug else Priority.INFO
        self._lock = Lock()

    def __call__(self, event: Event) -> None:
        line = line_of(event)
        if line.priority > self._least:
            return
        with self._lock:
            try:
                self._stream.write(self._format(line) + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads any more, or stderr is closed: deploying goes on
                pass


def _time(line: Line) -> str:
    return datetime.fromtimestamp(line.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(line: Line) -> str:
    first, *more = readable(line.message).split("\n")
    about = f"{line.environment}: " if line.environment else ""
    return "\n    ".join([f"{_time(line)} {line.priority.name.lower():7} {about}{first}", *more])


def _json(line: Line) -> str:
    fields = {
        "time": _time(line),
        "priority": line.priority.name.lower(),
        "event": line.event,
        "message": readable(line.message),
        "environment": line.environment,
        "deployment": line.deployment,
        "worker": line.worker,
        "source": line.source,
    }
    return msgspec.json.encode({name: value for name, value in fields.items() if value not in {"", None}}).decode()
