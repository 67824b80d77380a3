"""Pass 4: modules inline, until only steps that use blueprints are left.

A step inside a module is named `outer.inner`, and so are the module's own channels; the channels of its interface
become those of its user. Mistakes are collected, and the pass goes on to find the others.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from gitopsd.compiler.declarations.mistakes import MAX_MISTAKES, first_mistakes
from gitopsd.compiler.link import Linked, Used
from gitopsd.compiler.load import OWN
from gitopsd.compiler.messages import MessageBinder, double_names
from gitopsd.compiler.parse import Declared
from gitopsd.compiler.ports import PortBinder, PortOwner
from gitopsd.compiler.words import counted
from gitopsd.model.blueprint import Blueprint
from gitopsd.model.diagnostic import Diagnostic, Location, Related
from gitopsd.model.system import Origin
from gitopsd.model.workflow import Channel, InnerStep, Module, Place, Step, Workflow, channels_of

MAX_STEPS = 100_000
"""Of one workflow with its modules expanded: modules that use modules multiply."""

LONGEST_JOB = 255 - len("gitopsd-.service")
"""A job's unit is a file, and a file's name is limited to 255 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A workflow, or one use of a module: where names inside a declaration are looked up.

    `name` is that of the step that uses the module, empty for the workflow; `given` are the values that it gives.
    `channels` maps a channel's name inside the declaration to its name in the expanded workflow.
    """

    name: str
    declared: Declared[Workflow] | Declared[Module]
    library: str
    channels: Mapping[str, str]
    parent: "Frame | None" = None
    key: str = ""
    origin: Origin
    chain: tuple[Origin, ...] = ()

    @property
    def given(self) -> Mapping[str, Any]:
        """The values that the step which uses the module gives to its parameters."""
        return self.parent.declared.value.steps[self.key].with_ if self.parent else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandedStep:
    """A step that uses a blueprint. `key` is its name inside its frame's declaration."""

    name: str
    key: str
    frame: Frame
    use: str
    blueprint: Declared[Blueprint]
    library: str
    place: Place
    origin: Origin
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandedChannel:
    frame: Frame
    channel: Channel
    origin: Origin

    @property
    def is_message(self) -> bool:
        return self.origin.pointer[:1] == ("messages",)


@dataclass(slots=True, kw_only=True)
class Expanded:
    """One workflow without modules; steps and channels by name."""

    workflow: str
    path: str
    frames: list[Frame] = field(default_factory=list)
    steps: dict[str, ExpandedStep] = field(default_factory=dict)
    channels: dict[str, ExpandedChannel] = field(default_factory=dict)


def expand(linked: Linked, declared: Declared[Workflow]) -> tuple[Expanded, list[Diagnostic]]:
    expansion = _Expansion(linked, declared)
    root = Frame(
        name="",
        declared=declared,
        library=OWN,
        channels={name: name for name in channels_of(declared.value)},
        origin=Origin(declared.path, ()),
    )
    expansion.frame(root, None)
    return expansion.expanded, expansion.diagnostics


