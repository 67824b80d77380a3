import click

from gitopsd.cli import exit_codes
from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.daemon.configuration.configuration import SYSTEM_PATH
from gitopsd.daemon.service.install import Step, Wish
from gitopsd.daemon.service.install import install as put_in_place
from gitopsd.daemon.service.install import remove as take_away
from gitopsd.daemon.service.places import CONFIGURATION_FOLDER, HOME
from gitopsd.daemon.service.systemctl import last_lines, properties
from gitopsd.model.excerpt import printable

_SHOWN = {
    "ActiveState": "state",
    "SubState": "detail",
    "StatusText": "says",
    "ActiveEnterTimestamp": "since",
    "MainPID": "process",
    "NRestarts": "restarts",
    "UnitFileState": "at boot",
    "FragmentPath": "unit",
}


@click.group()
def service() -> None:
    """Run the controller as a service of systemd's on this machine."""


@service.command()
@click.option(
    "--user", metavar="NAME", help="An account to run it as, such as the repository's owner; else the one before."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.pass_obj
def install(session: Session, *, user: str | None, dry_run: bool) -> int:
    """Put unit, account and configuration in place, start the service, and wait until it is ready.

    The service runs this very gitopsd. What is there already stays, so run it again after each change of the
    configuration that is about a repository, a key or a credential. `--repo` before the command is written into a
    configuration that is made now.

    Exit code 0: it runs; 1: it can't yet, and what has to be done first is said.
    """

    def tell(step: Step) -> None:
        _say(f"{'there already' if step.done else 'to be done' if dry_run else 'done'}: {step.what}")

    wish = Wish(configuration=session.config or SYSTEM_PATH, user=user, repository=session.repo or "")
    put_in_place(wish, tell, dry_run=dry_run)
    if dry_run:
        return exit_codes.OK
    _say("look at it with: gitopsd service status; journalctl -u gitopsd -f; in a clone: gitopsd status")
    return exit_codes.OK


@service.command()
def remove() -> int:
    """Stop the service and take its unit away. Workers keep running what they have.

    Configuration, account and state stay.
    """
    if not take_away():
        _say("there is no such service here")
        return exit_codes.OK
    _say(f"removed; {CONFIGURATION_FOLDER}, {HOME} and the account that it ran as stay")
    return exit_codes.OK


@service.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(*, as_json: bool) -> int:
    """Show how the service is, and what it said last.

    Exit code 0: it runs; 1: it doesn't.
    """
    found = properties(*_SHOWN)
    shown = {word: found.get(name, "") for name, word in _SHOWN.items()}
    if as_json:
        print_json(shown)
    else:
        for word, value in shown.items():
            click.echo(f"{word + ':':10} {printable(value)}".rstrip())
        lines = [printable(line) for line in last_lines().splitlines()]
        click.echo("\n".join(["", *lines]) if lines else "")
    return exit_codes.OK if found["ActiveState"] == "active" else exit_codes.FAILED


def _say(line: str) -> None:
    click.echo(printable(line), err=True)
