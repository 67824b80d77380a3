from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.apply_text import Reporter
from gitopsd.cli.decision_options import checked_reason
from gitopsd.cli.expiry import expiry
from gitopsd.cli.failure import print_json
from gitopsd.cli.plan_file import read_plan
from gitopsd.cli.rollout_text import rollout_code
from gitopsd.cli.session import Session
from gitopsd.daemon.controller.control_socket.client import find_leader
from gitopsd.daemon.controller.control_socket.through import apply_through
from gitopsd.daemon.deploying.apply import apply_version
from gitopsd.daemon.errors import StalePlanError
from gitopsd.daemon.holds.asked import Asked, KeepAt

if TYPE_CHECKING:
    from gitopsd.daemon.convergence.result import WorkerResult


@click.command()
@click.argument("what", metavar="[REV|PLANFILE]", required=False)
@click.option("--confirm-deletes", is_flag=True, help="Also a plan that is held since it deletes so much.")
@click.option("--despite-pause", is_flag=True, help="Also while the environment is paused; the pause stays.")
@click.option("--despite-window", is_flag=True, help="Also while deployment windows hold new versions.")
@click.option("--upgrade", is_flag=True, help="Also gitopsd's own upgrade, where policy holds it.")
@click.option("--hold", metavar="REASON", help="Keep the environment at this version until `gitopsd resume`.")
@click.option("--for", "duration", metavar="DURATION", help="The hold ends after this long: 8h, 2d, 1d12h.")
@click.option("--json", "as_json", is_flag=True, help="The results as JSON.")
@click.pass_obj
def apply(
    session: Session,
    what: str | None,
    *,
    confirm_deletes: bool,
    despite_pause: bool,
    despite_window: bool,
    upgrade: bool,
    hold: str | None,
    duration: str | None,
    as_json: bool,
) -> int:
    """Commit what a version renders to, and make every worker equal to it.

    Takes the head of the source branch, the version REV, or exactly the plan in PLANFILE. A version that isn't the
    head takes --hold: until that ends, whatever deploys by itself deploys that version and not the head.
    Exit code 0: converged; 1: something failed, the rollout stopped, or something holds the plan or the environment;
    3: the plan is stale, or a newer deployment took over; 4: only unreachable workers are left; 130: Ctrl-C.
    """
    expected = read_plan(what)
    revision = expected.inputs.source_commit if expected else what
    if expected is not None and session.environment is None:
        session = replace(session, environment=expected.inputs.environment)
    workspace = session.workspace()
    if revision is None and workspace.source().commit is None:
        click.echo("The work tree has edits that are not committed: they are not part of this.", err=True)
    asked = Asked(
        confirm_deletes=confirm_deletes,
        despite_pause=despite_pause,
        despite_window=despite_window,
        upgrade=upgrade,
        keep_at=_keep_at(hold, duration),
    )
    reporter = Reporter()
    results: list[WorkerResult] = []
    leader = find_leader(workspace.identity, workspace.configuration.listen.control)
    reporter.follows = leader is not None
    applying = partial(
        apply_version if leader is None else partial(apply_through, leader=leader),
        workspace,
        lambda: workspace.source_of_commit(revision),
        named=revision is not None,
        expected=expected,
        asked=asked,
        reporter=reporter,
    )
    try:
        for result in applying():
            if reporter.begins_anew():  # gitopsd's upgrade is through, and what was asked for follows
                results.clear()
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


def _keep_at(hold: str | None, duration: str | None) -> KeepAt | None:
    if hold is None:
        if duration is not None:
            raise click.UsageError("--for says how long a --hold lasts")
        return None
    return KeepAt(reason=checked_reason(hold, "--hold"), until=expiry(duration, None, datetime.now(UTC)))
