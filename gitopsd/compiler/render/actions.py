"""The actions of a transform, read as its job will read them: a mistake shows in the plan, not on the worker."""

from typing import Any

from gitopsd.compiler.render.job_error import JobError


def check_actions(actions: Any) -> None:
    """Raises JobError, which names the action."""
    from gitopsd.runner.errors import JobError as RunnerError  # noqa: PLC0415 - only where there is a transform
    from gitopsd.runner.roles.transform.actions import compile_action  # noqa: PLC0415
    from gitopsd.runner.settings import Settings  # noqa: PLC0415

    for index, action in enumerate(actions if isinstance(actions, list) else [actions]):
        try:
            compile_action(Settings(action, f"actions[{index}]"))
        except RunnerError as error:
            what = " ".join(str(error).partition(";")[0].partition(", for expression:")[0].split())
            hint = (
                "an action is one of parse, filter, set, rename, remove; expressions are JMESPath, "
                "where numbers stand in backticks and text in single quotes"
            )
            raise JobError("bad-action", what, hint=hint, parameter="actions") from error
