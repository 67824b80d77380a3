"""Events as entries of systemd's journal, each with fields to search by: `journalctl GITOPSD_WORKER=edge-1`.

Sent with logging-journald's transport, which speaks the journal's own protocol in pure Python and passes what is too
large for a datagram as a sealed file; systemd-python and cysystemd need a C toolchain on some machines we run on.
"""

import contextlib
from threading import Lock
from uuid import UUID, uuid5

from logging_journald import JournaldTransport, check_journal_stream

from gitopsd.daemon.controller.onlookers.event_line import Line, Priority
from gitopsd.model.excerpt import printable

LONGEST_MESSAGE = 512 * 1024

_SEND_SECONDS = 0.5
_MESSAGE_IDS = UUID("6f1b9c1e-58a3-4c3a-9f43-0d9a4c0f6d51")
"""Fixed: with it each kind of event has the same MESSAGE_ID in every version."""


def is_under_journal() -> bool:
    """Whether stderr goes to the journal (`$JOURNAL_STREAM`, systemd.exec(5))."""
    with contextlib.suppress(ValueError, OSError):  # a variable of another form; no stderr at all
        return bool(check_journal_stream())
    return False


class Journal:
    """A sink of lines. A journal that doesn't take an entry in half a second costs that entry, never the controller."""

    def __init__(self, *, debug: bool, transport: JournaldTransport | None = None) -> None:
        # by path each time, since journald makes its socket anew when it is restarted
        self._transport = transport or JournaldTransport(connected=False)
        self._transport.socket.settimeout(_SEND_SECONDS)
        self._least = Priority.DEBUG if debug else Priority.INFO
        self._lock = Lock()
        self._lost = 0

    def __call__(self, line: Line) -> None:
        if line.priority > self._least:
            return
        with self._lock:
            fields = fields_of(line)
            if self._lost:
                fields.append(("GITOPSD_LOST", str(self._lost)))
            try:
                self._transport.send(fields)
            except OSError:
                self._lost += 1
            else:
                self._lost = 0


def readable(message: str) -> str:
    """Line by line without control characters, which would make `journalctl` hide all of it; and not without end."""
    shown = "\n".join(printable(line) for line in message[:LONGEST_MESSAGE].splitlines())
    left_out = len(message) - LONGEST_MESSAGE
    return shown if left_out <= 0 else f"{shown}\n… and {left_out} characters more"


def message_id(event: str) -> str:
    return uuid5(_MESSAGE_IDS, event).hex


def fields_of(line: Line) -> list[tuple[str, str]]:
    fields = {
        "MESSAGE": readable(line.message),
        "PRIORITY": str(line.priority.value),
        "MESSAGE_ID": message_id(line.event),
        "SYSLOG_IDENTIFIER": "gitopsd",
        "GITOPSD_EVENT": line.event,
        "GITOPSD_ENVIRONMENT": line.environment,
        "GITOPSD_DEPLOYMENT": "" if line.deployment is None else str(line.deployment),
        "GITOPSD_WORKER": line.worker,
        "GITOPSD_SOURCE": line.source,
    }
    return [(name, value) for name, value in fields.items() if value]
