from pathlib import Path

import click

from gitopsd.daemon.configuration.schemas import KINDS, schema_text, write_schemas


@click.command()
@click.argument("kind", metavar="[KIND]", required=False, type=click.Choice(sorted(KINDS)))
@click.option(
    "--write",
    "repository",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Bring those in the repository DIR up to this version.",
)
def schema(kind: str | None, repository: Path | None) -> int:
    """Print the JSON Schema of one kind of file, with which editors complete and check as one types.

    KIND: blueprint, configuration, environments (gitopsd.yaml), fleet, module, tests or workflow.
    """
    if (kind is None) == (repository is None):
        raise click.UsageError("name a kind, or a repository with --write DIR")
    if repository is not None:
        changed = write_schemas(repository)
        for path in changed:
            click.echo(path)
        if not changed:
            click.echo("every schema is as this version has it")
    elif kind is not None:
        click.echo(schema_text(kind), nl=False)
    return 0
