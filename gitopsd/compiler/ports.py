"""Which channel each port of a step is bound to."""

from collections.abc import Iterator, Mapping

from gitopsd.compiler.yaml_places import Pointer
from gitopsd.compiler.yaml_reader import Document
from gitopsd.model.blueprint import Blueprint, Port
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.names import did_you_mean
from gitopsd.model.workflow import Workflow, bound_ports

Ports = dict[str, str]


def bind_ports(
    workflow: Workflow, document: Document, step: str, blueprint: Blueprint
) -> tuple[Ports, Ports, list[Diagnostic]]:
    """Port -> channel for both sides, those ports left out that something is wrong with."""
    inputs = _Side(workflow, document, step, "in", blueprint.in_)
    outputs = _Side(workflow, document, step, "out", blueprint.out)
    return inputs.bound, outputs.bound, [*inputs.mistakes, *outputs.mistakes]


class _Side:
    """The `in` or the `out` of one step."""

    def __init__(self, workflow: Workflow, document: Document, step: str, side: str, ports: Mapping[str, Port]) -> None:
        self._workflow = workflow
        self._document = document
        self._step = step
        self._side = side
        self._ports = ports
        declared = workflow.steps[step]
        self._binding = declared.in_ if side == "in" else declared.out
        self.bound: Ports = {}
        mistakes = list(self._bind())
        misnamed = any(mistake.code == "unknown-port" for mistake in mistakes)
        self.mistakes = mistakes if misnamed else [*mistakes, *self._open_ports()]

    def _way(self, port: str) -> Pointer:
        way: Pointer = ("steps", self._step, self._side)
        return way if isinstance(self._binding, str) else (*way, port)

    def _bind(self) -> Iterator[Diagnostic]:
        ports_by_channel: dict[str, str] = {}
        for port, channel in sorted(bound_ports(self._binding).items()):
            if port not in self._ports:
                yield self._unknown_port(port)
            elif channel not in self._workflow.channels:
                known = self._workflow.channels
                yield Diagnostic(
                    code="unknown-channel",
                    message=f"there is no channel `{channel}` in the workflow `{self._workflow.workflow}`",
                    location=self._document.locate(*self._way(port)),
                    hint=did_you_mean(channel, known) or f"add it: `channels: {{{channel}: {{transport: worker}}}}`",
                )
            elif channel in ports_by_channel:
                yield self._bound_twice(channel, ports_by_channel[channel], port)
            else:
                ports_by_channel[channel] = port
                self.bound[port] = channel

    def _unknown_port(self, port: str) -> Diagnostic:
        use = self._workflow.steps[self._step].use
        gives = "reads no events" if self._side == "in" else "gives no events"
        return Diagnostic(
            code="unknown-port",
            message=f"`{use}` has no port `{port}` on its `{self._side}` side" if self._ports else f"`{use}` {gives}",
            location=self._document.locate_key(*self._way(port)),
            hint=did_you_mean(port, self._ports) or f"remove `{self._side}:`",
        )

    def _bound_twice(self, channel: str, first: str, second: str) -> Diagnostic:
        return Diagnostic(
            code="channel-bound-twice",
            message=f"the step `{self._step}` binds its ports `{first}` and `{second}` to one channel, `{channel}`",
            location=self._document.locate(*self._way(second)),
            related=(Related(message=f"`{first}` is bound here", location=self._document.locate(*self._way(first))),),
            hint="give each port a channel of its own",
        )

    def _open_ports(self) -> Iterator[Diagnostic]:
        given = bound_ports(self._binding)
        for port, declared in sorted(self._ports.items()):
            if port not in given and not declared.optional:
                yield Diagnostic(
                    code="open-port",
                    message=f"the port `{port}` of the step `{self._step}` is left open",
                    location=self._document.locate_key("steps", self._step),
                    hint=f"bind it: `{self._side}: CHANNEL`"
                    if port == "default"
                    else f"bind it: `{self._side}: {{{port}: CHANNEL}}`",
                )
