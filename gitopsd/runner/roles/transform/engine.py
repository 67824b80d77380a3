from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from gitopsd.runner.lines import EVENT_BYTES
from gitopsd.runner.roles.transform.actions import DROPPED, REWRITING, Action, ActionError, compile_action

if TYPE_CHECKING:
    from gitopsd.runner.settings import Settings

# ValueError is everything JMESPath raises on purpose, bad JSON and bad UTF-8; the others leak out of its functions.
_REASONS = (ActionError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)

_KEPT_OF_A_LONG_EVENT = 1024 * 1024


class Transformed(NamedTuple):
    """What became of a batch: lines for `default`, lines for `error`, and why the first of those failed."""

    kept: bytes
    failed: bytes
    failures: int
    first_reason: str


class Engine:
    """Applies actions to every event of a batch. Where no action rewrites events, their bytes stay as they are."""

    def __init__(self, actions: list[Settings]) -> None:
        """Raises JobError for an action that makes no sense."""
        self._actions: list[Action] = [compile_action(action) for action in actions]
        self._rewrites = any(name in REWRITING for action in actions for name in action.names())
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        # Events come out of the decoder and no action makes a cycle, so there is none to look for.
        self._encode = json.JSONEncoder(
            ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
        ).encode

    def apply(self, data: bytes) -> Transformed:
        try:
            lines = data.decode()[:-1].split("\n")
        except UnicodeDecodeError:
            return self._apply_each(data)
        kept: list[str] = []
        failed: list[str] = []
        first_reason = ""
        for line in lines:
            try:
                event = self._apply_actions(self._decode(line))
                if event is not DROPPED:
                    kept.append(self._written(event) if self._rewrites else line)
            except _REASONS as error:  # noqa: PERF203 -- one bad event mustn't take its batch along
                reason = str(error) or type(error).__name__
                first_reason = first_reason or reason
                failed.append(_error_event(reason, "event", line))
        return Transformed(_joined(kept), _joined(failed), len(failed), first_reason)

    def _apply_actions(self, event: object) -> object:
        for action in self._actions:
            event = action(event)
            if event is DROPPED:
                break
        return event

    def _decode(self, line: str) -> object:
        try:
            event, end = self._decoder.raw_decode(line)
        except json.JSONDecodeError:
            end = -1
        return event if end == len(line) else self._decoder.decode(line)  # which allows for blanks around it

    def _written(self, event: object) -> str:
        text = self._encode(event)
        if len(text) * 4 >= EVENT_BYTES and len(text.encode("utf-8", "surrogatepass")) >= EVENT_BYTES:
            raise ActionError(f"the event grew beyond {EVENT_BYTES >> 20} MiB")
        return text

    def _apply_each(self, data: bytes) -> Transformed:
        """Line by line, for a batch that isn't UTF-8 throughout."""
        lines = [line + b"\n" for line in data[:-1].split(b"\n")]
        parts = [self.apply(line) if _is_utf8(line) else _not_utf8(line) for line in lines]
        return Transformed(
            b"".join(part.kept for part in parts),
            b"".join(part.failed for part in parts),
            sum(part.failures for part in parts),
            next((part.first_reason for part in parts if part.first_reason), ""),
        )


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
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _not_utf8(line: bytes) -> Transformed:
    reason = "the event is not UTF-8"
    original = base64.b64encode(line[:-1]).decode()
    return Transformed(b"", _error_event(reason, "event_base64", original).encode() + b"\n", 1, reason)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
