"""The actions and routes of a transform, read as its job will: a mistake shows in the plan, not on the worker.

What the runner looks for outside, such as a time zone, isn't looked for here: a plan follows from the source alone.
"""

import re
from typing import Any

from gitopsd.compiler.render.job_error import JobError
from gitopsd.model.names import did_you_mean

_ABOUT_EXPRESSIONS = "expressions are JMESPath, where numbers stand in backticks and text in single quotes"
_NO_KEY = re.compile(r" has no (\S+), only (.+)$")
_NO_FUNCTION = re.compile(r" calls (\w+)\(\), which JMESPath")
_SAYS_NOTHING = ("", "correct it", "correct it in the workflow")


def check_actions(actions: Any, route: Any) -> None:
    """Raises JobError, which names the action or the route."""
    from gitopsd.runner.errors import JobError as RunnerError  # noqa: PLC0415 - only where there is a transform
    from gitopsd.runner.roles.transform.actions import check_order, compile_action  # noqa: PLC0415
    from gitopsd.runner.roles.transform.routes import compile_routes  # noqa: PLC0415
    from gitopsd.runner.settings import Settings  # noqa: PLC0415

    settings = []
    for index, action in enumerate(actions if isinstance(actions, list) else [actions]):
        try:
            settings.append(Settings(action, f"actions[{index}]"))
            compile_action(settings[-1])
            check_order(settings)
        except RunnerError as error:
            raise _bad(error, "actions", _way(index, action, str(error)), _unknown(action)) from error
    for port, condition in route.items() if isinstance(route, dict) else ():
        try:
            compile_routes(Settings({port: condition}, "route"))
        except RunnerError as error:
            raise _bad(error, "route", (port,)) from error


def _bad(error: Exception, parameter: str, way: tuple[str | int, ...], hint: str = "") -> JobError:
    text = " ".join(str(error).partition(", for expression:")[0].split())
    what, _, advice = text.rpartition("; ") if "; " in text else (text, "", "")
    hint = hint or (_advice(what) if advice in _SAYS_NOTHING else advice)
    return JobError("bad-action", what, hint=hint, parameter=parameter, way=way)


def _advice(what: str) -> str:
    """What to do about a mistake whose message doesn't say it."""
    from jmespath.functions import Functions  # noqa: PLC0415 - only where there is a mistake

    key, function = _NO_KEY.search(what), _NO_FUNCTION.search(what)
    if key is not None:
        return did_you_mean(key[1], key[2].split(", "))
    if function is not None:
        return did_you_mean(function[1], Functions.FUNCTION_TABLE)
    return _ABOUT_EXPRESSIONS if "JMESPath" in what else ""


def _way(index: int, action: Any, message: str) -> tuple[str | int, ...]:
    """To what the message is about, which begins with where that is: `actions[0].parse.pattern`."""
    if not isinstance(action, dict) or len(action) != 1:
        return (index,)
    (name,) = action
    inside, way = action[name], [index, name]
    unknown = _NO_KEY.search(message.partition("; ")[0])
    for key in [*message.partition(" ")[0].split(".")[2:], *([unknown[1]] if unknown else [])]:
        if not isinstance(inside, dict) or key not in inside:
            break
        inside = inside[key]
        way.append(key)
    return tuple(way)


def _unknown(action: Any) -> str:
    """What to write instead of something that isn't an action at all."""
    from gitopsd.runner.roles.transform.actions import ACTIONS  # noqa: PLC0415

    if not isinstance(action, dict) or len(action) != 1:
        return "an action is a mapping with one key, such as `{filter: EXPRESSION}`"
    (name,) = action
    return "" if name in ACTIONS else did_you_mean(str(name), ACTIONS)
