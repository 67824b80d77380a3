"""What came of a run on this machine: for people, or as JSON lines for programs."""

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import click

from gitopsd.compiler.local.run import LocalChannel, LocalStep
from gitopsd.compiler.local.subject import Subject
from gitopsd.daemon.local_run.run import Outcome
from gitopsd.daemon.local_run.trace import TracedAction, TracedEvent, trace_events
from gitopsd.model.excerpt import printable

_LONGEST = 400
"""Characters of an event that people are shown; `--json` has all of it."""


class TextReport:
    """Traces first, then each channel with its events, then what was not run and why."""

    def show(self, subject: Subject, outcome: Outcome, *, given: Collection[str], trace: bool) -> None:
        """`given` are the channels whose events came from files, as they are shown there."""
        if trace:
            for step in _traced(outcome):
                self._trace(outcome, step)
        for channel in _shown(subject, outcome, given):
            self._channel(outcome, channel)
        for step in outcome.run.steps:
            if step.way in {"left-out", "not-reached"}:
                click.echo(f"{step.name} was not run: {printable(step.why)}")
        told = outcome.failure.message if outcome.failure else ""
        for name, lines in outcome.said.items():
            for line in lines:
                if not (told and line.endswith(told)):  # it is said below, with its place
                    click.echo(f"{name}: {printable(line)}", err=True)
        if outcome.failure:
            _show_failure(outcome)

    def _trace(self, outcome: Outcome, step: LocalStep) -> None:
        click.secho(f"{step.name}, action by action", bold=True)
        for traced in _events_of(outcome, step):
            click.echo(f"  {_text(traced.event)}")
            for action in traced.actions:
                click.echo(f"    {_action(action.action)}")
                for line in _became(action):
                    click.echo(f"      {line}")
            if traced.ports:
                click.echo(f"    to the port {', '.join(traced.ports)}")
        click.echo()

    def _channel(self, outcome: Outcome, channel: LocalChannel) -> None:
        count = 0
        lines: list[str] = []
        for event in outcome.events(channel.name):
            if not count:
                click.secho(_heading(outcome, channel), bold=True)
            count += 1
            click.echo(f"  {_text(event)}")
        if not count:
            click.secho(_heading(outcome, channel), bold=True)
            lines.append("  no events")
        else:
            lines.append(f"  ({count:,} event{'' if count == 1 else 's'})")
        click.echo("\n".join([*lines, ""]))


class JsonReport:
    """A JSON document a line; its `kind` is `action`, `ports`, `event`, `step` or `failure`."""

    def show(self, subject: Subject, outcome: Outcome, *, given: Collection[str], trace: bool) -> None:
        """The same as TextReport's."""
        if trace:
            for step in _traced(outcome):
                for traced in _events_of(outcome, step):
                    for action in traced.actions:
                        _line(_action_record(step, traced, action))
                    _line({"kind": "ports", "step": step.name, "event": traced.number, "ports": traced.ports})
        for channel in _shown(subject, outcome, given):
            for event in outcome.events(channel.name):
                _line({"kind": "event", "port": channel.label, "bound": channel.is_bound, **_value(event)})
        for step in outcome.run.steps:
            said = list(outcome.said.get(step.name, ()))
            _line({"kind": "step", "step": step.name, "way": step.way, "why": step.why, "said": said})
        if outcome.failure:
            step_name = outcome.failure.step.name if outcome.failure.step else ""
            place = str(outcome.failure.step.place) if outcome.failure.step else ""
            message = outcome.failure.message
            _line({"kind": "failure", "step": step_name, "place": place, "message": message})
            _show_failure(outcome)


def _show_failure(outcome: Outcome) -> None:
    failure = outcome.failure
    if failure is None:
        return
    click.secho("error: ", fg="red", nl=False, err=True)
    if failure.step is None:
        click.echo(printable(failure.message), err=True)
        return
    click.echo(f"{failure.step.name}: {printable(failure.message)}", err=True)
    click.echo(f"  --> {printable(str(failure.step.place))}", err=True)


def _traced(outcome: Outcome) -> list[LocalStep]:
    """The steps that ran and are transforms."""
    runners = [(step, step.document.get("runner", {})) for step in outcome.run.steps if step.is_run]
    return [step for step, runner in runners if runner.get("role") == "transform"]


def _events_of(outcome: Outcome, step: LocalStep) -> Iterator[TracedEvent]:
    events = (event for channel in step.inputs.values() for event in outcome.events(channel))
    return trace_events(step.document["runner"]["with"], events)


def _shown(subject: Subject, outcome: Outcome, given: Collection[str]) -> Iterator[LocalChannel]:
    """Where events came out: of a workflow each channel that they reached, else the ports."""
    whole = not (subject.name.step or subject.name.module)
    written = {channel for step in outcome.run.steps if step.is_run for channel in step.outputs.values()}
    wanted = written if whole else {*subject.outputs.values(), *(name for name in written if ":" in name)}
    for channel in outcome.run.channels.values():
        if channel.name in wanted and channel.name in written and channel.name not in given:
            yield channel


def _heading(outcome: Outcome, channel: LocalChannel) -> str:
    writers = [step.name for step in outcome.run.steps if step.is_run and channel.name in step.outputs.values()]
    note = "" if channel.is_bound else "; bound to nothing, so a deployment drops these"
    return f"{channel.label} (from {', '.join(writers)}{note})"


def _text(event: bytes) -> str:
    text = printable(event.decode(errors="replace"))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(event):,} bytes)"


def _action(action: Any) -> str:
    if isinstance(action, dict) and len(action) == 1:
        ((name, value),) = action.items()
        return printable(f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    return printable(json.dumps(action, ensure_ascii=False))


def _became(action: TracedAction) -> Iterable[str]:
    match action.result:
        case "kept":
            return ["as it was"]
        case "dropped":
            return ["dropped"]
        case "program":
            return ["a program: what came of it is below, with what the other actions did"]
        case "batched":
            return ["put together with others: the batches are below"]
        case "failed":
            return [f"failed: {_text(event)}" for event in action.after]
        case "changed":
            return [f"→ {_text(event)}" for event in action.after]


def _action_record(step: LocalStep, traced: TracedEvent, action: TracedAction) -> dict[str, Any]:
    return {
        "kind": "action",
        "step": step.name,
        "event": traced.number,
        "action": action.number,
        "does": action.action,
        "result": action.result,
        "before": [_value(event) for event in action.before],
        "after": [_value(event) for event in action.after],
    }


def _value(event: bytes) -> dict[str, Any]:
    """The event as JSON where it is some, else its text."""
    try:
        return {"event": json.loads(event)}
    except (ValueError, RecursionError):
        return {"text": event.decode(errors="replace")}


def _line(record: dict[str, Any]) -> None:
    click.echo(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace"))
