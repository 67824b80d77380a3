"""Pass 4: parameters get their values, ports their channels."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from gitopsd.compiler.expressions import ExpressionError, evaluate, has_expression, names_used
from gitopsd.compiler.fleet_check import is_plain_absolute_path, relative_path
from gitopsd.compiler.link import Linked, unknown_parameter
from gitopsd.compiler.parameters import ParameterError, checked, is_required
from gitopsd.compiler.parse import Declared
from gitopsd.compiler.yaml_reader import Pointer
from gitopsd.model.blueprint import Blueprint, Port
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.names import did_you_mean
from gitopsd.model.system import BoundChannel, BoundStep, Endpoint, System
from gitopsd.model.workflow import FileStoreChannel, Step, Workflow, bound_ports, transport_of

KNOWN_AFTER_PLACEMENT = frozenset({"worker", "job"})
"""Names in expressions that have values only once a replica has its worker."""


def bind(linked: Linked) -> tuple[tuple[System, ...], list[Diagnostic]]:
    """One system for each workflow, in the order of their names."""
    diagnostics: list[Diagnostic] = []
    systems = [
        _Binding(linked, linked.workflows[name], diagnostics).system()
        for name in sorted(linked.workflows)
    ]  # fmt: skip
    return tuple(systems), diagnostics


class _Binding:
    """Binds one workflow; mistakes are collected, and stand-ins let the pass go on to find the others."""

    def __init__(self, linked: Linked, declared: Declared[Workflow], diagnostics: list[Diagnostic]) -> None:
        self._linked = linked
        self._workflow = declared.value
        self._document = declared.document
        self._diagnostics = diagnostics

    def system(self) -> System:
        params = self._workflow_params()
        steps = {
            name: self._step(name, step, params) for name, step in sorted(self._workflow.steps.items())
        }  # fmt: skip
        return System(
            workflow=self._workflow.workflow,
            path=self._document.path,
            steps=steps,
            channels=self._channels(steps, params),
        )

    def _report(self, code: str, message: str, location: Location, hint: str = "") -> None:
        self._diagnostics.append(Diagnostic(code=code, message=message, location=location, hint=hint))

    def _workflow_params(self) -> dict[str, Any]:
        """The environment's value, else the declaration's default."""
        name = self._workflow.workflow
        given = self._linked.environment.params.get(name, {})
        values: dict[str, Any] = {}
        for key, parameter in self._workflow.params.items():
            if key in given:
                document = self._linked.environments_document
                place = document.locate("environments", self._linked.name, "params", name, key)
                raw = given[key]
            elif is_required(parameter):
                self._report(
                    "missing-parameter",
                    f"the workflow `{name}` needs a value for `{key}`",
                    self._document.locate_key("params", key),
                    f"set environments.{self._linked.name}.params.{name}.{key} in gitopsd.yaml, or give it a default",
                )
                continue
            else:
                place = self._document.locate("params", key, "default")
                raw = parameter.default
            try:
                values[key] = checked(parameter, raw)
            except ParameterError as error:
                self._report("wrong-type", f"the parameter `{key}` {error}", place)
        return values

    def _step(self, name: str, step: Step, workflow_params: Mapping[str, Any]) -> BoundStep:
        blueprint = self._linked.blueprints[step.use].value
        scope = {
            "params": workflow_params,
            "environment": {"name": self._linked.name},
            "step": {"name": name, "workflow": self._workflow.workflow},
        }
        params: dict[str, Any] = {}
        deferred: dict[str, Any] = {}
        for key in step.with_:
            if key not in blueprint.params:
                place = self._document.locate_key("steps", name, "with", key)
                self._diagnostics.append(unknown_parameter(f"`{step.use}`", key, blueprint.params, place))
        for key, parameter in blueprint.params.items():
            if key in step.with_:
                self._give(step, name, key, blueprint, scope, params, deferred)
            elif is_required(parameter):
                self._report(
                    "missing-parameter",
                    f"the step `{name}` gives `{step.use}` no value for `{key}`",
                    self._document.locate_key("steps", name),
                    f"add `{key}` under `with:`" + (f": {parameter.description}" if parameter.description else ""),
                )
            else:
                params[key] = checked(parameter, parameter.default)
        return BoundStep(
            name=name,
            use=step.use,
            blueprint=blueprint,
            place=step.place,
            params=params,
            deferred=deferred,
            workflow_params=workflow_params,
            inputs=self._ports(name, "in", step.in_, blueprint.in_),
            outputs=self._ports(name, "out", step.out, blueprint.out),
        )

    def _give(
        self,
        step: Step,
        name: str,
        key: str,
        blueprint: Blueprint,
        scope: Mapping[str, Any],
        params: dict[str, Any],
        deferred: dict[str, Any],
    ) -> None:
        raw = step.with_[key]
        place = self._document.locate("steps", name, "with", key)
        try:
            if has_expression(raw) and names_used(raw) & KNOWN_AFTER_PLACEMENT:
                deferred[key] = raw
            else:
                params[key] = checked(blueprint.params[key], evaluate(raw, scope))
        except ExpressionError as error:
            self._report("bad-expression", f"`{key}`: {error}", place)
        except ParameterError as error:
            self._report("wrong-type", f"the parameter `{key}` of `{step.use}` {error}", place)

    def _ports(
        self, step: str, side: str, binding: Any, ports: Mapping[str, Port]
    ) -> dict[str, str]:  # fmt: skip
        """Port -> channel, for those ports that the blueprint has."""
        given = bound_ports(binding)
        use = self._workflow.steps[step].use
        bound: dict[str, str] = {}
        for port, channel in given.items():
            way: Pointer = ("steps", step, side) if isinstance(binding, str) else ("steps", step, side, port)
            if port not in ports:
                what = "reads no events" if side == "in" else "gives no events"
                self._report(
                    "unknown-port",
                    f"`{use}` has no port `{port}` on its `{side}` side" if ports else f"`{use}` {what}",
                    self._document.locate_key(*way),
                    did_you_mean(port, ports) or f"remove `{side}:`",
                )
            elif channel not in self._workflow.channels:
                self._report(
                    "unknown-channel",
                    f"there is no channel `{channel}` in the workflow `{self._workflow.workflow}`",
                    self._document.locate(*way),
                    did_you_mean(channel, self._workflow.channels) or f"add it: `channels: {{{channel}: {{transport: worker}}}}`",
                )
            else:
                bound[port] = channel
        for port, declared in ports.items():
            if port not in given and not declared.optional:
                self._report(
                    "open-port",
                    f"the port `{port}` of the step `{step}` is left open",
                    self._document.locate_key("steps", step),
                    f"bind it: `{side}: CHANNEL`" if port == "default" else f"bind it: `{side}: {{{port}: CHANNEL}}`",
                )
        return dict(sorted(bound.items()))

    def _channels(self, steps: Mapping[str, BoundStep], params: Mapping[str, Any]) -> dict[str, BoundChannel]:
        channels: dict[str, BoundChannel] = {}
        for name, channel in sorted(self._workflow.channels.items()):
            path, segment_bytes = "", 0
            if isinstance(channel, FileStoreChannel):
                path = self._channel_path(name, channel, params)
                segment_bytes = 0 if isinstance(channel.segment_bytes, UnsetType) else channel.segment_bytes
            channels[name] = BoundChannel(
                name=name,
                transport=transport_of(channel),
                producers=_ends(steps, name, "outputs"),
                consumers=_ends(steps, name, "inputs"),
                path=path,
                segment_bytes=segment_bytes,
            )
        return channels

    def _channel_path(self, name: str, channel: FileStoreChannel, params: Mapping[str, Any]) -> str:
        place = self._document.locate("channels", name, "path")
        try:
            path = evaluate(channel.path, {"params": params, "environment": {"name": self._linked.name}})
        except ExpressionError as error:
            self._report("bad-expression", f"`path`: {error}", place)
            return ""
        if not isinstance(path, str) or not is_plain_absolute_path(path):
            self._diagnostics.append(relative_path(f"the path of the channel `{name}`", str(path), place))
            return ""
        return path


def _ends(steps: Mapping[str, BoundStep], channel: str, side: str) -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint(step=step.name, port=port)
        for step in steps.values()
        for port, bound in getattr(step, side).items()
        if bound == channel
    )


def blueprint_default_mistakes(declared: Declared[Blueprint]) -> list[Diagnostic]:
    """Defaults of a blueprint's own parameters that don't fit their types."""
    diagnostics = []
    for key, parameter in declared.value.params.items():
        if parameter.default is UNSET:
            continue
        try:
            checked(parameter, parameter.default)
        except ParameterError as error:
            place = declared.document.locate("params", key, "default")
            diagnostics.append(
                Diagnostic(code="wrong-type", message=f"the default of `{key}` {error}", location=place)
            )
    return diagnostics
