import shlex
from pathlib import Path

import click

from gitopsd.repo.initialise import initialise


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> int:
    """Make a new workflow repository in DIR, with a first workflow that runs on this machine."""
    initialise(folder)
    click.echo(f"{folder}: a workflow repository with its first commit, on the branch main")
    click.echo("Next:")
    click.echo(f"  cd {shlex.quote(str(folder))}")
    click.echo("  gitopsd plan                 # what would be deployed, and why")
    click.echo("  gitopsd apply                # deploy it: here, on this machine")
    click.echo("  cp samples/earthquakes.jsonl data/in/ && sleep 1 && ls -l data/out")
    return 0
