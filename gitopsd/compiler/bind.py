"""Pass 4: parameters get their values, ports their channels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import UnsetType

from gitopsd.compiler.constraints import parse_constraint
from gitopsd.compiler.expressions import ExpressionError, evaluate, has_expression, names_used
from gitopsd.compiler.link import Linked, unknown_parameter
from gitopsd.compiler.parameters import ParameterError, checked, is_required
from gitopsd.compiler.parse import Declared
from gitopsd.compiler.paths import is_plain_absolute, is_system_path, not_absolute, system_path
from gitopsd.compiler.ports import bind_ports
from gitopsd.compiler.yaml_places import Pointer
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.system import BoundChannel, BoundStep, Endpoint, System
from gitopsd.model.workflow import FileStoreChannel, Step, Workflow, transport_of

KNOWN_AFTER_PLACEMENT = frozenset({"worker", "job"})
"""Names in expressions that have values only once a replica has its worker."""


def bind(linked: Linked) -> tuple[tuple[System, ...], list[Diagnostic]]:
    """One system for each workflow, in the order of their names."""
    diagnostics: list[Diagnostic] = []
    systems = [_Binding(linked, linked.workflows[name], diagnostics).system() for name in sorted(linked.workflows)]
    return tuple(systems), diagnostics


class _Binding:
    """Binds one workflow; mistakes are collected, and stand-ins let the pass go on to find the others."""

    def __init__(self, linked: Linked, declared: Declared[Workflow], diagnostics: list[Diagnostic]) -> None:
        self._linked = linked
        self._workflow = declared.value
        self._document = declared.document
        self._diagnostics = diagnostics
        self._params_known = True

    def system(self) -> System:
        params = self._workflow_params()
        steps = {name: self._step(name, step, params) for name, step in sorted(self._workflow.steps.items())}
        return System(
            workflow=self._workflow.workflow,
            path=self._document.path,
            steps=steps,
            channels=self._channels(steps, params),
        )

    def _report(self, code: str, message: str, way: Pointer, hint: str = "", *, at_key: bool = False) -> None:
        location = self._document.locate_key(*way) if at_key else self._document.locate(*way)
        self._diagnostics.append(Diagnostic(code=code, message=message, location=location, hint=hint))

    def _workflow_params(self) -> dict[str, Any]:
        """The environment's value, else the declaration's default."""
        name, environment = self._workflow.workflow, self._linked.name
        given = self._linked.environment.params.get(name, {})
        values: dict[str, Any] = {}
        for key, parameter in self._workflow.params.items():
            if key not in given and is_required(parameter):
                self._params_known = False
                self._report(
                    "missing-parameter",
                    f"the workflow `{name}` needs a value for `{key}`",
                    ("params", key),
                    f"set environments.{environment}.params.{name}.{key} in gitopsd.yaml, or give it a default",
                    at_key=True,
                )
                continue
            try:
                values[key] = checked(parameter, given.get(key, parameter.default))
            except ParameterError as error:  # of a given value: defaults were checked when the workflow was linked
                self._params_known = False
                place = self._linked.environments_document.locate("environments", environment, "params", name, key)
                message = f"the parameter `{key}` {error}"
                self._diagnostics.append(Diagnostic(code="wrong-type", message=message, location=place))
        return values

    def _step(self, name: str, step: Step, workflow_params: Mapping[str, Any]) -> BoundStep:
        blueprint = self._linked.blueprints[step.use].value
        values = _Values(workflow=workflow_params)
        for key in step.with_:
            if key not in blueprint.params:
                place = self._document.locate_key("steps", name, "with", key)
                self._diagnostics.append(unknown_parameter(f"`{step.use}`", key, blueprint.params, place))
        for key, parameter in blueprint.params.items():
            if key in step.with_:
                self._give(name, key, values)
            elif is_required(parameter):
                self._report(
                    "missing-parameter",
                    f"the step `{name}` gives `{step.use}` no value for `{key}`",
                    ("steps", name),
                    f"add `{key}` under `with:`" + (f": {parameter.description}" if parameter.description else ""),
                    at_key=True,
                )
            else:
                values.params[key] = checked(parameter, parameter.default)
        self._check_constraints(name, step)
        inputs, outputs, mistakes = bind_ports(self._workflow, self._document, name, blueprint)
        self._diagnostics += mistakes
        return BoundStep(
            name=name,
            use=step.use,
            blueprint=blueprint,
            place=step.place,
            params=values.params,
            deferred=values.deferred,
            workflow_params=workflow_params,
            inputs=inputs,
            outputs=outputs,
        )

    def _give(self, name: str, key: str, values: "_Values") -> None:
        step = self._workflow.steps[name]
        raw = step.with_[key]
        try:
            if has_expression(raw):
                names = names_used(raw)
                if names & KNOWN_AFTER_PLACEMENT:
                    values.deferred[key] = raw
                    return
                if "params" in names and not self._params_known:
                    return  # what is wrong with them has been said
                scope = {
                    "params": values.workflow,
                    "environment": {"name": self._linked.name},
                    "step": {"name": name, "workflow": self._workflow.workflow},
                }
                raw = evaluate(raw, scope)
            values.params[key] = checked(self._linked.blueprints[step.use].value.params[key], raw)
        except ExpressionError as error:
            self._report("bad-expression", f"`{key}`: {error}", ("steps", name, "with", key))
        except ParameterError as error:
            message = f"the parameter `{key}` of `{step.use}` {error}"
            self._report("wrong-type", message, ("steps", name, "with", key))

    def _check_constraints(self, name: str, step: Step) -> None:
        for index, constraint in enumerate(step.place.constraints):
            if parse_constraint(constraint) is None:
                self._report(
                    "bad-constraint",
                    f"the constraint `{constraint[:80]}` can't be read",
                    ("steps", name, "place", "constraints", index),
                    "write `label.KEY == VALUE` or `label.KEY != VALUE`",
                )

    def _channels(self, steps: Mapping[str, BoundStep], params: Mapping[str, Any]) -> dict[str, BoundChannel]:
        producers, consumers = _ends(steps, "outputs"), _ends(steps, "inputs")
        channels: dict[str, BoundChannel] = {}
        for name, channel in sorted(self._workflow.channels.items()):
            path, segment_bytes = "", 0
            if isinstance(channel, FileStoreChannel):
                path = self._channel_path(name, channel, params)
                segment_bytes = 0 if isinstance(channel.segment_bytes, UnsetType) else channel.segment_bytes
            channels[name] = BoundChannel(
                name=name,
                transport=transport_of(channel),
                producers=tuple(producers.get(name, ())),
                consumers=tuple(consumers.get(name, ())),
                path=path,
                segment_bytes=segment_bytes,
            )
        return channels

    def _channel_path(self, name: str, channel: FileStoreChannel, params: Mapping[str, Any]) -> str:
        way = ("channels", name, "path")
        try:
            if not self._params_known and "params" in names_used(channel.path):
                return ""
            path = evaluate(channel.path, {"params": params, "environment": {"name": self._linked.name}})
        except ExpressionError as error:
            self._report("bad-expression", f"`path`: {error}", way)
            return ""
        if not isinstance(path, str) or not is_plain_absolute(path):
            what = f"the path of the channel `{name}`"
            self._diagnostics.append(not_absolute(what, str(path), self._document.locate(*way)))
        elif is_system_path(path):
            self._diagnostics.append(system_path(path, self._document.locate(*way)))
        else:
            return path
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """Parameters of one step while they are being bound; `workflow` are those of the workflow around it."""

    workflow: Mapping[str, Any]
    params: dict[str, Any] = field(default_factory=dict)
    deferred: dict[str, Any] = field(default_factory=dict)


def _ends(steps: Mapping[str, BoundStep], side: str) -> dict[str, list[Endpoint]]:
    """Channel -> the ports that are attached to it on this side, in the order of their steps' names."""
    ends: dict[str, list[Endpoint]] = {}
    for step in steps.values():
        for port, channel in getattr(step, side).items():
            ends.setdefault(channel, []).append(Endpoint(step=step.name, port=port))
    return ends
