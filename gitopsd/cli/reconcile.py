import click

from gitopsd.cli.failure import print_json
from gitopsd.cli.reconcile_text import Reporter
from gitopsd.cli.rollout_text import rollout_code
from gitopsd.cli.session import Session
from gitopsd.daemon.reconcile import find_differences_of
from gitopsd.daemon.reconcile import reconcile as put_right


@click.command()
@click.argument("names", metavar="[WORKER]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Show what differs and touch nothing.")
@click.option("--json", "as_json", is_flag=True, help="The results as JSON.")
@click.pass_obj
def reconcile(session: Session, names: tuple[str, ...], *, dry_run: bool, as_json: bool) -> int:
    """Observe workers (all of them by default), and put right what differs from what is deployed.

    Shows every difference, and of files that somebody edited the diff that is overwritten. Whether the source compiles
    doesn't matter.

    Exit code 0: in sync, or put right; 1: a worker could not be put right; 2: with --dry-run, something differs; 4:
    only unreachable workers are left; 3: a newer deployment took over; 130: Ctrl-C.
    """
    workspace = session.workspace()
    reporter = Reporter(dry_run=dry_run, as_json=as_json)
    results = []
    for result in (find_differences_of if dry_run else put_right)(workspace, names, reporter=reporter):
        results.append(result)
        reporter.result(result)
    if as_json:
        print_json(reporter.as_json(results))
    else:
        reporter.summary(results)
    return rollout_code(results, reporter.rollout)
