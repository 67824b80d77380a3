"""Events for people and programs that read along: to the journal under systemd, else as lines on stderr."""

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Literal, TextIO

import msgspec

from gitopsd.daemon.controller.events import Listener
from gitopsd.daemon.controller.onlookers.event_line import Line, Priority, line_of
from gitopsd.daemon.controller.onlookers.journal import Journal, is_under_journal, readable

LogFormat = Literal["text", "json"]
Sink = Callable[[Line], None]

_PRIORITIES = (
    (logging.ERROR, Priority.ERROR),
    (logging.WARNING, Priority.WARNING),
    (logging.INFO, Priority.INFO),
)


def log_sink(log_format: LogFormat | None, *, debug: bool) -> Sink:
    """Without a format: the journal where stderr goes there, else text. `debug`: also what is said all the time."""
    if log_format is None and is_under_journal():
        return Journal(debug=debug)
    return Lines(sys.stderr, log_format or "text", debug=debug)


def event_log(sink: Sink) -> Listener:
    """Every event is a line."""
    return lambda event: sink(line_of(event))


class LogHandler(logging.Handler):
    """What the code says by `logging`, defects with their tracebacks among it, goes where events go."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        priority = next((known for level, known in _PRIORITIES if record.levelno >= level), Priority.DEBUG)
        message = self.format(record)
        self._sink(Line(message=message, priority=priority, event="log", environment="", at=record.created))


class Lines:
    """A sink that writes lines of text, further lines of one message indented; or one line of JSON each."""

    def __init__(self, stream: TextIO, log_format: LogFormat, *, debug: bool) -> None:
        self._stream = stream
        self._format = _text if log_format == "text" else _json
        self._least = Priority.DEBUG if debug else Priority.INFO
        self._lock = Lock()

    def __call__(self, line: Line) -> None:
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
