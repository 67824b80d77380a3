from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.lines import EVENT_BYTES
from gitopsd.runner.roles.transform.actions import (
    DROPPED,
    Action,
    ActionError,
    Several,
    check_worker,
    compile_action,
    fields_set_by,
)
from gitopsd.runner.roles.transform.expressions import is_false
from gitopsd.runner.roles.transform.json_text import decode, encode, encode_text, scan
from gitopsd.runner.roles.transform.reasons import REASONS, reason_of, reason_of_line
from gitopsd.runner.roles.transform.routes import compile_routes

if TYPE_CHECKING:
    from gitopsd.runner.settings import Settings

DEFAULT = "default"

_REASONS = (ActionError, StopIteration, *REASONS)

_KEPT_OF_A_LONG_EVENT = 1024 * 1024


class Transformed(NamedTuple):
    """What became of a batch: lines by port, lines for `error`, and why the first of those failed."""

    ports: dict[str, bytes]
    """Has every port but `error`, those that get nothing too."""
    failed: bytes
    failures: int
    first_reason: str

    @property
    def kept(self) -> bytes:
        return self.ports[DEFAULT]


class Engine:
    """Applies actions to every event of a batch. Where no action rewrites an event, its bytes stay as they are."""

    def __init__(self, actions: list[Settings], route: Settings | None = None) -> None:
        """Raises JobError for an action that makes no sense, or needs what this worker doesn't have."""
        compiled: list[Action] = [compile_action(action) for action in actions]
        for action in actions:
            check_worker(action)
        first = next((at for at, action in enumerate(actions) if "unnest" in action.names()), len(actions))
        self._actions, self._of_several = compiled[:first], compiled[first:]
        self._routes = compile_routes(route) if route is not None else []
        self.dedupes = any("dedupe" in action.names() for action in actions)
        added = fields_set_by(actions)
        self._added = None if added is None else [(name, f",{encode_text(name)}:") for name in added]

    def apply(self, data: bytes) -> Transformed:
        try:
            lines = data.decode()[:-1].split("\n")
        except UnicodeDecodeError:
            return self._apply_each(data)
        results = _Results([DEFAULT, *(port for port, _ in self._routes)])
        keep = results.ports[DEFAULT].append
        actions, simple = self._actions, not (self._routes or self._of_several)
        for line in lines:
            try:
                original, end = scan(line, 0 if line[:1] == "{" else _blanks_before(line))
                if end != len(line):
                    original = decode(line)  # which allows for blanks behind it
                event = original
                for action in actions:
                    event = action(event)
                    if event is DROPPED:
                        break
                else:
                    if not simple:
                        self._leave(results, line, original, event)
                    else:
                        keep(line if event is original else self._written(line, original, event))
            except _REASONS as error:
                results.fail(error, line)
        return results.transformed()

    def _leave(self, results: _Results, line: str, original: object, event: object) -> None:
        if self._of_several:
            self._spread(results, event, 0)
        else:
            self._route(results, event, line if event is original else self._written(line, original, event))

    def _spread(self, results: _Results, event: object, done: int) -> None:
        """The actions from the first `unnest` on; what can't be done to one of several events fails that one alone."""
        for at in range(done, len(self._of_several)):
            event = self._of_several[at](event)
            if event is DROPPED:
                return
            if type(event) is Several:
                for one in event.events:
                    try:
                        self._spread(results, one, at + 1)
                    except _REASONS as error:  # noqa: PERF203
                        results.fail(error, encode(one))
                return
        self._route(results, event, _checked(encode(event)))

    def _route(self, results: _Results, event: object, text: str) -> None:
        """To each port whose condition holds, else to the default one."""
        try:
            ports = [port for port, condition in self._routes if not is_false(condition(event))]
        except REASONS:
            self._say_which(event)
            raise
        for port in ports or (DEFAULT,):
            results.ports[port].append(text)

    def _say_which(self, event: object) -> None:
        """Raises ActionError for the first condition that can't be evaluated."""
        for port, condition in self._routes:
            try:
                condition(event)
            except REASONS as error:  # noqa: PERF203 - asked once, for an event that failed
                raise ActionError(f"route {port}: {reason_of(error)}") from error

    def _written(self, line: str, original: object, event: object) -> str:
        """An event that was rewritten. New fields are put behind the others, which stay as they are, byte for byte."""
        added = self._added
        if added is None or type(original) is not dict or type(event) is not dict or line[-1] != "}":
            return _checked(encode(event))
        if not original or len(event) != len(original) + len(added):  # some were there before
            return _checked(encode(event))
        parts = [line[:-1]]
        for name, before in added:
            value = event[name]
            parts += before, encode_text(value) if type(value) is str else encode(value)
        parts.append("}")
        return _checked("".join(parts))

    def _apply_each(self, data: bytes) -> Transformed:
        """Line by line, for a batch that isn't UTF-8 throughout."""
        lines = [line + b"\n" for line in data[:-1].split(b"\n")]
        parts = [self.apply(line) if _is_utf8(line) else self._not_utf8(line) for line in lines]
        return Transformed(
            {port: b"".join(part.ports[port] for part in parts) for port in parts[0].ports},
            b"".join(part.failed for part in parts),
            sum(part.failures for part in parts),
            next((part.first_reason for part in parts if part.first_reason), ""),
        )

    def _not_utf8(self, line: bytes) -> Transformed:
        reason = "the event is not UTF-8"
        original = base64.b64encode(line[:-1]).decode()
        failed = _error_event(reason, "event_base64", original).encode() + b"\n"
        return Transformed(dict.fromkeys([DEFAULT, *(port for port, _ in self._routes)], b""), failed, 1, reason)


class _Results:
    """What came of a batch so far."""

    def __init__(self, ports: list[str]) -> None:
        self.ports: dict[str, list[str]] = {port: [] for port in ports}
        self._failed: list[str] = []
        self._first_reason = ""

    def fail(self, error: Exception, text: str) -> None:
        reason = reason_of_line(error, text)
        self._first_reason = self._first_reason or reason
        self._failed.append(_error_event(reason, "event", text))

    def transformed(self) -> Transformed:
        ports = {port: _joined(lines) for port, lines in self.ports.items()}
        return Transformed(ports, _joined(self._failed), len(self._failed), self._first_reason)


def _blanks_before(line: str) -> int:
    return len(line) - len(line.lstrip(" \t\r"))


def _checked(text: str) -> str:
    if len(text) * 4 >= EVENT_BYTES and len(text.encode("utf-8", "surrogatepass")) >= EVENT_BYTES:
        raise ActionError(f"the event grew beyond {EVENT_BYTES >> 20} MiB")
    return text


def _joined(lines: list[str]) -> bytes:
    if not lines:
        return b""
    try:
        return ("\n".join(lines) + "\n").encode()
    except UnicodeEncodeError:
        # JSON may escape half of a surrogate pair, UTF-8 can't hold it: such events keep their escapes.
        return b"".join(_encodable(line).encode() + b"\n" for line in lines)


def _encodable(line: str) -> str:
    try:
        line.encode()
    except UnicodeEncodeError:
        return json.dumps(json.loads(line), separators=(",", ":"))
    return line


def _error_event(reason: str, key: str, original: str) -> str:
    event: dict[str, object] = {"error": reason, key: original}
    if len(original) > _KEPT_OF_A_LONG_EVENT:  # with its escapes it could be longer than a channel carries
        event = {"error": reason, key: original[:_KEPT_OF_A_LONG_EVENT], "truncated": True}
    return encode(event)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
