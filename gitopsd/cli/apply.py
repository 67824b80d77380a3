from dataclasses import replace
from functools import partial

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.apply_text import Reporter
from gitopsd.cli.failure import print_json
from gitopsd.cli.plan_file import read_plan
from gitopsd.cli.rollout_text import rollout_code
from gitopsd.cli.session import Session
from gitopsd.daemon.apply import apply_version
from gitopsd.daemon.controller.client import find_leader
from gitopsd.daemon.controller.through import apply_through
from gitopsd.daemon.errors import StalePlanError


@click.command()
@click.argument("what", metavar="[REV|PLANFILE]", required=False)
@click.option("--confirm-deletes", is_flag=True, help="Also a plan that is held since it deletes so much.")
@click.option("--despite-pause", is_flag=True, help="Also while the environment is paused; the pause stays.")
@click.option("--json", "as_json", is_flag=True, help="The results as JSON.")
@click.pass_obj
def apply(session: Session, what: str | None, *, confirm_deletes: bool, despite_pause: bool, as_json: bool) -> int:
    """Commit what a version renders to, and make every worker equal to it.

    Takes the head of the source branch, the version REV, or exactly the plan in PLANFILE.
    Exit code 0: converged; 1: something failed, the rollout stopped, the plan is held, or the environment is paused;
    3: the plan is stale, or a newer deployment took over; 4: only unreachable workers are left; 130: Ctrl-C.
    """
    expected = read_plan(what)
    revision = expected.inputs.source_commit if expected else what
    if expected is not None and session.environment is None:
        session = replace(session, environment=expected.inputs.environment)
    workspace = session.workspace()
    if revision is None and workspace.source().commit is None:
        click.echo("The work tree has edits that are not committed: they are not part of this.", err=True)
    reporter = Reporter()
    results = []
    leader = find_leader(workspace.identity, workspace.configuration.listen.control)
    reporter.follows = leader is not None
    applying = partial(
        apply_version if leader is None else partial(apply_through, leader=leader),
        workspace,
        lambda: workspace.source_of_commit(revision),
        named=revision is not None,
        expected=expected,
        confirm_deletes=confirm_deletes,
        despite_pause=despite_pause,
        reporter=reporter,
    )
    try:
        for result in applying():
            results.append(result)
            reporter.result(result)
    except StalePlanError as error:
        click.echo(f"error: {error.message}\n  hint: {error.hint}", err=True)
        return exit_codes.STALE_PLAN
    if as_json:
        print_json(reporter.as_json(results))
    else:
        reporter.summary(results)
    return rollout_code(results, reporter.rollout)
