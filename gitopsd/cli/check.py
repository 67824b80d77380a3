from typing import Literal

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.diagnostic_formats import Format, encode_diagnostics
from gitopsd.cli.failure import show_diagnostics
from gitopsd.cli.session import Session
from gitopsd.daemon.checking import check_version
from gitopsd.model.diagnostic import has_errors


@click.command()
@click.argument("revision", metavar="[REV]", required=False)
@click.option(
    "--format", "style", type=click.Choice(["text", "json", "github", "sarif"]), default="text", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_obj
def check(session: Session, revision: str | None, style: Literal["text"] | Format, *, as_json: bool) -> int:
    """Check the work tree as it is, or the version REV, without planning against what is deployed.

    Without --env every environment is checked.

    Exit code 0: clean; 1: errors.
    """
    workspace = session.workspace()
    source = workspace.source(revision)
    diagnostics, contents = check_version(workspace, source)
    chosen = "json" if as_json else style
    if chosen != "text":
        click.echo(encode_diagnostics(diagnostics, chosen), nl=False)
    elif diagnostics:
        show_diagnostics(diagnostics, contents)
    else:
        click.echo(f"no errors in {len(source.files)} files")
    return exit_codes.FAILED if has_errors(diagnostics) else 0
