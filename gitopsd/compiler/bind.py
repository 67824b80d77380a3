"""Pass 5: parameters get their values, and each workflow becomes a system of steps and channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitopsd.compiler.channels import ChannelBinder
from gitopsd.compiler.expand import Expanded, ExpandedChannel, ExpandedStep, Frame
from gitopsd.compiler.expressions.diagnostics import expression_diagnostic
from gitopsd.compiler.expressions.texts import ExpressionError, evaluate, has_expression, names_used
from gitopsd.compiler.expressions.values import Spending, TooMuchEvaluated, size_of
from gitopsd.compiler.from_file import FROM, expression_mistake, file_named, read_text
from gitopsd.compiler.link import Linked, unknown_parameter
from gitopsd.compiler.parameters import ParameterError, checked, is_required
from gitopsd.compiler.placement.constraints import parse_constraint
from gitopsd.compiler.transports.message_store import message_store
from gitopsd.compiler.yaml.places import Pointer
from gitopsd.compiler.yaml.reader import Document
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.system import BoundChannel, BoundStep, Deferred, Endpoint, Origin, Scope, System
from gitopsd.model.workflow import Parameter, transport_of

KNOWN_AFTER_PLACEMENT = frozenset({"worker", "job"})
"""Names in expressions that have values only once a replica has its worker."""


def bind(linked: Linked, expanded: Expanded) -> tuple[System, list[Diagnostic]]:
    """Stops where the values of the workflow come to too much: what it gives then has no steps."""
    binding = _Binding(linked, expanded.workflow)
    steps: Mapping[str, BoundStep] = {}
    channels: Mapping[str, BoundChannel] = {}
    try:
        binding.frames(expanded)
        steps = {name: binding.step(expanded.steps[name]) for name in sorted(expanded.steps)}
        channels = binding.channels(expanded, steps)
    except TooMuchEvaluated:
        steps = {}
        binding.diagnostics.append(binding.too_much())
    system = System(workflow=expanded.workflow, path=expanded.path, steps=steps, channels=channels)
    return system, binding.diagnostics


@dataclass(frozen=True, slots=True, kw_only=True)
class _User:
    """A step that uses a blueprint or a module: its key in its frame's declaration, its name in the workflow."""

    frame: Frame
    key: str
    name: str

    @property
    def use(self) -> str:
        return self.frame.declared.value.steps[self.key].use