class _Expansion:
    def __init__(self, linked: Linked, declared: Declared[Workflow]) -> None:
        self._linked = linked
        self.expanded = Expanded(workflow=declared.value.workflow, path=declared.path)
        self.diagnostics: list[Diagnostic] = []
        self._full = False
        self._told: dict[str, set[Diagnostic]] = {}
        """What has been told of each file: a module's mistakes come again with every use."""

    def frame(self, frame: Frame, place: Place | None) -> None:
        """Takes in the steps and channels of one frame; `place` is that of the step that uses the module."""
        self.expanded.frames.append(frame)
        declared = frame.declared.value
        self._tell(frame, double_names(declared, lambda: frame.declared.document))
        for name, channel in channels_of(declared).items():
            inner = frame.channels[name]
            if inner not in self.expanded.channels:
                origin = Origin(frame.declared.path, ("messages" if name in declared.messages else "channels", name))
                self.expanded.channels[inner] = ExpandedChannel(frame=frame, channel=channel, origin=origin)
        steps: Mapping[str, Step | InnerStep] = declared.steps
        for key in sorted(steps):
            if self._full or len(self._told.get(frame.declared.path, ())) > MAX_MISTAKES:
                return
            self._step(frame, key, steps[key], place)

    def _step(self, frame: Frame, key: str, step: Step | InnerStep, place: Place | None) -> None:
        used = self._linked.find(step.use, frame.library)
        if used is None:
            raise ValueError(f"{step.use} was linked before")
        name = f"{frame.name}.{key}" if frame.name else key
        origin = Origin(frame.declared.path, ("steps", key))
        effective = step.place if isinstance(step, Step) else self._narrowed(frame, key, step, place)
        inputs, outputs = self._ports(frame, key, step, used)
        if isinstance(used.declared.value, Module):
            self._use_module(frame, key, used, name=name, place=effective, bound=(inputs, outputs))
            return
        if not self._has_room(frame, key, name, effective):
            return
        blueprint: Declared[Any] = used.declared
        self.expanded.steps[name] = ExpandedStep(
            name=name,
            key=key,
            frame=frame,
            use=step.use,
            blueprint=blueprint,
            library=used.library,
            place=effective,
            origin=origin,
            inputs={port: frame.channels[channel] for port, channel in inputs.items()},
            outputs={port: frame.channels[channel] for port, channel in outputs.items()},
        )

    def _use_module(
        self,
        frame: Frame,
        key: str,
        used: Used,
        *,
        name: str,
        place: Place,
        bound: tuple[Mapping[str, str], Mapping[str, str]],
    ) -> None:
        declared: Declared[Any] = used.declared
        origin = Origin(frame.declared.path, ("steps", key))
        if len(name) > LONGEST_JOB and not self._has_room(frame, key, name, place):
            return
        module: Module = declared.value
        channels = {channel: f"{name}.{channel}" for channel in channels_of(module)}
        for ports, given in zip((module.in_, module.out), bound, strict=True):
            for port, channel in ports.items():
                if port in given:
                    channels[channel] = frame.channels[given[port]]
        self.frame(
            Frame(
                name=name,
                declared=declared,
                library=used.library,
                channels=channels,
                parent=frame,
                key=key,
                origin=origin,
                chain=(*frame.chain, origin),
            ),
            place,
        )

    def _ports(
        self, frame: Frame, key: str, step: Step | InnerStep, used: Used
    ) -> tuple[dict[str, str], dict[str, str]]:
        value = used.declared.value
        sides: list[dict[str, str]] = []
        kind = "module" if isinstance(frame.declared.value, Module) else "workflow"
        owner = PortOwner(
            document=lambda: frame.declared.document,
            name=f"{kind} `{_name(frame.declared.value)}`",
            channels=channels_of(frame.declared.value),
        )
        for side, binding, ports in (("in", step.in_, value.in_), ("out", step.out, value.out)):
            fixed = {port: one for port, one in ports.items() if isinstance(one, str) or one.named_by is UNSET}
            optional = {port: not isinstance(declared, str) and declared.optional for port, declared in fixed.items()}
            binder = PortBinder(
                owner,
                step=key,
                use=step.use,
                side=side,
                binding=binding,
                optional=optional,
                any_name=len(fixed) < len(ports),
            )
            self._tell(frame, binder.mistakes)
            sides.append(binder.bound)
        if step.on is not UNSET or step.signals is not UNSET:
            known = frame.declared.value.messages
            messages = MessageBinder(owner, known, key, step, outputs=sides[1], is_module=used.is_module)
            self._tell(frame, messages.mistakes)
            sides = [{**sides[0], **messages.waits}, {**sides[1], **messages.gives}]
        return sides[0], sides[1]

    def _tell(self, frame: Frame, mistakes: Iterable[Diagnostic]) -> None:
        """Notes mistakes in the frame's declaration, each once, and only so many of one file."""
        told = self._told.setdefault(frame.declared.path, set())
        new = [mistake for mistake in dict.fromkeys(mistakes) if mistake not in told]
        room = MAX_MISTAKES - len(told)
        told.update(new)
        self.diagnostics += first_mistakes(new, room) if room >= 0 else ()

    def _narrowed(self, frame: Frame, key: str, step: InnerStep, outer: Place | None) -> Place:
        """The place of the step that uses the module, with what the inner step says to have less of it."""
        if outer is None:
            raise ValueError("a module is used by a step that has a place")
        inner = step.place
        document = frame.declared.document if inner.group is not UNSET or inner.replicas is not UNSET else None
        group_differs = inner.group is not UNSET and inner.group != outer.group
        more = not isinstance(inner.replicas, UnsetType) and inner.replicas > outer.replicas
        if document and (group_differs or more):
            user = frame.chain[-1]
            had = f"the group `{outer.group}`" if group_differs else counted(outer.replicas, "replica")
            wanted = f"the group `{inner.group}`" if group_differs else f"{inner.replicas}"
            widened = Diagnostic(
                code="place-widened",
                message=f"the step `{key}` of a module asks for {wanted}, and the step that uses it has {had}",
                location=document.locate("steps", key, "place", "group" if group_differs else "replicas"),
                related=(Related(message="it is used here", location=self._linked.locate_key(user, "place")),),
                hint="a step of a module may only narrow the place of its user: leave it out, or change the user",
            )
            self._tell(frame, [widened])
            return outer
        replicas = outer.replicas if isinstance(inner.replicas, UnsetType) else inner.replicas
        constraints = tuple(dict.fromkeys((*outer.constraints, *inner.constraints)))
        return replace(outer, replicas=replicas, constraints=constraints)

    def _has_room(self, frame: Frame, key: str, name: str, place: Place) -> bool:
        outermost = frame.chain[0] if frame.chain else Origin(frame.declared.path, ("steps", key))
        if len(self.expanded.steps) >= MAX_STEPS:
            self._full = True
            self.diagnostics.append(
                Diagnostic(
                    code="too-many-steps",
                    message=f"the workflow `{self.expanded.workflow}` comes to more than {MAX_STEPS:,} steps",
                    location=self._linked.locate_key(outermost),
                    hint="modules that use modules multiply: use fewer of them, or split the workflow",
                )
            )
            return False
        longest = f"{self.expanded.workflow}.{name}.{place.replicas - 1}"
        if len(longest) > LONGEST_JOB:
            self._full = bool(frame.chain)  # modules that use modules multiply, so one such name is told
            self.diagnostics.append(name_too_long(longest, self._linked.locate_key(outermost)))
            return False
        return True


def name_too_long(job: str, location: Location) -> Diagnostic:
    return Diagnostic(
        code="name-too-long",
        message=f"the job `{job}` has a name of {len(job)} characters; the limit is {LONGEST_JOB}",
        location=location,
        hint="shorten the names of the workflow, the step, or the modules around it",
    )


def used_here(linked: Linked, chain: tuple[Origin, ...]) -> Iterator[Related]:
    """The steps that use the modules around a place, innermost first."""
    for origin in reversed(chain):
        yield Related(message="the module is used here", location=linked.locate_key(origin))


def _name(declared: Workflow | Module) -> str:
    return declared.workflow if isinstance(declared, Workflow) else declared.module
