from typing import TYPE_CHECKING

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.failure import print_json
from gitopsd.cli.reconcile_text import Reporter
from gitopsd.cli.rollout_text import rollout_code
from gitopsd.cli.session import Session
from gitopsd.daemon.controller.control_socket.client import find_leader
from gitopsd.daemon.controller.control_socket.through import reconcile_through
from gitopsd.daemon.deploying.reconcile import find_differences_of
from gitopsd.daemon.deploying.reconcile import reconcile as put_right

if TYPE_CHECKING:
    from gitopsd.daemon.convergence.result import WorkerResult


_ORDER = (
    exit_codes.INTERRUPTED,
    exit_codes.FAILED,
    exit_codes.STALE_PLAN,
    exit_codes.CHANGES,
    exit_codes.UNREACHABLE,
    exit_codes.OK,
)
"""Where several apply, the first counts."""


@click.command()
@click.argument("names", metavar="[WORKER]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Show what differs and touch nothing.")
@click.option("--now", "at_once", is_flag=True, help="Also workers that were tried in vain a short while ago.")
@click.option("--json", "as_json", is_flag=True, help="The results as JSON.")
@click.pass_obj
def reconcile(session: Session, names: tuple[str, ...], *, dry_run: bool, at_once: bool, as_json: bool) -> int:
    """Observe workers (all of them by default), and put right what differs from what is deployed.

    Shows every difference, and of files that somebody edited the diff that is overwritten. Whether the source compiles
    doesn't matter.

    A worker that can't be reached, or put right, is tried again after a while that doubles each time, up to ten
    minutes; until then it is left out, unless it is named, or is to hold another version.

    Exit code 0: in sync, or put right; 1: a worker could not be put right; 2: with --dry-run, something differs; 4:
    only unreachable workers are left; 3: a newer deployment took over; 130: Ctrl-C.
    """
    workspace = session.workspace()
    reporter = Reporter(dry_run=dry_run, as_json=as_json)
    leader = None if dry_run else find_leader(workspace.identity, workspace.configuration.listen.control)
    reporter.follows = leader is not None
    if dry_run:
        found = find_differences_of(workspace, names, reporter=reporter)
    elif leader is not None:
        found = reconcile_through(workspace, leader, names, reporter=reporter, at_once=at_once)
    else:
        found = put_right(workspace, names, reporter=reporter, at_once=at_once)
    ended: dict[str, WorkerResult] = {}  # a worker that others' jobs move to comes twice: the later one counts
    for result in found:
        ended[result.worker] = result
        reporter.result(result)
    results = list(ended.values())
    if as_json:
        print_json(reporter.as_json(results))
    else:
        reporter.summary(results)
    codes = {rollout_code(results, None), *(rollout_code(results, one) for one in reporter.rollouts)}
    codes |= reporter.left_out_codes
    return next(code for code in _ORDER if code in codes)
