"""Which channel each port of a step is bound to."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from msgspec import UnsetType

from gitopsd.compiler.declarations.mistakes import MAX_MISTAKES
from gitopsd.compiler.yaml.places import Pointer
from gitopsd.compiler.yaml.reader import Document
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.names import did_you_mean
from gitopsd.model.workflow import PortBinding, bound_ports


@dataclass(frozen=True, slots=True, kw_only=True)
class PortOwner:
    """The workflow or module that a step is in, whose channels its ports are bound to."""

    document: Callable[[], Document]
    name: str
    channels: Mapping[str, Any]


class PortBinder:
    """The `in` or the `out` of one step.

    `optional` has every port that the step's blueprint or module declares on this side, and whether it may be left
    open; with `any_name` a parameter names others, which is looked at when its value is known
    (`render/named_ports.py`). `bound` is port -> channel, without those ports that `mistakes` are about.
    """

    def __init__(
        self,
        owner: PortOwner,
        *,
        step: str,
        use: str,
        side: str,
        binding: PortBinding | UnsetType,
        optional: Mapping[str, bool],
        any_name: bool = False,
    ) -> None:
        self._owner = owner
        self._step = step
        self._use = use
        self._side = side
        self._ports = optional
        self._any_name = any_name
        self._binding = binding
        self.bound: dict[str, str] = {}
        mistakes = list(islice(self._bind(), MAX_MISTAKES + 1))
        misnamed = any(mistake.code == "unknown-port" for mistake in mistakes)
        self.mistakes = mistakes if misnamed else [*mistakes, *islice(self._open_ports(), MAX_MISTAKES + 1)]

    def _way(self, port: str) -> Pointer:
        way: Pointer = ("steps", self._step, self._side)
        return way if isinstance(self._binding, str) else (*way, port)

    def _bind(self) -> Iterator[Diagnostic]:
        ports_by_channel: dict[str, str] = {}
        for port, channel in sorted(self._given().items()):
            if port not in self._ports and not self._any_name:
                yield self._unknown_port(port)
            elif channel not in self._owner.channels:
                known = self._owner.channels
                yield Diagnostic(
                    code="unknown-channel",
                    message=f"there is no channel `{channel}` in the {self._owner.name}",
                    location=self._owner.document().locate(*self._way(port)),
                    hint=did_you_mean(channel, known) or f"add it: `channels: {{{channel}: {{transport: worker}}}}`",
                )
            elif channel in ports_by_channel:
                yield self._bound_twice(channel, ports_by_channel[channel], port)
            else:
                ports_by_channel[channel] = port
                self.bound[port] = channel

    def _given(self) -> dict[str, str]:
        """A bare channel name binds the port `default`, or the only port where that has another name."""
        if isinstance(self._binding, str) and "default" not in self._ports and len(self._ports) == 1:
            return dict.fromkeys(self._ports, self._binding)
        return bound_ports(self._binding)

    def _unknown_port(self, port: str) -> Diagnostic:
        gives = "reads no events" if self._side == "in" else "gives no events"
        return Diagnostic(
            code="unknown-port",
            message=f"`{self._use}` has no port `{port}` on its `{self._side}` side"
            if self._ports
            else f"`{self._use}` {gives}",
            location=self._owner.document().locate_key(*self._way(port)),
            hint=did_you_mean(port, self._ports) or f"remove `{self._side}:`",
        )

    def _bound_twice(self, channel: str, first: str, second: str) -> Diagnostic:
        document = self._owner.document()
        return Diagnostic(
            code="channel-bound-twice",
            message=f"the step `{self._step}` binds its ports `{first}` and `{second}` to one channel, `{channel}`",
            location=document.locate(*self._way(second)),
            related=(Related(message=f"`{first}` is bound here", location=document.locate(*self._way(first))),),
            hint="give each port a channel of its own",
        )

    def _open_ports(self) -> Iterator[Diagnostic]:
        given = self._given()
        for port, optional in sorted(self._ports.items()):
            if port not in given and not optional:
                yield Diagnostic(
                    code="open-port",
                    message=f"the port `{port}` of the step `{self._step}` is left open",
                    location=self._owner.document().locate_key("steps", self._step),
                    hint=f"bind it: `{self._side}: CHANNEL`"
                    if port == "default"
                    else f"bind it: `{self._side}: {{{port}: CHANNEL}}`",
                )
