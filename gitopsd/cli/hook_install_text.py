"""What was done to a repository's hooks, and what they do from now on."""

from collections.abc import Iterable

import click

from gitopsd.daemon.hooks.installation import HookChange
from gitopsd.daemon.hooks.settings import HookSettings
from gitopsd.model.excerpt import printable


def show_changes(changes: Iterable[HookChange]) -> None:
    for change in changes:
        click.echo(f"{printable(str(change.path))}: {change.done}")


def show_settings(settings: HookSettings, doubts: Iterable[str]) -> None:
    """In sentences; what may keep the hooks from working goes to stderr."""
    of = f" of {', '.join(settings.environments)}" if settings.environments else ""
    if settings.enforces:
        click.echo(
            f"A push to the source branch is rejected where what it comes to{of} doesn't compile or is refused by"
        )
        click.echo(
            "policy" + (", and may rewrite history." if settings.allow_rewrite else ", or where it rewrites history.")
        )
    else:
        click.echo(f"A push to the source branch is told what it comes to{of}, and never rejected.")
    unjudged = "rejected" if settings.enforces and settings.strict else "let through"
    click.echo(f"What can't be judged within {settings.plan_deadline:g} s is {unjudged}.")
    click.echo(f"Its deployment is shown for at most {settings.deadline:g} s, where a controller runs here.")
    for doubt in doubts:
        click.echo(f"warning: {printable(doubt)}", err=True)
