import click

from gitopsd.cli import exit_codes
from gitopsd.cli.run_text import JsonReport, TextReport
from gitopsd.cli.session import Session
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.local_run.folder import local_folder
from gitopsd.daemon.local_run.inputs import blocks_of, find_inputs
from gitopsd.daemon.local_run.parameters import parameters
from gitopsd.daemon.local_run.prepare import find_subject, linked_version, wired
from gitopsd.daemon.local_run.run import run_jobs
from gitopsd.model.excerpt import printable


@click.command()
@click.argument("what", metavar="WORKFLOW|STEP|MODULE")
@click.option(
    "--input", "inputs", metavar="[PORT=]FILE", multiple=True, required=True,
    help="Events, one a line; - is stdin. PORT: of a step or module; of a workflow a channel or a step that reads.",
)  # fmt: skip
@click.option("--trace", is_flag=True, help="Show each event before and after each action of std/transform.")
@click.option("--param", "given", metavar="NAME=VALUE", multiple=True, help="A parameter of the workflow or module.")
@click.option(
    "--with", "asked", metavar="STEP", multiple=True, help="Also run a step that gives its events to the outside."
)
@click.option("--rev", "revision", metavar="REV", help="The version to run; by default the work tree as it is.")
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(min=0.1, max=86_400), default=60.0, show_default=True,
    help="End it after this long.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="JSON lines: each event with the port or channel it came to.")
@click.pass_obj
def run(
    session: Session,
    what: str,
    *,
    inputs: tuple[str, ...],
    given: tuple[str, ...],
    asked: tuple[str, ...],
    revision: str | None,
    timeout: float,
    trace: bool,
    as_json: bool,
) -> int:
    """Run a workflow, a step or a module over the events of a file, on this machine, without deploying it.

    A step is named as WORKFLOW.STEP, or alone where only one workflow has it; a module as modules/NAME. The programs of
    its blueprints run as you. No network is reached: channels are sockets between processes here. Steps that give
    events to the outside, such as std/write-files, are not run.

    Exit code 0: it ran to its end; 1: it failed.
    """
    workspace = session.workspace()
    source = workspace.source(revision)
    subject = find_subject(linked_version(workspace, source), source, what, parameters(given))
    unknown = [step for step in asked if step not in subject.steps]
    if unknown:
        known = ", ".join(f"`{step}`" for step in subject.steps)
        raise ControllerError(f"{subject.name} has no step `{unknown[0]}`", f"its steps: {known}")
    with local_folder() as folder:
        found = find_inputs(subject, inputs, folder.root)
        for note in found.notes:
            click.echo(f"note: {printable(note)}", err=True)
        jobs = wired(subject, source, found.wishes(asked))
        blocks = {channel: blocks_of(path) for channel, path in found.given.items()}
        outcome = run_jobs(jobs, folder, blocks, timeout)
        report = JsonReport() if as_json else TextReport()
        report.show(subject, outcome, given=[*found.given], trace=trace)
    return exit_codes.FAILED if outcome.failure else exit_codes.OK
