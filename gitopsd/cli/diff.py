import click
import msgspec

from gitopsd.cli.failure import print_json
from gitopsd.cli.plan_text import change_lines
from gitopsd.cli.session import Session
from gitopsd.daemon.history.deployment_record import changes_of, find
from gitopsd.daemon.planning.deployed import open_deployed


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--json", "as_json", is_flag=True, help="The changes field by field as JSON.")
@click.pass_obj
def diff(session: Session, a: str, b: str, *, as_json: bool) -> int:
    """Show what differs between two deployments, as going from A to B would change it.

    Each is named by its number or 7 digits of its commit.
    """
    workspace = session.workspace()
    deployed = open_deployed(workspace)
    before, after = (find(workspace, deployed, name) for name in (a, b))
    found = changes_of(workspace.repository, before, after)
    if as_json:
        print_json(msgspec.to_builtins(found))
    elif found.changed_workers:
        click.echo("\n".join(change_lines(found.changes, found.changed_workers)).lstrip("\n"))
    else:
        click.echo(f"deployments {found.before} and {found.after} have the same releases")
    return 0
