"""The actions and routes of a transform, read as its job will: a mistake shows in the plan, not on the worker.

What the runner looks for outside, such as a time zone, isn't looked for here: a plan follows from the source alone.
"""

from typing import Any

from gitopsd.compiler.render.job_error import JobError
from gitopsd.model.names import did_you_mean

_ABOUT_EXPRESSIONS = "expressions are JMESPath, where numbers stand in backticks and text in single quotes"
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
            way = (index, *action) if isinstance(action, dict) and len(action) == 1 else (index,)
            raise _bad(error, "actions", way, _unknown(action)) from error
    for port, condition in route.items() if isinstance(route, dict) else ():
        try:
            compile_routes(Settings({port: condition}, "route"))
        except RunnerError as error:
            raise _bad(error, "route", (port,)) from error


def _bad(error: Exception, parameter: str, way: tuple[str | int, ...], hint: str = "") -> JobError:
    text = " ".join(str(error).partition(", for expression:")[0].split())
    what, _, advice = text.rpartition("; ") if "; " in text else (text, "", "")
    hint = hint or (_ABOUT_EXPRESSIONS if advice in _SAYS_NOTHING else advice)
    return JobError("bad-action", what, hint=hint, parameter=parameter, way=way)


def _unknown(action: Any) -> str:
    """What to write instead of something that isn't an action at all."""
    from gitopsd.runner.roles.transform.actions import ACTIONS  # noqa: PLC0415

    if not isinstance(action, dict) or len(action) != 1:
        return "an action is a mapping with one key, such as `{filter: EXPRESSION}`"
    (name,) = action
    return "" if name in ACTIONS else did_you_mean(str(name), ACTIONS)
