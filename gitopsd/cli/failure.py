"""Failures as people read them: what happened, and the way out. No traceback unless it was asked for."""

import sys
from collections.abc import Mapping
from dataclasses import asdict

import click

from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.fleet.errors import WorkerError
from gitopsd.forge.errors import ForgeError
from gitopsd.model.diagnostic import Diagnostic, Severity
from gitopsd.model.excerpt import format_diagnostics, printable
from gitopsd.repo.errors import RepositoryError


def show_failure(error: Exception, *, debug: bool, as_json: bool = False) -> None:
    """Why a whole command failed, on stderr; `as_json` says it on stdout as well, for the program that reads there."""
    if debug:
        import traceback  # noqa: PLC0415 - 2 ms that commands without a failure don't need

        traceback.print_exception(error)
    if isinstance(error, DiagnosticsError):
        show_diagnostics(error.diagnostics, error.sources)
        failure = {"message": str(error), "hint": "", "diagnostics": [asdict(one) for one in error.diagnostics]}
    else:
        message, hint = told(error)
        _say(message, hint)
        failure = {"message": message, "hint": hint}
    if as_json:
        print_json({"error": failure})


def told(error: Exception) -> tuple[str, str]:
    """What happened, and the way out."""
    match error:
        case RepositoryError() | ControllerError() | ForgeError():
            return error.message, error.hint
        case WorkerError():
            return error.message, ""
        case OSError():
            name = f"{error.filename}: " if error.filename else ""
            return f"{name}{error.strerror or error}", ""
        case _:
            return (
                f"unexpected {type(error).__name__}: {error}",
                "this is a defect of gitopsd: run it again with --debug, and report what it prints",
            )


def show_diagnostics(diagnostics: tuple[Diagnostic, ...], sources: Mapping[str, bytes]) -> None:
    """All of them on stderr, with a count at the end."""
    click.echo(format_diagnostics(diagnostics, sources), err=True)
    errors = sum(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)
    if errors:
        click.echo(f"\n{errors} error{'s' if errors > 1 else ''}", err=True)


def _say(message: str, hint: str) -> None:
    first, *more = [printable(line) for line in message.split("\n")]
    click.secho("error: ", fg="red", nl=False, err=True)
    click.echo("\n".join([first, *more]), err=True)
    if hint:
        click.echo(f"  hint: {printable(hint)}", err=True)


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    from gitopsd.cli.json_text import json_text  # noqa: PLC0415 - only with --json

    sys.stdout.write(json_text(value))
