"""What each action of a transform makes of each event: the engine of the job itself, asked once more for each action.

An event is taken through the first action alone, the first two, and so on. So what is shown after an action is what
the job would give if it ended there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gitopsd.daemon.errors import ControllerError
from gitopsd.runner.errors import JobError
from gitopsd.runner.roles.transform.engine import Engine, Transformed
from gitopsd.runner.settings import Settings

Result = Literal["kept", "changed", "dropped", "failed", "program", "batched"]
"""`program`: an action that runs one. It ran in the job; here it isn't asked again, and what follows isn't traced.

`batched`: put together with other events, which shows only in what came out.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedAction:
    """`after` has the lines that come of the event: none where it was dropped, the error event where it failed."""

    number: int
    action: Any
    result: Result
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedEvent:
    """`number` counts from 1. `ports` are those that what came of it went to; none where that isn't told."""

    number: int
    event: bytes
    actions: tuple[TracedAction, ...]
    ports: tuple[str, ...] = ()


def trace_events(settings: Mapping[str, Any], events: Iterable[bytes]) -> Iterator[TracedEvent]:
    """`settings` are those of a transform in `job.json`; `events` are lines without their ends, in the order in which
    the job had them. Raises ControllerError.
    """
    actions: list[Any] = settings["actions"]
    try:
        engines = [Engine(_settings(actions[: count + 1])) for count in range(len(actions))]
        whole = Engine(_settings(actions), Settings(settings.get("route", {}), "route"))
    except JobError as error:  # something that this machine doesn't have
        raise ControllerError(f"the actions can't be traced: {error.message}") from error
    for number, event in enumerate(events, start=1):
        ports = _ports(whole.apply(event + b"\n"))
        traced = tuple(_trace(actions, engines, event))
        is_told = not any(action.result == "program" for action in traced)
        yield TracedEvent(number=number, event=event, actions=traced, ports=ports if is_told else ())


def _ports(result: Transformed) -> tuple[str, ...]:
    return (*(port for port, lines in result.ports.items() if lines), *(["error"] if result.failed else []))


def _settings(actions: list[Any]) -> list[Settings]:
    return [Settings(action, f"actions[{index}]") for index, action in enumerate(actions)]


def _trace(actions: list[Any], engines: list[Engine], event: bytes) -> Iterator[TracedAction]:
    before: tuple[bytes, ...] = (event,)
    is_over = False
    for index, engine in enumerate(engines):
        result = engine.apply(event + b"\n")  # also once it is over: an engine may count what it has seen
        if is_over:
            continue
        if "exec" in actions[index]:
            yield TracedAction(number=index, action=actions[index], result="program", before=before, after=())
            is_over = True
            continue
        after = _lines(result.failed or result.kept)
        is_batch = "batch" in actions[index]
        outcome: Result = "batched" if is_batch else _outcome(before, after, failed=bool(result.failed))
        yield TracedAction(number=index, action=actions[index], result=outcome, before=before, after=after)
        is_over = outcome in {"failed", "dropped"}
        before = after


def _lines(data: bytes) -> tuple[bytes, ...]:
    return tuple(data[:-1].split(b"\n")) if data else ()


def _outcome(before: tuple[bytes, ...], after: tuple[bytes, ...], *, failed: bool) -> Result:
    if failed:
        return "failed"
    if not after:
        return "dropped"
    return "kept" if before == after else "changed"
