from datetime import UTC, datetime

import click
import msgspec

from gitopsd.cli.cordon_text import quarantine_sentence
from gitopsd.cli.decision_options import checked_reason, with_duration, with_end, with_json, with_reason
from gitopsd.cli.expiry import expiry
from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.daemon.artifacts.control import known_quarantines
from gitopsd.daemon.planning.deployed import open_deployed
from gitopsd.daemon.reverting.quarantine import Quarantining, quarantine_workflow, release_workflow
from gitopsd.model.excerpt import printable

_workflow = click.argument("name", metavar="WORKFLOW")


@click.group()
def quarantine() -> None:
    """Keep forms of workflows from running that failed, or that somebody says are bad."""


@quarantine.command("list")
@with_json
@click.pass_obj
def list_quarantines(session: Session, *, as_json: bool) -> int:
    """Show the workflows that are held as an earlier deployment had them: by whom, why, until when."""
    workspace = session.workspace()
    deployed = open_deployed(workspace)
    found = known_quarantines(workspace.repository, deployed.head)
    if as_json:
        print_json({name: msgspec.to_builtins(one) for name, one in found.items()})
        return 0
    for name, one in found.items():
        click.echo(printable(f"{name}: {quarantine_sentence(name, one)}"))
    if not found:
        click.echo("no workflow is quarantined")
    return 0


@quarantine.command()
@_workflow
@with_reason
@with_duration
@with_end
@with_json
@click.pass_obj
def add(session: Session, name: str, reason: str, duration: str | None, until: str | None, *, as_json: bool) -> int:
    """Keep what is deployed of WORKFLOW from running, whichever version compiles to it.

    The next apply returns the workflow to the last deployment that went well with another form of it.
    """
    end = expiry(duration, until, datetime.now(UTC))
    done = quarantine_workflow(session.workspace(), name, reason=checked_reason(reason), until=end)
    _tell(done, as_json=as_json)
    if not as_json:
        click.echo("`gitopsd plan` shows what that changes, and `gitopsd apply` does it", err=True)
    return 0


@quarantine.command()
@_workflow
@with_json
@click.pass_obj
def release(session: Session, name: str, *, as_json: bool) -> int:
    """Have WORKFLOW run again as versions have it, from the next apply on."""
    _tell(release_workflow(session.workspace(), name), as_json=as_json)
    return 0


def _tell(done: Quarantining, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "workflow": done.workflow,
                "quarantine": msgspec.to_builtins(done.quarantine),
                "commit": done.commit or None,
            }
        )
        return
    state = quarantine_sentence(done.workflow, done.quarantine) if done.quarantine else "not quarantined"
    committed = f" (committed as {done.commit[:12]})" if done.commit else " (as before: there is nothing to commit)"
    click.echo(printable(f"{done.workflow}: {state}{committed}"))
