import click

from gitopsd.cli import exit_codes
from gitopsd.cli.confirm import confirmed
from gitopsd.cli.session import Session
from gitopsd.daemon.workers.forgetting import forget as forget_worker
from gitopsd.daemon.workers.forgetting import forgettable
from gitopsd.model.excerpt import printable

_MOST_JOBS = 20


@click.command()
@click.argument("name", metavar="WORKER")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def forget(session: Session, name: str, *, yes: bool) -> int:
    """Drop a WORKER that left the fleet file, and that can't be reached any more, without reaching it."""
    workspace = session.workspace()
    chosen = forgettable(workspace, name)
    place = f"{chosen.worker.user}@{chosen.worker.address}" if chosen.worker.address else "this machine"
    if chosen.jobs:
        click.echo(printable(f"{name} ({place}) is not reached, so it may still run:"), err=True)
        for job in chosen.jobs[:_MOST_JOBS]:
            click.echo(f"  {job}", err=True)
        if len(chosen.jobs) > _MOST_JOBS:
            click.echo(f"  … and {len(chosen.jobs) - _MOST_JOBS} more", err=True)
        click.echo(
            f"Should it come back, nobody stops them: `gitopsd worker teardown {name}` does while it is known", err=True
        )
    if not confirmed(f"Forget {name} ({place})?", f"{name} ({place}) is not forgotten", yes=yes):
        return exit_codes.FAILED
    commit = forget_worker(workspace, chosen)
    click.echo(f"{name}: forgotten (committed as {commit[:12]})")
    return 0
