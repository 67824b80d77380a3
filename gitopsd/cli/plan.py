import sys
import tempfile
from pathlib import Path

import click
import msgspec

from gitopsd.cli import exit_codes
from gitopsd.cli.failure import show_diagnostics
from gitopsd.cli.plan_markdown import format_markdown
from gitopsd.cli.plan_text import format_plan
from gitopsd.cli.session import Session
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning import plan_version


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
    encoded = msgspec.json.format(msgspec.json.encode(planned.plan), indent=2) + b"\n"
    if out is not None:
        _write_aside(out, encoded)
    if as_json or style == "json":
        sys.stdout.buffer.write(encoded)
    elif style == "markdown":
        click.echo(format_markdown(planned.plan), nl=False)
    else:
        if planned.diagnostics:
            show_diagnostics(planned.diagnostics, {path: file.data for path, file in source.files.items()})
        click.echo(format_plan(planned.plan))
        if source.commit is None:
            click.echo("This is the work tree, with edits that are not committed: commit them to apply this plan.")
        elif not planned.plan.is_empty:
            click.echo("`gitopsd apply` makes it so.")
    return exit_codes.CHANGES if detailed_exitcode and not planned.plan.is_empty else 0


def _write_aside(path: Path, content: bytes) -> None:
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)  # a device or a pipe is written to, not replaced
            return
        path = path.resolve()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as aside:
            aside.write(content)
        Path(aside.name).replace(path)
    except OSError as error:
        raise ControllerError(f"{path}: {error.strerror}", "name a file in a folder that can be written to") from None
