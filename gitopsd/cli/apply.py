from dataclasses import replace
from pathlib import Path

import click
import msgspec

from gitopsd.cli import exit_codes
from gitopsd.cli.apply_text import Reporter
from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.daemon.apply import apply_version
from gitopsd.daemon.errors import StalePlanError
from gitopsd.model.plan import Plan


@click.command()
@click.argument("what", metavar="[REV|PLANFILE]", required=False)
@click.option("--json", "as_json", is_flag=True, help="The results as JSON.")
@click.pass_obj
def apply(session: Session, what: str | None, *, as_json: bool) -> int:
    """Commit what a version renders to, and make every worker equal to it.

    Takes the head of the source branch, the version REV, or exactly the plan in PLANFILE.
    Exit code 0: converged; 1: something failed; 3: the plan is stale; 4: only unreachable workers are left.
    """
    expected = _read_plan(what)
    revision = (expected.inputs.source_commit if expected else what) or None
    if expected is not None and session.environment is None:
        session = replace(session, environment=expected.inputs.environment)
    if expected is not None and revision is None:
        raise click.UsageError(f"{what} is the plan of a work tree with uncommitted edits: commit them and plan again")
    workspace = session.workspace()
    reporter = Reporter()
    results = []
    try:
        for result in apply_version(
            workspace,
            lambda: workspace.source_of_commit(revision),
            named=revision is not None,
            expected=expected,
            reporter=reporter,
        ):
            results.append(result)
            reporter.result(result)
    except StalePlanError as error:
        click.echo(f"error: {error.message}\n  hint: {error.hint}", err=True)
        return exit_codes.STALE_PLAN
    if as_json:
        print_json(reporter.as_json(results))
    else:
        reporter.summary(results)
    states = {result.state for result in results}
    return exit_codes.FAILED if "failed" in states else exit_codes.UNREACHABLE if "unreachable" in states else 0


def _read_plan(what: str | None) -> Plan | None:
    """The plan in a file of that name; None where `what` is a revision."""
    if what is None or not Path(what).is_file():
        return None

    try:
        return msgspec.json.decode(Path(what).read_bytes(), type=Plan)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"{what} is not a plan: {error}; `gitopsd plan REV --out FILE` writes one") from None