class _Values:
    """The parameters of one frame or step while they are being bound; `known` turns false with the first mistake."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.deferred: dict[str, Deferred] = {}
        self.known = True
        self.size = 0
        """Of all of them, each as often as the values around it ask for it."""

    @property
    def scope(self) -> Scope:
        return Scope(params=self.params, deferred=self.deferred)


class _Binding:
    """Binds one workflow; mistakes are collected, and stand-ins let the pass go on to find the others."""

    def __init__(self, linked: Linked, workflow: str) -> None:
        self._linked = linked
        self._workflow = workflow
        self.diagnostics: list[Diagnostic] = []
        self._frames: dict[str, _Values] = {}
        self._spending = Spending()
        self._sizes: dict[int, int] = {}
        """By the id of a written value, which its declaration keeps: a module's are asked for with every use."""
        self._at = (Origin(linked.workflows[workflow].path, ()), "steps")

    def too_much(self) -> Diagnostic:
        """At what was being bound when the values came to too much."""
        origin, key = self._at
        return Diagnostic(
            code="too-much-evaluated",
            message=f"the values that the workflow `{self._workflow}` gives to its steps come to too much",
            location=self._linked.locate(origin, key),
            hint="pass on smaller values, or fewer times: modules that use modules multiply them; "
            "a large text belongs in a file",
        )

    def frames(self, expanded: Expanded) -> None:
        for frame in expanded.frames:  # users come before what they use
            self._frames[frame.name] = self._module(frame) if frame.parent else self._root(frame)

    def _root(self, frame: Frame) -> _Values:
        """The environment's values, else the declarations' defaults."""
        name, environment = self._workflow, self._linked.name
        given = self._linked.environment.params.get(name, {})
        values = _Values()
        for key, parameter in frame.declared.value.params.items():
            if key not in given and is_required(parameter):
                self._report("missing-parameter", frame.declared.document,
                    f"the workflow `{name}` needs a value for `{key}`",
                    ("params", key),
                    f"set environments.{environment}.params.{name}.{key} in gitopsd.yaml, or give it a default",
                    at_key=True,
                )  # fmt: skip
                values.known = False
                continue
            try:
                values.params[key] = checked(parameter, given.get(key, parameter.default))
                values.size += self._size(values.params[key])
            except ParameterError as error:  # of a given value: defaults were checked when the workflow was linked
                values.known = False
                way = ("environments", environment, "params", name, key)
                message = f"the parameter `{key}` {error}"
                self._report("wrong-type", self._linked.environments_document, message, way)
        return values

    def _module(self, frame: Frame) -> _Values:
        if frame.parent is None:
            raise ValueError("the frame of a module has a parent")
        return self._given(_User(frame=frame.parent, key=frame.key, name=frame.name), frame.declared.value.params)

    def _given(self, user: _User, declared: Mapping[str, Parameter]) -> _Values:
        """The values that a step gives to what it uses, else the declarations' defaults."""
        frame, key, use = user.frame, user.key, user.use
        self._at = (frame.chain[0] if frame.chain else Origin(frame.declared.path, ("steps", key)), "with")
        given = frame.declared.value.steps[key].with_
        values = _Values()
        for name in given:
            if name not in declared:
                place = frame.declared.document.locate_key("steps", key, "with", name)
                self.diagnostics.append(unknown_parameter(f"`{use}`", name, declared, place))
        for name, parameter in declared.items():
            if name in given:
                self._give(user, name, parameter, values)
            elif is_required(parameter):
                values.known = False
                self._report("missing-parameter", frame.declared.document,
                    f"the step `{key}` gives `{use}` no value for `{name}`",
                    ("steps", key),
                    f"add `{name}` under `with:`" + (f": {parameter.description}" if parameter.description else ""),
                    at_key=True,
                )  # fmt: skip
            else:
                self._spend(values, self._size(parameter.default) + len(parameter.values))
                values.params[name] = checked(parameter, parameter.default)
        return values

    def _spend(self, values: _Values, size: int) -> None:
        values.size += size
        self._spending.spend(size)

    def _size(self, written: Any) -> int:
        if not isinstance(written, list | tuple | Mapping):
            return size_of(written)
        if id(written) not in self._sizes:
            self._sizes[id(written)] = size_of(written)
        return self._sizes[id(written)]

    def _give(self, user: _User, name: str, parameter: Parameter, values: _Values) -> None:
        frame, key = user.frame, user.key
        around = self._frames[frame.name]
        raw = frame.declared.value.steps[key].with_[name]
        way: tuple[str, ...] = ("steps", key, "with", name)
        self._spend(values, self._size(raw) + len(parameter.values))
        file = file_named(raw) if parameter.type == "string" else None
        if file is not None:
            way = (*way, FROM)
            library = self._linked.libraries[frame.library]
            raw, mistake = read_text(file, library.shipped, frame.declared.document.locate(*way))
            if mistake:
                values.known = False
                self.diagnostics.append(mistake)
                return
            self._spend(values, size_of(raw))
        try:
            if has_expression(raw):
                names = names_used(raw)
                if "params" in names and not around.known:
                    values.known = False
                    return  # what is wrong with them has been said
                if names & KNOWN_AFTER_PLACEMENT or ("params" in names and around.deferred):
                    self._spend(values, around.size)  # the compiled form has what it waits for with each
                    values.deferred[name] = Deferred(
                        raw=raw,
                        parameter=parameter,
                        scope=around.scope,
                        origin=Origin(frame.declared.path, way),
                        name=user.name,
                        use=user.use,
                    )
                    return
                raw = evaluate(raw, {"params": around.params, **self._fixed(user.name)}, self._spending)
                values.size += size_of(raw)
            values.params[name] = checked(parameter, raw)
        except ExpressionError as error:
            values.known = False
            self.diagnostics.append(
                expression_diagnostic(error, frame.declared.document, way, f"`{name}`: ")
                if file is None
                else expression_mistake(error, f"{frame.library}{file}", raw, name)
            )
        except ParameterError as error:
            values.known = False
            message = f"the parameter `{name}` of `{user.use}` {error}"
            self._report("wrong-type", frame.declared.document, message, way)

    def _fixed(self, step: str) -> dict[str, Any]:
        """What every expression of a step may ask for besides parameters."""
        return {
            "environment": {"name": self._linked.name},
            "step": {"name": step, "workflow": self._workflow},
        }

    def step(self, step: ExpandedStep) -> BoundStep:
        blueprint = step.blueprint.value
        values = self._given(_User(frame=step.frame, key=step.key, name=step.name), blueprint.params)
        self._check_constraints(step)
        return BoundStep(
            name=step.name,
            use=step.use,
            blueprint=blueprint,
            blueprint_path=step.blueprint.path,
            library=step.library,
            place=step.place,
            origin=step.origin,
            chain=step.frame.chain,
            scopes=tuple(self._frames[frame.name].scope for frame, _ in reversed(_placers(step)) if frame.parent),
            params=values.params,
            deferred=values.deferred,
            inputs=step.inputs,
            outputs=step.outputs,
        )

    def _check_constraints(self, step: ExpandedStep) -> None:
        for frame, key in _placers(step):
            place = frame.declared.value.steps[key].place
            for index, constraint in enumerate(place.constraints):
                if parse_constraint(constraint) is None:
                    self._report("bad-constraint", frame.declared.document,
                        f"the constraint `{constraint[:80]}` can't be read",
                        ("steps", key, "place", "constraints", index),
                        "write `label.KEY == VALUE` or `label.KEY != VALUE`",
                    )  # fmt: skip

    def channels(self, expanded: Expanded, steps: Mapping[str, BoundStep]) -> dict[str, BoundChannel]:
        producers, consumers = _ends(steps, "outputs"), _ends(steps, "inputs")
        channels: dict[str, BoundChannel] = {}
        for name, channel in sorted(expanded.channels.items()):
            around = self._frames[channel.frame.name]
            scope = {"params": around.params, "environment": {"name": self._linked.name}}
            self._at = (channel.origin, "path")
            binder = ChannelBinder(
                self._linked,
                name,
                channel,
                scope if around.known else None,
                deferred=around.deferred.keys(),
                spending=self._spending,
            )
            settings = binder.settings()
            self.diagnostics += binder.diagnostics
            channels[name] = BoundChannel(
                name=name,
                transport=transport_of(channel.channel),
                producers=tuple(producers.get(name, ())),
                consumers=tuple(consumers.get(name, ())),
                origin=channel.origin,
                path=settings.path or self._kept_at(name, channel),
                options=settings.options,
                secrets=settings.secrets,
            )
        return channels

    def _kept_at(self, name: str, channel: ExpandedChannel) -> str:
        """Messages are stored, also those that stay on their worker; empty for what isn't."""
        if not channel.is_message or transport_of(channel.channel) != "worker":
            return ""
        return message_store(self._linked.name, self._workflow, name)

    def _report(
        self, code: str, document: Document, message: str, way: Pointer, hint: str = "", *, at_key: bool = False
    ) -> None:
        location = document.locate_key(*way) if at_key else document.locate(*way)
        self.diagnostics.append(Diagnostic(code=code, message=message, location=location, hint=hint))


def _placers(step: ExpandedStep) -> list[tuple[Frame, str]]:
    """The step and the steps that use the modules around it, with the frames that they are declared in."""
    found = [(step.frame, step.key)]
    frame = step.frame
    while frame.parent:
        found.append((frame.parent, frame.key))
        frame = frame.parent
    return found


def _ends(steps: Mapping[str, BoundStep], side: str) -> dict[str, list[Endpoint]]:
    """Channel -> the ports that are attached to it on this side, in the order of their steps' names."""
    ends: dict[str, list[Endpoint]] = {}
    for step in steps.values():
        for port, channel in getattr(step, side).items():
            ends.setdefault(channel, []).append(Endpoint(step=step.name, port=port))
    return ends
