import shlex
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from gitopsd.cli import exit_codes
from gitopsd.cli.failure import print_json, show_diagnostics
from gitopsd.cli.plan_file import encode_plan
from gitopsd.cli.plan_text import format_plan
from gitopsd.cli.session import Session
from gitopsd.cli.write_aside import write_aside
from gitopsd.daemon.artifacts.control import control_of, expired_parts
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.holds.holds import Hold, hold_lines, holds_of
from gitopsd.daemon.holds.signed_versions import refuse_unsigned
from gitopsd.daemon.holds.upgrade import plan_deployment
from gitopsd.daemon.holds.version_hold import head_of_source
from gitopsd.daemon.planning.event_changes import event_changes
from gitopsd.daemon.planning.plan import Planned
from gitopsd.daemon.planning.runnable import refuse_what_cannot_run
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.excerpt import printable
from gitopsd.planner.events.differences import EventChanges
from gitopsd.planner.events.text import event_lines
from gitopsd.repo.source import FileContents, SourceTree

_NOT_ASKED = "Workers were not asked: `gitopsd status` shows whether they run it."


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
    planned = plan_deployment(workspace, source)
    changes = not planned.plan.is_empty or planned.upgrade is not None
    if out is not None:
        write_aside(out, encode_plan(planned.plan))
    holds = holds_of(workspace, planned.head, datetime.now(UTC), planned)
    events = event_changes(workspace, planned, workspace.tests(revision, source))
    refusal = _refusal(workspace, source, planned) if source.commit else ""
    if refusal and (as_json or style != "text"):
        click.echo(refusal, err=True)
    if as_json or style == "json":
        beside = {"holds": msgspec.to_builtins(holds), "events": msgspec.to_builtins(events)}
        print_json({**msgspec.to_builtins(planned.plan), **beside})
    elif style == "markdown":
        click.echo(_markdown(planned, holds, events), nl=False)
    else:
        if planned.diagnostics:
            show_diagnostics(planned.diagnostics, FileContents(planned.source.files))
        click.echo(format_plan(planned.plan))
        for line in event_lines(events):
            click.echo(printable(line))
        for expired in expired_parts(control_of(workspace.repository, planned.head)):
            click.echo(f"{expired} and counts until a commit ends it: `gitopsd apply` does that first.")
        for line in hold_lines(holds):
            click.echo(printable(line))
        if source.commit is None:
            click.echo("This is the work tree, with edits that are not committed: commit them to apply this plan.")
        elif refusal:
            click.echo(refusal)
        elif not (changes and holds):
            stays = _stays(workspace, source.commit)
            click.echo(_next_step(session, str(out or revision or ""), stays=stays) if changes else _NOT_ASKED)
    return exit_codes.CHANGES if detailed_exitcode and changes else 0


def _stays(workspace: Workspace, commit: str) -> bool:
    """Whether nothing would undo it, as the source branch's head would."""
    return head_of_source(workspace) in {None, commit}


def _markdown(planned: Planned, holds: Collection[Hold], events: EventChanges) -> str:
    """The comment of a pull request, of this version by itself."""
    from gitopsd.daemon.planning.plan_comment import comment_of  # noqa: PLC0415 - only for those who ask for it
    from gitopsd.planner.comment.comment import comment_text  # noqa: PLC0415
    from gitopsd.planner.comment.content import Versions  # noqa: PLC0415

    versions = Versions(head=planned.plan.inputs.source_commit)
    return comment_text(comment_of(planned, versions=versions, holds=hold_lines(holds), events=events))


def _refusal(workspace: Workspace, source: SourceTree, planned: Planned) -> str:
    """Why the version wouldn't be applied; empty where it would."""
    try:
        refuse_unsigned(workspace, source)
        refuse_what_cannot_run(planned.summaries)
    except ControllerError as refusal:
        return f"`gitopsd apply` would refuse it: {refusal.message}."
    return ""


def _next_step(session: Session, what: str, *, stays: bool) -> str:
    environment = ["--env", session.environment] if session.environment else []
    command = shlex.join(["gitopsd", *environment, "apply", *([what] if what else [])])
    return f"`{command}{'' if stays else ' --hold REASON'}` makes it so."
