import sys

import click
import msgspec

from gitopsd.cli import exit_codes
from gitopsd.cli.confirm import confirmed
from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.cli.tables import print_table
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.jobs import copies
from gitopsd.daemon.status.status import age
from gitopsd.fleet.protocol import Cloned
from gitopsd.model.excerpt import printable
from gitopsd.model.names import NAME_PATTERN, PATTERN_RULES

_MOST_FED = 256 * 1024 * 1024

_on = click.option("--on", "worker", metavar="WORKER", help="Where it is, should there be more than one.")


@click.group()
def job() -> None:
    """Look at jobs, and make copies of them that are yours: no deployment touches those."""


@job.command("list")
@click.option("--json", "as_json", is_flag=True, help="The jobs and copies as JSON.")
@click.pass_obj
def list_jobs(session: Session, *, as_json: bool) -> int:
    """Show the jobs on all workers, and the unmanaged copies of jobs. Exit code 1: a worker could not be observed."""
    listed = copies.list_jobs(session.workspace())
    if as_json:
        print_json([msgspec.to_builtins(one) for one in listed.jobs])
    elif not listed.jobs and not listed.errors:
        click.echo("nothing is deployed yet: `gitopsd apply` deploys")
    else:
        print_table(
            ["WORKER", "JOB", "KIND", "STATE", "PID", "RESTARTS", "SINCE", "AT BOOT", "COPY OF"],
            [
                [
                    one.worker,
                    one.name,
                    "managed" if one.managed else "unmanaged",
                    one.state,
                    str(one.main_pid or "-"),
                    str(one.restarts),
                    age(one.since) or "-",
                    "starts" if one.starts_at_boot else "-",
                    "-" if one.managed else one.copied_from or "unknown",
                ]
                for one in listed.jobs
            ],
        )
    for worker, error in sorted(listed.errors.items()):
        click.echo(printable(f"{worker}: {error}"), err=True)
    return exit_codes.FAILED if listed.errors else exit_codes.OK


@job.command()
@click.argument("name", metavar="JOB")
@click.argument("copy", metavar="[NAME]", required=False)
@_on
@click.option("--start", is_flag=True, help="Start the copy, now and whenever its worker boots.")
@click.option("--json", "as_json", is_flag=True, help="The copy as JSON.")
@click.pass_obj
def clone(session: Session, name: str, copy: str | None, worker: str | None, *, start: bool, as_json: bool) -> int:
    """Make an unmanaged copy of JOB beside it, with channels of its own. It is yours: no deployment changes it.

    Exit code 0; 1: there is no copy, or it was made and doesn't run.
    """
    _require_name(copy)
    workspace = session.workspace()
    chosen = copies.clonable(workspace, name, copy, worker)
    made = copies.clone(workspace, chosen, start=start)
    state = made.copy.state
    failed = start and (state is None or state.active == "failed" or state.sub == "auto-restart")
    if as_json:
        print_json({**msgspec.to_builtins(made.copy), "worker": chosen.target.name})
    else:
        word = "is not started" if not start else "does not run" if failed else "is started, now and at boot"
        click.echo(f"{chosen.name}: a copy of {chosen.job} on {chosen.target.name}, and {word}")
        _explain(chosen, made, start=start, local=chosen.target.service_manager == "supervisor")
    if failed:
        click.echo(f"{chosen.name} was made and did not start; the last lines of its log:", err=True)
        for line in made.log:
            click.echo(f"  {printable(line)}", err=True)
    return exit_codes.FAILED if failed else exit_codes.OK


@job.command()
@click.argument("name", metavar="NAME")
@_on
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def remove(session: Session, name: str, worker: str | None, *, yes: bool) -> int:
    """Stop the unmanaged copy NAME and remove all of it: its files, edits, state and output."""
    _require_name(name)
    workspace = session.workspace()
    target, copy = copies.find_copy(workspace, name, worker)
    question = f"Stop the copy {name} of {copy.job or 'an unknown job'} on {target.name}, and remove {copy.directory}?"
    if not confirmed(question, f"{name} is not removed", yes=yes):
        return exit_codes.FAILED
    copies.remove(workspace, target, name)
    click.echo(f"{name}: stopped and removed from {target.name}")
    return exit_codes.OK


@job.command()
@click.argument("name", metavar="NAME")
@_on
@click.option("--port", metavar="PORT", help="The input to feed, where the copy has more than one.")
@click.pass_obj
def feed(session: Session, name: str, worker: str | None, port: str | None) -> int:
    """Hand the events on standard input, a line each, to the unmanaged copy NAME.

    Exit code 0: it has acknowledged all of them; 1: not all.
    """
    _require_name(name)
    if sys.stdin.isatty():
        click.echo("reading events from the terminal, a line each, until Ctrl-D", err=True)
    events = sys.stdin.buffer.read(_MOST_FED + 1)
    if len(events) > _MOST_FED:
        raise ControllerError("more than 256 MiB are not fed by hand", "feed them in parts")
    workspace = session.workspace()
    target, _ = copies.find_copy(workspace, name, worker)
    fed = copies.feed(workspace, target, name, port, events)
    click.echo(printable(f"{name}: {fed.acknowledged} of {fed.events} events acknowledged at its input {fed.port}"))
    if fed.acknowledged < fed.events:
        click.echo("it stopped taking events: `gitopsd job list` shows whether it runs; feed it the rest", err=True)
        return exit_codes.FAILED
    return exit_codes.OK


def _require_name(name: str | None) -> None:
    import re  # noqa: PLC0415 -- with the one check that needs it

    if name is not None and not re.match(NAME_PATTERN, name):
        raise click.UsageError(f"{name!r} can't name a copy: {PATTERN_RULES[NAME_PATTERN]}")


def _explain(chosen: copies.Clonable, made: Cloned, *, start: bool, local: bool) -> None:
    """On stderr, what its owner has to know."""
    copy = made.copy
    told = [f"files to edit: {copy.directory}/jobs/{chosen.name}/"]
    if not local:
        told.append(f"its unit: /etc/systemd/system/{copy.unit}")
    told.append(f"what it puts out: {copy.directory}/state/; `gitopsd job feed {chosen.name}` feeds it")
    if chosen.secrets:
        told.append(f"it keeps the secrets of now ({', '.join(chosen.secrets)}): a rotation doesn't reach it")
    if not start and not local:
        told.append(f"`systemctl enable --now {copy.unit}` there starts it, also at boot")
    told.append(f"`gitopsd job remove {chosen.name}` removes all of it; no deployment does")
    for line in told:
        click.echo(printable(f"  {line}"), err=True)
