from contextlib import closing

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.session import Session
from gitopsd.daemon.jobs.logs import LogLine, find_logged_jobs, follow_logs, read_logs
from gitopsd.model.excerpt import printable

_DEFAULT_LINES = 100
_MOST_LINES = 10_000


@click.command()
@click.argument("name", metavar="JOB|STEP")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is printed from now on, until Ctrl-C.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(1, _MOST_LINES),
    default=_DEFAULT_LINES,
    show_default=True,
    help="At most so many of the last lines of each job.",
)
@click.pass_obj
def logs(session: Session, name: str, *, follow: bool, lines: int) -> int:
    """Show what a job printed, or all replicas of a step, each line with its job in front.

    Exit code 0; 1: of a job there is no log, or it broke off; 130: after Ctrl-C.
    """
    workspace = session.workspace()
    logged = find_logged_jobs(workspace, name)
    several = len(logged.names) > 1
    failed = False
    # closed here and now, also by Ctrl-C: with it go the connections, and what runs at their other ends
    with closing((follow_logs if follow else read_logs)(workspace, logged, lines)) as found:
        for one in found:
            if isinstance(one, LogLine):
                text = one.text.expandtabs()
                click.echo(printable(f"{one.job}: {text}" if several else text))
            else:
                failed = True
                click.echo(printable(f"{', '.join(one.jobs)}: {one.error}"), err=True)
    return exit_codes.FAILED if failed else exit_codes.OK
