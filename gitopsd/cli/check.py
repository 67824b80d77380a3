from typing import Literal

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.diagnostic_formats import Format, encode_diagnostics
from gitopsd.cli.failure import show_diagnostics
from gitopsd.cli.session import Session
from gitopsd.compiler.compile import compile_back
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.planning import check_source
from gitopsd.model.artifacts import ArtifactState
from gitopsd.model.diagnostic import has_errors
from gitopsd.runner.bundle import runtime_files


@click.command()
@click.argument("revision", metavar="[REV]", required=False)
@click.option(
    "--format", "style", type=click.Choice(["text", "json", "github", "sarif"]), default="text", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_obj
def check(session: Session, revision: str | None, style: Literal["text"] | Format, *, as_json: bool) -> int:
    """Check the work tree as it is, or the version REV, without planning against what is deployed.

    Exit code 0: clean; 1: errors.
    """
    source = session.workspace().source(revision)
    try:
        front = check_source(source, session.environment)
        contents = {path: file.data for path, file in source.files.items()}
        diagnostics = compile_back(front, ArtifactState(), runtime_files(), {}).diagnostics
    except DiagnosticsError as error:
        diagnostics, contents = error.diagnostics, dict(error.sources)
    chosen = "json" if as_json else style
    if chosen != "text":
        click.echo(encode_diagnostics(diagnostics, chosen), nl=False)
    elif diagnostics:
        show_diagnostics(diagnostics, contents)
    else:
        click.echo(f"no errors in {len(source.files)} files")
    return exit_codes.FAILED if has_errors(diagnostics) else 0
