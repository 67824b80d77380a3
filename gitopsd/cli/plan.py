import shlex
import sys
from pathlib import Path

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.cordon_text import pause_sentence
from gitopsd.cli.failure import show_diagnostics
from gitopsd.cli.plan_file import encode_plan
from gitopsd.cli.plan_markdown import format_markdown
from gitopsd.cli.plan_text import format_plan
from gitopsd.cli.session import Session
from gitopsd.cli.write_aside import write_aside
from gitopsd.daemon.control import control_of, expired_parts, known_pause
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning import Planned, plan_version
from gitopsd.daemon.runnable import refuse_what_cannot_run
from gitopsd.model.excerpt import printable
from gitopsd.repo.source import FileContents


@click.command()
@click.argument("revision", metavar="[REV]", required=False)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the plan to FILE, for `apply FILE`."
)
@click.option("--format", "style", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.pass_obj
def plan(
    session: Session, revision: str | None, out: Path | None, style: str, *, as_json: bool, detailed_exitcode: bool
) -> int:
    """Show what applying would change: the work tree as it is, or the version REV. Reaches no worker.

    Exit code 0: planned; 1: errors; with --detailed-exitcode 2: there are changes.
    """
    workspace = session.workspace()
    source = workspace.source(revision)
    planned = plan_version(workspace, source)
    if out is not None:
        write_aside(out, encode_plan(planned.plan))
    if as_json or style == "json":
        sys.stdout.buffer.write(encode_plan(planned.plan))
    elif style == "markdown":
        click.echo(format_markdown(planned.plan), nl=False)
    else:
        if planned.diagnostics:
            show_diagnostics(planned.diagnostics, FileContents(planned.source.files))
        click.echo(format_plan(planned.plan))
        for expired in expired_parts(control_of(workspace.repository, planned.head)):
            click.echo(f"{expired} and counts until a commit ends it: `gitopsd apply` does that first.")
        paused = known_pause(workspace.repository, planned.head)
        if paused and not paused.expired:
            click.echo(printable(f"{planned.plan.inputs.environment} is {pause_sentence(paused)}"))
        if source.commit is None:
            click.echo("This is the work tree, with edits that are not committed: commit them to apply this plan.")
        elif not planned.plan.is_empty and not planned.plan.held:
            click.echo(_next_step(session, planned, str(out or revision or "")))
    return exit_codes.CHANGES if detailed_exitcode and not planned.plan.is_empty else 0


def _next_step(session: Session, planned: Planned, what: str) -> str:
    try:
        refuse_what_cannot_run(planned.summaries)
    except ControllerError as refusal:
        return f"`gitopsd apply` would refuse it: {refusal.message}."
    environment = ["--env", session.environment] if session.environment else []
    return f"`{shlex.join(['gitopsd', *environment, 'apply', *([what] if what else [])])}` makes it so."
