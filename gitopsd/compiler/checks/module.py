"""What a module must be beyond its declaration, whether a step uses it or not: its interface is its only way out."""

from collections.abc import Iterator

from gitopsd.compiler.parameters import parameter_mistakes
from gitopsd.compiler.parse import Declared
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.names import did_you_mean
from gitopsd.model.workflow import (
    ON_MESSAGE,
    SIGNALS,
    InnerStep,
    Module,
    channels_of,
    inputs_of,
    outputs_of,
)


def check_module(declared: Declared[Module]) -> Iterator[Diagnostic]:
    yield from parameter_mistakes(declared.value.params, declared.document)
    yield from _check_interface(declared)
    yield from _check_sides(declared)


def _check_interface(declared: Declared[Module]) -> Iterator[Diagnostic]:
    """Each port is a channel of its own."""
    module, document = declared.value, declared.document
    channels = channels_of(module)
    ports: dict[str, tuple[str, str]] = {}
    for side, bindings in (("in", module.in_), ("out", module.out)):
        for port, channel in bindings.items():
            if channel not in channels:
                yield Diagnostic(
                    code="unknown-channel",
                    message=f"there is no channel `{channel}` in the module `{module.module}`",
                    location=document.locate(side, port),
                    hint=did_you_mean(channel, channels) or f"add it: `channels: {{{channel}: {{transport: worker}}}}`",
                )
            elif channel in ports:
                yield Diagnostic(
                    code="channel-bound-twice",
                    message=f"two ports of the module `{module.module}` are one channel, `{channel}`",
                    location=document.locate(side, port),
                    related=(Related(message="the other port is here", location=document.locate(*ports[channel])),),
                    hint="give each port a channel of its own",
                )
            else:
                ports[channel] = (side, port)


def _check_sides(declared: Declared[Module]) -> Iterator[Diagnostic]:
    """Events come in through `in` and leave through `out`; the other way round a module would reach into its user."""
    module, document = declared.value, declared.document
    channels = channels_of(module)
    readers = {channel for step in module.steps.values() for channel in inputs_of(step).values()}
    writers = {channel for step in module.steps.values() for channel in outputs_of(step).values()}
    for side, bindings, used, foreign, verb in (
        ("in", module.in_, readers, writers, "writes to"),
        ("out", module.out, writers, readers, "reads from"),
    ):
        for port, channel in bindings.items():
            if channel in channels and channel not in used:
                yield Diagnostic(
                    code="module-interface",
                    message=f"no step of the module `{module.module}` "
                    + (f"reads what its port `{port}` is given" if side == "in" else f"gives its port `{port}` events"),
                    location=document.locate(side, port),
                    hint=f"bind a step: `{side}: {channel}`, or remove the port",
                )
            if channel in foreign:
                other = "out" if side == "in" else "in"
                step, key = next(
                    (name, key) for name, one in module.steps.items() if (key := _bound_by(one, other, channel))
                )
                yield Diagnostic(
                    code="module-interface",
                    message=f"the step `{step}` {verb} `{channel}`, which is the module's port `{side}.{port}`",
                    location=document.locate("steps", step, key),
                    related=(Related(message="the port is declared here", location=document.locate(side, port)),),
                    hint="use a channel of the module's own: its user's channel is not the module's to "
                    + ("write to" if side == "in" else "read from"),
                )


def _bound_by(step: InnerStep, side: str, channel: str) -> str:
    """The key of the step that binds the channel on this side; empty where none does."""
    ports = inputs_of(step) if side == "in" else outputs_of(step)
    found = [port for port, bound in ports.items() if bound == channel]
    return {ON_MESSAGE: "on", SIGNALS: "signals"}.get(found[0], side) if found else ""
