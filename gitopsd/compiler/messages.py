"""Messages: channels whose events start the steps that wait for them, rather than flow through.

They share the names of the channels around them, so that a port can be bound to either.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import UnsetType

from gitopsd.compiler.ports import PortOwner
from gitopsd.compiler.yaml.reader import Document
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.names import did_you_mean
from gitopsd.model.workflow import ON_MESSAGE, SIGNALS, InnerStep, Module, Step, Workflow


def double_names(declared: Workflow | Module, document: Callable[[], Document]) -> Iterator[Diagnostic]:
    for name in sorted(declared.messages.keys() & declared.channels.keys()):
        yield Diagnostic(
            code="name-clash",
            message=f"`{name}` is a channel and a message",
            location=document().locate_key("messages", name),
            related=(Related(message="the channel is here", location=document().locate_key("channels", name)),),
            hint="rename one of them",
        )


class MessageBinder:
    """The `on` and the `signals` of one step. `waits` and `gives` are port -> message, without those in `mistakes`.

    `outputs` are its other ports: port -> channel.
    """

    def __init__(
        self,
        owner: PortOwner,
        messages: Mapping[str, Any],
        key: str,
        step: Step | InnerStep,
        *,
        outputs: Mapping[str, str],
        is_module: bool,
    ) -> None:
        self._owner = owner
        self._messages = messages
        self._key = key
        self.waits: dict[str, str] = {}
        self.gives: dict[str, str] = {}
        self.mistakes: list[Diagnostic] = []
        if not isinstance(step.on, UnsetType):
            self._bind(self.waits, ON_MESSAGE, step.on.message, ("on", "message"), is_module=is_module)
        if not isinstance(step.signals, UnsetType):
            self._bind(self.gives, SIGNALS, step.signals, ("signals",), is_module=is_module)
            if not is_module and step.signals in outputs.values():
                self.mistakes.append(self._bound_twice(step.signals))

    def _bind(self, bound: dict[str, str], port: str, message: str, way: tuple[str, ...], *, is_module: bool) -> None:
        if is_module:
            self.mistakes.append(self._of_a_module(way[0], message))
        elif message in self._messages:
            bound[port] = message
        else:
            self.mistakes.append(self._unknown(message, way))

    def _of_a_module(self, key: str, message: str) -> Diagnostic:
        side = "in" if key == "on" else "out"
        return Diagnostic(
            code="module-interface",
            message=f"`{key}` is for a step that uses a blueprint, and `{self._key}` uses a module",
            location=self._owner.document().locate_key("steps", self._key, key),
            hint=f"let the module have a port for it, and bind that: `{side}: {{PORT: {message}}}`",
        )

    def _bound_twice(self, message: str) -> Diagnostic:
        document = self._owner.document()
        return Diagnostic(
            code="channel-bound-twice",
            message=f"the step `{self._key}` signals `{message}`, and gives it events",
            location=document.locate("steps", self._key, "signals"),
            related=(Related(message="it is bound here", location=document.locate_key("steps", self._key, "out")),),
            hint="keep one of the two",
        )

    def _unknown(self, message: str, way: tuple[str, ...]) -> Diagnostic:
        if message in self._owner.channels:
            hint = f"`{message}` is a channel: move it to `messages:`"
        else:
            add = f"add it: `messages: {{{message}: {{transport: worker}}}}`"
            hint = did_you_mean(message, self._messages) or add
        return Diagnostic(
            code="unknown-message",
            message=f"there is no message `{message}` in the {self._owner.name}",
            location=self._owner.document().locate("steps", self._key, *way),
            hint=hint,
        )
