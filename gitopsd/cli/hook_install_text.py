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
    environments = ", ".join(settings.environments) or "every environment"
    click.echo(f"Each push to the source branch is judged for {environments}.")
    rewrites = "" if settings.allow_rewrite else ", and what rewrites history"
    rejected = f"what doesn't compile, what policy refuses{rewrites}" if settings.enforces else "nothing"
    click.echo(f"Rejected is {rejected}.")
    unjudged = "rejected" if settings.enforces and settings.strict else "let through"
    click.echo(f"What can't be judged within {settings.plan_deadline:g} s is {unjudged}.")
    click.echo(f"Its deployment is shown for at most {settings.deadline:g} s, where a controller runs here.")
    for doubt in doubts:
        click.echo(f"warning: {printable(doubt)}", err=True)
