"""What is run on a laptop: a workflow, one step of it, or a module by itself, with its parameters known.

It goes as far as `bind`; nothing is placed, since no worker takes part.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from gitopsd.compiler.bind import bind
from gitopsd.compiler.check import check
from gitopsd.compiler.expand import expand
from gitopsd.compiler.link import Linked
from gitopsd.compiler.load import OWN
from gitopsd.compiler.local.messages import without_messages
from gitopsd.compiler.parameters import ParameterError, checked, is_required
from gitopsd.compiler.parse import Declared
from gitopsd.model.diagnostic import Diagnostic, has_errors
from gitopsd.model.memory import Forgetful
from gitopsd.model.names import did_you_mean
from gitopsd.model.source import Text
from gitopsd.model.system import System
from gitopsd.model.trees import object_id
from gitopsd.model.workflow import ON_MESSAGE, SIGNALS, Module, Parameter, Workflow, bound_ports


class NoSubject(Exception):  # noqa: N818 - an answer: there is no such thing to run
    """Nothing has that name, or it can't be run with these parameters; `hint` says what can.

    `code` is that of a diagnostic, and `at` what it is about: `workflow`, `step`, `module`, or the name of a parameter.
    """

    def __init__(self, code: str, message: str, hint: str = "", *, at: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.at = at


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What somebody wants to run. `step` is empty for all of a workflow or module."""

    workflow: str = ""
    step: str = ""
    module: str = ""

    def __str__(self) -> str:
        return f"modules/{self.module}" if self.module else ".".join(filter(None, (self.workflow, self.step)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`steps` are those of `system` that take part, in the order in which events meet them.

    `inputs` and `outputs` say how the subject's ports are called, and which channels they are: for a workflow each
    channel by its own name. `waiting`: step -> the message that it waits for.
    """

    name: Name
    linked: Linked
    system: System
    steps: tuple[str, ...]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    waiting: Mapping[str, str] = field(default_factory=dict)


def find_name(linked: Linked, text: str) -> Name:
    """A workflow, `WORKFLOW.STEP`, a step that has a name of its own, or `modules/NAME`. Raises NoSubject."""
    modules = linked.libraries[OWN].modules
    kind, _, module = text.rpartition("/")
    if kind == "modules" and module in modules:
        return Name(module=module)
    if text in linked.workflows:
        return Name(workflow=text)
    workflow, _, step = text.partition(".")
    if step and workflow in linked.workflows:
        return Name(workflow=workflow, step=step)
    users = [name for name, one in linked.workflows.items() if text.partition(".")[0] in one.value.steps]
    if len(users) == 1:
        return Name(workflow=users[0], step=text)
    if users:
        raise NoSubject("unknown-step", f"several workflows have a step `{text}`", f"say which: {_listed(users, text)}")
    known = [*linked.workflows, *_steps(linked), *(f"modules/{name}" for name in modules)]
    raise NoSubject("unknown-step", f"there is no workflow, step or module `{text}`", did_you_mean(text, known))


def _listed(workflows: list[str], step: str) -> str:
    return ", ".join(f"`{name}.{step}`" for name in sorted(workflows))


def _steps(linked: Linked) -> Iterator[str]:
    for workflow in linked.workflows.values():
        for step in workflow.value.steps:
            yield from (step, f"{workflow.value.workflow}.{step}")


def bind_subject(linked: Linked, name: Name, params: Mapping[str, Any]) -> tuple[Subject | None, list[Diagnostic]]:
    """`params` come before every other value of the workflow's or module's parameters.

    Raises NoSubject, for mistakes in `params` too.
    """
    return _module(linked, name, params) if name.module else _workflow(linked, name, params)


_WRITTEN_HERE = "(the module by itself)"
"""In the place of a path: the workflow that uses a module is in no file."""


def _workflow(linked: Linked, name: Name, params: Mapping[str, Any]) -> tuple[Subject | None, list[Diagnostic]]:
    if name.workflow not in linked.workflows:
        hint = did_you_mean(name.workflow, linked.workflows)
        raise NoSubject("unknown-workflow", f"there is no workflow `{name.workflow}`", hint, at="workflow")
    declared = linked.workflows[name.workflow]
    _check_params(f"the workflow `{name.workflow}`", params, declared.value.params)
    if params:
        given = {**linked.environment.params.get(name.workflow, {}), **params}
        values = {**linked.environment.params, name.workflow: given}
        linked = replace(linked, environment=msgspec.structs.replace(linked.environment, params=values))
    bound, diagnostics = _bound(linked, declared)
    if bound is None:
        return None, diagnostics
    system, waiting = without_messages(bound)
    if name.step:
        return replace(_step(linked, name, system), waiting=waiting), diagnostics
    channels = {channel: channel for channel in system.channels}
    return Subject(
        name=name,
        linked=linked,
        system=system,
        steps=_in_order(system),
        inputs=channels,
        outputs=channels,
        waiting=waiting,
    ), diagnostics


def _step(linked: Linked, name: Name, system: System) -> Subject:
    """A step that uses a blueprint, or one that uses a module: then all that is inside."""
    inside = [step for step in _in_order(system) if step == name.step or step.startswith(f"{name.step}.")]
    if not inside:
        known = [*linked.workflows[name.workflow].value.steps, *system.steps]
        message = f"the workflow `{name.workflow}` has no step `{name.step}`"
        raise NoSubject("unknown-step", message, did_you_mean(name.step, known), at="step")
    if inside == [name.step]:
        step = system.steps[name.step]
        ports = (_by_label(step.inputs), _by_label(step.outputs))
    else:
        declared = linked.workflows[name.workflow].value.steps.get(name.step)
        if declared is None:
            raise NoSubject(
                "unknown-step",
                f"`{name.step}` is a module inside a module, which can't be run by itself here",
                f"run one of its steps, such as `{name.workflow}.{inside[0]}`, or the module",
                at="step",
            )
        ports = (bound_ports(declared.in_), bound_ports(declared.out))
    return Subject(name=name, linked=linked, system=system, steps=tuple(inside), inputs=ports[0], outputs=ports[1])


def _by_label(ports: Mapping[str, str]) -> dict[str, str]:
    """A message by its own name: the port where it is has none that people know."""
    return {channel if port in {ON_MESSAGE, SIGNALS} else port: channel for port, channel in ports.items()}


def _module(linked: Linked, name: Name, params: Mapping[str, Any]) -> tuple[Subject | None, list[Diagnostic]]:
    """The module as the only step of a workflow that is written here, each of its ports a channel of that name."""
    modules = linked.libraries[OWN].modules
    if name.module not in modules:
        hint = did_you_mean(name.module, modules)
        raise NoSubject("unknown-module", f"there is no module `{name.module}`", hint, at="module")
    module = modules[name.module].value
    owner = f"the module `{name.module}`"
    _check_params(owner, params, module.params)
    for parameter, one in module.params.items():
        if is_required(one) and parameter not in params:
            message = f"{owner} needs a value for `{parameter}`"
            raise NoSubject("missing-parameter", message, one.description, at="module")
    declared = Declared(_WRITTEN_HERE, _text(_user_of(module, params, linked.groups)), Workflow, Forgetful())
    linked = replace(
        linked,
        workflows={**linked.workflows, declared.value.workflow: declared},
        documents={**linked.documents, _WRITTEN_HERE: declared},
    )
    bound, diagnostics = _bound(linked, declared)
    if bound is None:
        return None, diagnostics
    system, waiting = without_messages(bound)
    return Subject(
        name=name,
        linked=linked,
        system=system,
        steps=_in_order(system),
        inputs=_channels("in", module.in_),
        outputs=_channels("out", module.out),
        waiting=waiting,
    ), diagnostics


def _user_of(module: Module, params: Mapping[str, Any], groups: tuple[str, ...]) -> dict[str, Any]:
    inputs, outputs = _channels("in", module.in_), _channels("out", module.out)
    step = {
        "use": f"modules/{module.module}",
        "with": dict(params),
        **({"in": inputs} if inputs else {}),
        **({"out": outputs} if outputs else {}),
        "place": {"group": groups[0] if groups else "local"},
    }
    return {
        "workflow": module.module,
        "steps": {module.module: step},
        "channels": {channel: {"transport": "worker"} for channel in (*inputs.values(), *outputs.values())},
    }


def _channels(side: str, ports: Mapping[str, str]) -> dict[str, str]:
    """Port -> the channel that stands for it: numbered, since a port's name may be as long as a channel's can be."""
    return {port: f"{side}-{number}" for number, port in enumerate(ports)}


def _text(value: Mapping[str, Any]) -> Text:
    data = msgspec.json.encode(value)  # JSON is YAML
    return Text(blob=object_id("blob", data), data=data)


def _check_params(owner: str, params: Mapping[str, Any], declared: Mapping[str, Parameter]) -> None:
    for name, value in params.items():
        if name not in declared:
            hint = did_you_mean(name, declared) or "remove it: there are none"
            raise NoSubject("unknown-parameter", f"{owner} has no parameter `{name[:80]}`", hint, at=name)
        try:
            checked(declared[name], value)
        except ParameterError as error:
            raise NoSubject("wrong-type", f"the parameter `{name}` of {owner} {error}", at=name) from error


def _bound(linked: Linked, declared: Declared[Workflow]) -> tuple[System | None, list[Diagnostic]]:
    expanded, diagnostics = expand(linked, declared)
    if has_errors(tuple(diagnostics)):
        return None, diagnostics
    system, more = bind(linked, expanded)
    diagnostics = [*diagnostics, *more]
    if not has_errors(tuple(diagnostics)):
        diagnostics += [one for one in check(linked, system) if one.code not in _OF_A_WHOLE_WORKFLOW]
    return (None if has_errors(tuple(diagnostics)) else system), diagnostics


_OF_A_WHOLE_WORKFLOW = frozenset({"channel-without-producer", "channel-without-consumer", "unknown-group"})
"""What a module by itself lacks; a workflow that was compiled before lacks none of it."""


def _in_order(system: System) -> tuple[str, ...]:
    """The steps, producers before consumers; those that could stand in any order by name."""
    waiting = {
        name: {end.step for channel in step.inputs.values() for end in system.channels[channel].producers}
        for name, step in sorted(system.steps.items())
    }
    ordered: list[str] = []
    while waiting:
        ready = [name for name, needs in waiting.items() if not needs & waiting.keys()]
        if not ready:
            raise ValueError("a system that was checked has no circle")
        ordered += ready
        for name in ready:
            del waiting[name]
    return tuple(ordered)
