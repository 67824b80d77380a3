"""What a job is told of messages: what starts its runs, and what it signals once one has ended well."""

from typing import Any

from gitopsd.compiler.render.job_error import JobError
from gitopsd.compiler.route import Ports, RoutedJob
from gitopsd.model.system import Origin
from gitopsd.model.workflow import ON_MESSAGE, SIGNALS

MESSAGE = "message"
"""The kind of a job that a blueprint of kind `once` becomes where its step waits for a message."""


def kind_with_messages(routed: RoutedJob, kind: str) -> str:
    """The kind of the job, where its blueprint says `kind`. Raises JobError for a step that can't wait, or signal."""
    waits = ON_MESSAGE in routed.inputs
    if waits and kind != "once":
        message = f"`on` starts runs that come to an end, of kind `once`, and this job's kind is `{kind}`"
        hint = "write `kind: once` in the blueprint, or let the step read the message as events: `in: MESSAGE`"
        raise JobError("wrong-kind", message, hint=hint, origin=_written(routed, "on", "message"))
    if waits and len(routed.inputs) > 1:
        message = "a job whose runs a message starts can't read a channel as well"
        hint = "let a service read the channel: events never end, and a run must"
        raise JobError("message-reads", message, hint=hint, origin=_written(routed, "on", "message"))
    if SIGNALS in routed.outputs and kind == "service":
        message = "`signals` is for a job that ends, and this one's kind is `service`"
        hint = "let its events be the messages: `out: MESSAGE`, behind a `filter` of std/transform if not all are"
        raise JobError("wrong-kind", message, hint=hint, origin=_written(routed, "signals"))
    return MESSAGE if waits else kind


def message_parts(routed: RoutedJob) -> dict[str, Any]:
    """The keys `on` and `signals` of `job.json`, those that there are."""
    parts: dict[str, Any] = {}
    if ON_MESSAGE in routed.inputs:
        parts["on"] = {"message": _channel(routed, ON_MESSAGE), "inputs": routed.inputs[ON_MESSAGE]}
    if SIGNALS in routed.outputs:
        parts["signals"] = {"message": _channel(routed, SIGNALS), "outputs": routed.outputs[SIGNALS]}
    return parts


def is_of_messages(port: str) -> bool:
    """Whether the runner waits or signals there, whatever the job is."""
    return port in {ON_MESSAGE, SIGNALS}


def without_messages(ports: Ports) -> Ports:
    """The ports that the blueprint declares."""
    return {port: ends for port, ends in ports.items() if not is_of_messages(port)}


def _channel(routed: RoutedJob, port: str) -> str:
    """The message's name as the workflow has it."""
    if routed.step is None:
        raise ValueError("an adapter has no messages of its own")
    return {**routed.step.inputs, **routed.step.outputs}[port]


def _written(routed: RoutedJob, *way: str) -> Origin | None:
    return Origin(routed.step.origin.path, (*routed.step.origin.pointer, *way)) if routed.step else None
