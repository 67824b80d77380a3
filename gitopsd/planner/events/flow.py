"""What becomes of given events as far as it can be told without running anything: through transforms alone.

A transform is a pure function of its events. Whatever comes after another step isn't known here, for its program isn't
run: a plan may be that of a stranger's pull request.
"""

from collections.abc import Mapping

from gitopsd.compiler.event_tests import EventCase
from gitopsd.compiler.local.run import LocalStep

Channels = Mapping[str, tuple[bytes, ...]]
"""Channel -> its events, lines without their ends."""


def come_of(case: EventCase) -> Channels:
    """Of each channel whose events can be told, what transforms gave to it. Raises the runner's JobError."""
    known = {channel: _lines(data) for channel, data in case.given.items()}
    written: dict[str, tuple[bytes, ...]] = {}
    unknown: set[str] = set()
    for step in case.run.steps:
        if step.way in {"not-reached", "given"}:
            continue
        content = step.content
        if content is not None and step.document["runner"]["with"].get("format") == "jsonl":
            lines = tuple(line for line in content.split(b"\n") if line.strip(b"\r"))
            known |= dict.fromkeys(step.outputs.values(), lines)
            continue
        if not is_transform(step) or unknown.intersection(step.inputs.values()):
            unknown.update(step.outputs.values())
            continue
        events = [event for channel in step.inputs.values() for event in known.get(channel, ())]
        for port, lines in _transformed(step, events).items():
            if port in step.outputs:
                channel = step.outputs[port]
                known[channel] = (*known.get(channel, ()), *lines)
                written[channel] = known[channel]
    return {channel: events for channel, events in written.items() if channel not in unknown}


PURE = frozenset({"parse", "filter", "set", "rename", "remove", "flatten", "unnest", "sample", "dedupe"})
"""The actions that do nothing but make events of events. What isn't listed is not told: what a program answers, and
which events a batch brings together, which time decides.
"""


def has_transforms(case: EventCase) -> bool:
    """Whether anything of it can be told."""
    return any(is_transform(step) for step in case.run.steps)


def is_transform(step: LocalStep) -> bool:
    """Whether what it does can be told: a transform of pure actions."""
    runner = step.document.get("runner", {})
    if not step.is_run or runner.get("role") != "transform":
        return False
    return all(PURE.issuperset(action) for action in runner["with"]["actions"])


def _transformed(step: LocalStep, events: list[bytes]) -> dict[str, tuple[bytes, ...]]:
    """Port -> lines."""
    from gitopsd.runner.roles.transform.engine import Engine  # noqa: PLC0415 - only where there is a transform
    from gitopsd.runner.settings import Settings  # noqa: PLC0415

    settings = Settings(step.document["runner"]["with"], step.name)
    engine = Engine(settings.sections("actions"), settings.section("route"))
    if not events:
        return dict.fromkeys(step.outputs, ())
    result = engine.apply(b"".join(event + b"\n" for event in events))
    return {"error": _lines(result.failed), **{port: _lines(lines) for port, lines in result.ports.items()}}


def _lines(data: bytes) -> tuple[bytes, ...]:
    return tuple(data[:-1].split(b"\n")) if data else ()
