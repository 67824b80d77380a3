from datetime import UTC, datetime

import click
import msgspec

from gitopsd.cli import exit_codes
from gitopsd.cli.cordon_text import cordon_sentence
from gitopsd.cli.decision_options import checked_reason, with_duration, with_end, with_json, with_reason
from gitopsd.cli.expiry import expiry
from gitopsd.cli.failure import print_json, show_diagnostics
from gitopsd.cli.session import Session
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.workers.cordons import Cordoned, cordon_worker, moved_meanwhile, plan_drain, uncordon_worker
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.excerpt import printable

_MOST_MOVES = 20

_worker = click.argument("name", metavar="WORKER")


@click.command()
@_worker
@with_reason
@with_duration
@with_end
@with_json
@click.pass_obj
def cordon(session: Session, name: str, reason: str, duration: str | None, until: str | None, *, as_json: bool) -> int:
    """Place no new jobs on WORKER. Those that are there stay."""
    end = expiry(duration, until, datetime.now(UTC))
    done = cordon_worker(session.workspace(), name, reason=checked_reason(reason), until=end, drained=False)
    _tell(done, as_json=as_json)
    return 0


@click.command()
@_worker
@with_json
@click.pass_obj
def uncordon(session: Session, name: str, *, as_json: bool) -> int:
    """Let WORKER take jobs again: the end of a cordon, and of a drain. What was moved away stays where it is."""
    _tell(uncordon_worker(session.workspace(), name), as_json=as_json)
    return 0


@click.command()
@_worker
@with_reason
@with_duration
@with_end
@with_json
@click.pass_obj
def drain(session: Session, name: str, reason: str, duration: str | None, until: str | None, *, as_json: bool) -> int:
    """Cordon WORKER and have its jobs moved to other workers, by the next apply.

    Shows what that would move. Exit code 0: recorded; 1: recorded, and a job has nowhere to go.
    """
    end = expiry(duration, until, datetime.now(UTC))
    workspace = session.workspace()
    done = cordon_worker(workspace, name, reason=checked_reason(reason), until=end, drained=True)
    _tell(done, as_json=as_json)
    return show_moves(workspace, done)


def show_moves(workspace: Workspace, done: Cordoned) -> int:
    """On stderr: what was recorded stands on stdout."""
    name = done.worker
    try:
        planned, moves = plan_drain(workspace, name)
    except DiagnosticsError as error:
        show_diagnostics(error.diagnostics, error.sources)
        hint = f"make room for its jobs, or end the drain: `gitopsd worker uncordon {name}`"
        click.echo(f"until that is solved nothing can be applied\n  hint: {hint}", err=True)
        return exit_codes.FAILED
    for change in moves[:_MOST_MOVES]:
        click.echo(f"  {change.job} moves to {change.worker}", err=True)
    if len(moves) > _MOST_MOVES:
        click.echo(f"  … and {len(moves) - _MOST_MOVES} more", err=True)
    others = len(planned.plan.changes) - planned.plan.counts().get("unchanged", 0) - len(moves)
    beside = f", and changes {others} other jobs" if others else ""
    count = f"{len(moves)} job{'' if len(moves) == 1 else 's'}"
    moved = f"`gitopsd apply` moves {count} away{beside}; `gitopsd plan` shows all of it"
    if not moves:
        later = moved_meanwhile(workspace, planned, done)
        moved = f"no jobs {'are left' if later else 'have'} to be moved away from {name}"
        moved += f"; deployment {later} came after this already: `gitopsd show {later}`" if later else ""
    click.echo(moved, err=True)
    return 0


def _tell(done: Cordoned, *, as_json: bool) -> None:
    if as_json:
        print_json({"worker": done.worker, "cordon": msgspec.to_builtins(done.cordon), "commit": done.commit or None})
        return
    state = cordon_sentence(done.cordon) if done.cordon else "takes jobs"
    committed = f" (committed as {done.commit[:12]})" if done.commit else " (as before: there is nothing to commit)"
    click.echo(printable(f"{done.worker}: {state}{committed}"))
