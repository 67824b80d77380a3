"""Ports that a parameter of the step names, against those that the step binds."""

from collections.abc import Mapping
from typing import Any

from gitopsd.compiler.render.job_error import JobError
from gitopsd.model.names import did_you_mean
from gitopsd.model.system import BoundStep, Origin


def check_named_ports(step: BoundStep, params: Mapping[str, Any]) -> None:
    """Each port that is named must be bound, and each that is bound named. Raises JobError for the first that isn't."""
    for side in ("in", "out"):
        _check_side(step, side, params)


def _check_side(step: BoundStep, side: str, params: Mapping[str, Any]) -> None:
    ports, bound = (
        (step.blueprint.in_, step.inputs) if side == "in" else (step.blueprint.out, step.outputs)
    )  # fmt: skip
    naming = [port.named_by for port in ports.values() if isinstance(port.named_by, str)]
    if not naming:
        return
    fixed = {name for name, port in ports.items() if not isinstance(port.named_by, str)}
    named = {str(name): parameter for parameter in naming for name in params[parameter]}
    for name, parameter in sorted(named.items()):
        if name not in bound and name not in fixed:
            message = f"`{parameter}` names the port `{name[:80]}`, and no channel is bound to it"
            hint = f"bind it: `{side}: {{{name[:80]}: CHANNEL}}`"
            raise JobError("open-port", message, hint=hint, parameter=parameter, way=(name,))
    for name in sorted(bound):
        if name not in named and name not in fixed:
            message = f"the port `{name}` is bound, and {' or '.join(f'`{one}`' for one in naming)} doesn't name it"
            place = Origin(step.origin.path, (*step.origin.pointer, side, name))
            raise JobError("unknown-port", message, hint=did_you_mean(name, {*named, *fixed}), origin=place)
