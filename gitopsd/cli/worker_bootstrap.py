import sys
from pathlib import Path

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.confirm import confirmed
from gitopsd.cli.session import Session
from gitopsd.daemon.configuration.configuration import read_configuration
from gitopsd.daemon.workers import bootstrap as preparing
from gitopsd.daemon.workers.bootstrap import Machine
from gitopsd.fleet.bootstrap import NewMachine, Prepared, Wish
from gitopsd.fleet.errors import WorkerError
from gitopsd.fleet.host_key import HostKey
from gitopsd.fleet.target import SshSettings
from gitopsd.model.excerpt import printable
from gitopsd.model.names import PATTERN_RULES, USER_PATTERN


@click.command()
@click.argument("host", metavar="[USER@]HOST")
@click.option("--port", type=click.IntRange(1, 65535), help="Of its sshd, where it isn't 22.")
@click.option("--user", default="gitopsd", show_default=True, help="The account that gitopsd is to log in as.")
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The public key that it logs in with; by default that of `ssh: {identity: …}`, else of ~/.ssh.",
)
@click.option("--host-key", metavar="TYPE-AND-KEY", help="The machine's host key, if you have it: ssh-ed25519 AAAA…")
@click.option("--accept", metavar="FINGERPRINT", help="The fingerprint of its host key, if you have that: SHA256:…")
@click.option("--yes", is_flag=True, help="Don't ask before the machine is changed. Never says yes to a host key.")
@click.pass_obj
def bootstrap(
    session: Session,
    host: str,
    *,
    port: int | None,
    user: str,
    key: Path | None,
    host_key: str | None,
    accept: str | None,
    yes: bool,
) -> int:
    """Prepare a new machine, reached as root or as a USER with `sudo -n`, to be a worker.

    Makes the account to log in as, with its key and the right to become root, and gitopsd's directory; what is there
    already stays. Run it again where it was interrupted. Prints the line for the fleet file on stdout.

    Exit code 0: it can be a worker; 1: it was not prepared, or can't be reached as that account.
    """
    if host_key and accept:
        raise click.UsageError("--host-key and --accept say the same: one of them will do")
    _require_user(user)
    configuration = read_configuration(session.config)
    settings = preparing.settings_of(configuration)
    machine = preparing.parse_machine(host, port)
    public, path = preparing.public_key(configuration, key)
    wish = Wish(user=user, key=public)
    with NewMachine(settings) as new:
        pinned = _host_key(new, machine, host_key, accept)
        if pinned is None:
            return exit_codes.FAILED
        found = preparing.look(new, machine, pinned, wish)
        if not _may_go_on(machine, found, path, yes=yes):
            return exit_codes.FAILED
        if any(not step.done for step in found.steps):
            for what in preparing.prepare(new, machine, pinned, wish).changed:
                _say(f"done: {what}")
    code = _check(settings, machine, pinned, user, chosen_key=key is not None)
    _say("for the fleet file, below `workers:` of a group; the name is yours to choose:")
    click.echo(preparing.fleet_line(machine, found, pinned, user))
    return code


def _host_key(new: NewMachine, machine: Machine, given: str | None, accept: str | None) -> HostKey | None:
    """The key that the machine has to have; None when a person said no. Nothing is sent to it before that."""
    if given:
        return preparing.parse_pinned(given)  # the connection itself refuses any other
    fingerprint = preparing.parse_fingerprint(accept) if accept else None
    offered = preparing.offered_key(new, machine)
    if fingerprint:
        preparing.require_same(machine, offered, fingerprint)
        return offered
    _say(f"{machine.host} shows the host key {offered.line}")
    _say(f"  its fingerprint is {offered.fingerprint}")
    _say(f"  compare it with what {preparing.check_command(offered)} prints on the machine itself")
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"nobody vouched for this host key, so nothing was sent: if it is right, add --accept {offered.fingerprint}"
        )
    if click.confirm("Is it the same?", err=True):
        return offered
    _say("nothing was sent to it")
    return None


def _may_go_on(machine: Machine, found: Prepared, key: Path, *, yes: bool) -> bool:
    for problem in found.problems:
        _say(f"{machine.host}: {problem}")
    if found.problems:
        _say("nothing was changed")
        return False
    for warning in found.warnings:
        _say(f"{machine.host}: {warning}")
    if found.owner:
        _say(f"{machine.host}: it is a worker of the environment {found.owner} already, and stays that")
    missing = [step.what for step in found.steps if not step.done]
    if not missing:
        _say(f"{machine.host}: nothing is to be done, all of it is there already (Python {found.python})")
        return True
    _say(f"on {machine.host} (Python {found.python}), with the public key {key}:")
    for step in found.steps:
        _say(f"  {'there already' if step.done else 'to be done'}: {step.what}")
    return confirmed(f"Change {machine.host} so?", f"{machine.host} is not changed", yes=yes)


def _check(settings: SshSettings, machine: Machine, key: HostKey, user: str, *, chosen_key: bool) -> int:
    """Log in as gitopsd will."""
    try:
        problems = preparing.log_in(settings, machine, key, user)
    except WorkerError as error:
        _say(f"checked by logging in as {user}: {error.message.removeprefix(f'{machine.host}: ')}")
        if chosen_key and preparing.is_not_let_in(error):
            _say("the machine is prepared; that is as it should be if the key is for another controller than this one")
            return exit_codes.OK
        return exit_codes.FAILED
    for problem in problems:
        _say(f"{machine.host}: {problem}")
    if not problems:
        _say(f"checked by logging in as {user}: {machine.host} can be a worker")
    return exit_codes.FAILED if problems else exit_codes.OK


def _require_user(user: str) -> None:
    import re  # noqa: PLC0415 -- with the one check that needs it

    if not re.match(USER_PATTERN, user):
        raise click.UsageError(f"--user {user!r}: {PATTERN_RULES[USER_PATTERN]}")


def _say(line: str) -> None:
    click.echo(printable(line), err=True)
