"""Asking before something that can't be taken back."""

import sys

import click

from gitopsd.model.excerpt import printable


def confirmed(question: str, refusal: str, *, yes: bool) -> bool:
    """Whether a person says yes; `refusal` is for when nobody is there to be asked. Raises UsageError with it then."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(f"{refusal} without being asked: add --yes")
    if click.confirm(printable(question), err=True):
        return True
    click.echo("nothing was done", err=True)
    return False
