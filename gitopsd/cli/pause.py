from datetime import UTC, datetime

import click
import msgspec

from gitopsd.cli.cordon_text import pause_sentence
from gitopsd.cli.decision_options import checked_reason, with_duration, with_end, with_json, with_reason
from gitopsd.cli.expiry import expiry
from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.daemon.holds.pausing import pause_environment, resume_environment
from gitopsd.model.excerpt import printable

_NOTHING_NEW = "as before: there is nothing to commit"


@click.command()
@with_reason
@with_duration
@with_end
@with_json
@click.pass_obj
def pause(session: Session, reason: str, duration: str | None, until: str | None, *, as_json: bool) -> int:
    """Have nothing applied to the environment, until it is resumed or the time is up. What runs goes on."""
    end = expiry(duration, until, datetime.now(UTC))
    environment, found, commit = pause_environment(session.workspace(), reason=checked_reason(reason), until=end)
    if as_json:
        print_json({"environment": environment, "pause": msgspec.to_builtins(found), "commit": commit or None})
        return 0
    committed = f"committed as {commit[:12]}" if commit else _NOTHING_NEW
    click.echo(printable(f"{environment}: {pause_sentence(found)} ({committed})"))
    return 0


@click.command()
@with_json
@click.pass_obj
def resume(session: Session, *, as_json: bool) -> int:
    """End the environment's pause, and its hold at a version. What was not applied meanwhile is, by the next apply."""
    environment, commit = resume_environment(session.workspace())
    if as_json:
        print_json({"environment": environment, "pause": None, "hold": None, "commit": commit or None})
        return 0
    committed = f"committed as {commit[:12]}" if commit else _NOTHING_NEW
    click.echo(f"{environment}: not paused, nor held at a version ({committed})")
    return 0
