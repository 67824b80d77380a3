"""Which steps of a run on a laptop are run, and why the others are not."""

from collections.abc import Callable, Collection

from msgspec import UNSET

from gitopsd.compiler.local.run import Way, Wishes
from gitopsd.model.system import BoundStep

Rule = Callable[[BoundStep], str]
"""Why a step isn't run; empty where the rule doesn't apply."""


def way_of(step: BoundStep, wishes: Wishes, reached: Collection[str]) -> tuple[Way, str]:
    """The first rule that applies decides."""
    if step.name in wishes.files or step.name in wishes.contents:
        return "reads", ""
    if not step.inputs:
        given = [channel for channel in step.outputs.values() if channel in wishes.given]
        return ("given", "") if given else ("not-reached", "it reads from outside, and nothing was given in its place")
    if not any(channel in reached for channel in step.inputs.values()):
        return "not-reached", "no event that was given comes here"
    rules = _ALWAYS if step.name in wishes.asked else (_gives_outside, *_ALWAYS)
    why = next((why for rule in rules if (why := rule(step))), "")
    return ("left-out", why) if why else ("runs", "")


def _gives_outside(step: BoundStep) -> str:
    if step.outputs or role_of(step) == "transform":
        return ""
    return f"it gives its events to the outside; `--with {step.name}` runs it"


def _needs_secrets(step: BoundStep) -> str:
    return f"it needs secrets: {', '.join(step.blueprint.secrets)}" if step.blueprint.secrets else ""


def _speaks_otherwise(step: BoundStep) -> str:
    for side, bound in (("in", step.inputs), ("out", step.outputs)):
        for port in bound:
            speaks = step.blueprint.port(side, port).speaks
            if not {"worker", "stdio"} & set(speaks):
                return f"its port `{port}` speaks nothing but {', '.join(speaks)}"
    return ""


_ALWAYS: tuple[Rule, ...] = (_needs_secrets, _speaks_otherwise)
"""Whoever asks for the step or not."""


def role_of(step: BoundStep) -> str:
    runner = step.blueprint.job.runner
    return "" if runner is UNSET else str(runner)


def is_reader(step: BoundStep) -> bool:
    """Whether it is a reader of files, which can read another file instead."""
    return role_of(step) == "read-files"
