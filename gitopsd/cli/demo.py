from pathlib import Path

import click

from gitopsd.cli.demo_run import run_demo


@click.command()
@click.option(
    "--input", "input_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of your own; by default a week of earthquakes.",
)  # fmt: skip
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("gitopsd-demo"),
    show_default=True,
    help="Where the demo's repository and data go; an earlier demo there goes on.",
)  # fmt: skip
def demo(input_file: Path | None, folder: Path) -> int:
    """Send a real file through a workflow on this machine, end to end, with real processes.

    Needs neither root nor a network. What it starts goes on running; it says how to stop it.
    """
    return run_demo(input_file, folder)
