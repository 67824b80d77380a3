"""`gitopsd hook`. What Git runs at each push comes through here, so nothing heavy is imported before it is needed."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from gitopsd.daemon.hooks.pushes import of_people, read_pushed
from gitopsd.daemon.hooks.settings import HOOKS, MODES, REJECTED, Hook, HookSettings, Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitopsd.cli.session import Session

_LONGEST_SECONDS = 3600


def _length(option: str, value: str) -> float:
    from gitopsd.model.amounts import seconds  # noqa: PLC0415 - not for what controllers push

    try:
        length = seconds(value)
    except ValueError:
        raise click.UsageError(f"{option} takes a duration such as 30s or 2m, not {value!r}") from None
    if not 1 <= length <= _LONGEST_SECONDS:
        raise click.UsageError(f"{option} takes a duration from 1s to 1h, not {value!r}")
    return length


def _with_settings(command: "Callable[..., Any]") -> "Callable[..., Any]":
    options = (
        click.option("--mode", type=click.Choice(MODES), default="enforce", show_default=True,
                     help="Whether a version that can't be deployed is rejected, or only told."),
        click.option("--deadline", metavar="DURATION", default="60s", show_default=True,
                     help="How long a deployment is followed; it goes on after that."),
        click.option("--plan-deadline", metavar="DURATION", default="20s", show_default=True,
                     help="How long a push is judged before it is let through."),
        click.option("--env", "environments", multiple=True, metavar="NAME",
                     help="Only this environment; may be given again. By default all of them."),
        click.option("--strict", is_flag=True, help="Reject what can't be judged, instead of letting it through."),
        click.option("--allow-rewrite", is_flag=True, help="Let history of the source branch be rewritten."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def hook() -> None:
    """Check versions when they are pushed, and show their deployment to whoever pushes."""


@hook.command()
@click.argument("repo", metavar="REPO")
@_with_settings
@click.pass_obj
def install(session: "Session", /, repo: str, **settings: Any) -> None:
    """Put hooks into the repository REPO of this machine, which people push to.

    They judge each version that is pushed to the source branch, reject one that can't be deployed, and show the plan of
    one that can, then what the controller does. Other branches get their plan.
    """
    from gitopsd.cli.hook_install_text import show_changes, show_settings  # noqa: PLC0415 - not at each push
    from gitopsd.daemon.configuration.configuration import read_configuration  # noqa: PLC0415
    from gitopsd.daemon.hooks.installation import doubts, install_hooks  # noqa: PLC0415

    chosen = _settings(session, **settings)
    configuration = read_configuration(chosen.configuration)
    show_changes(install_hooks(repo, chosen))
    show_settings(chosen, doubts(repo, configuration))


@hook.command()
@click.argument("repo", metavar="REPO")
def remove(repo: str) -> None:
    """Take the hooks out of the repository REPO again. Those of somebody else stay."""
    from gitopsd.cli.hook_install_text import show_changes  # noqa: PLC0415 - not at each push
    from gitopsd.daemon.hooks.installation import remove_hooks  # noqa: PLC0415

    show_changes(remove_hooks(repo))


@hook.command(hidden=True)
@click.argument("name", metavar="HOOK", type=click.Choice(HOOKS))
@_with_settings
@click.pass_obj
def run(session: "Session", /, name: str, **settings: Any) -> int:
    """What the installed scripts call, in the repository's folder, with Git's lines on stdin."""
    pushed = read_pushed(sys.stdin.buffer.read())
    if not of_people(pushed):
        return 0
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr] # it is the real one
    chosen = _settings(session, **settings)
    git_dir = Path(os.environ.get("GIT_DIR", "")).absolute()  # Git runs these hooks there, and others may call us
    if cast("Hook", name) == "post-receive":
        from gitopsd.cli.hook_post_receive import follow_push  # noqa: PLC0415 - not for what controllers push

        follow_push(chosen, git_dir, pushed)
        return 0
    from gitopsd.cli.hook_pre_receive import PreReceive  # noqa: PLC0415 - not for what controllers push

    return 0 if PreReceive(chosen, git_dir, pushed).let_through() else REJECTED


def _settings(
    session: "Session",
    *,
    mode: str,
    deadline: str,
    plan_deadline: str,
    environments: tuple[str, ...],
    strict: bool,
    allow_rewrite: bool,
) -> HookSettings:
    return HookSettings(
        mode=cast("Mode", mode),
        deadline=_length("--deadline", deadline),
        plan_deadline=_length("--plan-deadline", plan_deadline),
        environments=environments or ((session.environment,) if session.environment else ()),
        strict=strict,
        allow_rewrite=allow_rewrite,
        configuration=session.config.absolute() if session.config else None,
    )
