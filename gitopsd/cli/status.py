from collections.abc import Iterator
from datetime import UTC, datetime

import click
import msgspec

from gitopsd.cli.controller_text import controller_lines
from gitopsd.cli.cordon_text import (
    cordon_sentence,
    cordon_word,
    pause_sentence,
    quarantine_sentence,
    version_hold_sentence,
)
from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.cli.tables import print_table
from gitopsd.daemon.artifacts.control import known_hold, known_pause, known_quarantines
from gitopsd.daemon.holds.holds import hold_lines, holds_of
from gitopsd.daemon.planning.deployed import Deployed, open_deployed
from gitopsd.daemon.status.status import WorkerStatus, worker_statuses
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.excerpt import printable


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The facts as JSON.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when a worker isn't in sync.")
@click.pass_obj
def status(session: Session, *, as_json: bool, exit_code: bool) -> int:
    """Show for each worker what it should hold, what was last tried, what it runs, and when it was last well."""
    workspace = session.workspace()
    deployed = open_deployed(workspace)
    statuses = worker_statuses(workspace, deployed)
    if as_json:
        print_json([msgspec.to_builtins(status) for status in statuses])
    elif deployed.head is None:
        click.echo(f"nothing is deployed to {deployed.branch.environment} yet: `gitopsd apply` deploys")
        _show_controller(workspace, deployed)
    else:
        click.echo(_title(deployed))
        for line in _decided(workspace, deployed):
            click.echo(printable(line))
        _show_controller(workspace, deployed)
        for name, quarantine in known_quarantines(workspace.repository, deployed.head).items():
            click.echo(printable(f"{name}: {quarantine_sentence(name, quarantine)}"))
        click.echo()
        print_table(
            ["WORKER", "STATE", "DESIRED", "RUNNING", "LAST ATTEMPTED", "LAST GOOD"],
            [
                [
                    _name(one),
                    _state(one),
                    one.desired[:12],
                    one.running[:12] or "-",
                    f"{one.last_attempted.deployment} {'failed' if one.last_attempted.error else 'ok'}"
                    if one.last_attempted
                    else "-",
                    str(one.last_good or "-"),
                ]
                for one in statuses
            ],
        )
        for one in statuses:
            _show_details(one)
    return 1 if exit_code and any(_state(one) != "in sync" for one in statuses) else 0


def _show_details(one: WorkerStatus) -> None:
    """What there is to say of a worker beside its line."""
    if one.cordon:
        click.echo(printable(f"{one.worker}: {cordon_sentence(one.cordon)}"))
    for line in ([one.error] if one.error else []) + list(one.drift[:10]):
        click.echo(printable(f"{one.worker}: {line.removeprefix(one.worker + ': ')}"))
    for line in (*one.failed_runs, *one.draining):
        click.echo(printable(f"{one.worker}: {line}"))
    for line in one.unknown_secrets:
        click.echo(printable(f"{one.worker}: not compared: the secret {line}"))
    last = failed_attempt(one)
    if last:
        click.echo(printable(f"{one.worker}: last attempt: {last}"))
    for line in _patience(one):
        click.echo(printable(f"{one.worker}: {line}"))


def failed_attempt(one: WorkerStatus) -> str:
    """What went wrong at the last attempt; empty where nothing did, or where the worker has just said the same."""
    last = one.last_attempted.error.removeprefix(f"{one.worker}: ") if one.last_attempted else ""
    return "" if one.error.startswith(last) else last  # what is recorded may be cut short


def _show_controller(workspace: Workspace, deployed: Deployed) -> None:
    for line in controller_lines(workspace, deployed.branch.environment):
        click.echo(printable(line))


def _decided(workspace: Workspace, deployed: Deployed) -> Iterator[str]:
    """What people decided about the environment, expired or not, and what the operator's windows say now."""
    pause = known_pause(workspace.repository, deployed.head)
    if pause:
        yield pause_sentence(pause)
    hold = known_hold(workspace.repository, deployed.head)
    if hold:
        yield version_hold_sentence(hold)
    holds = holds_of(workspace, deployed.head, datetime.now(UTC))
    yield from hold_lines([one for one in holds if one.kind == "window"])


def _patience(one: WorkerStatus) -> Iterator[str]:
    """What was undone, what was tried in vain, and when it is tried again."""
    for what in (one.unconfirmed, one.rolled_back):
        if what is not None:
            yield str(what)
    if one.lost is not None:
        yield f"given up as lost, silent since {one.lost.since}: what ran there was placed elsewhere"
    if one.tried is not None:
        times = "once" if one.tried.attempts == 1 else f"{one.tried.attempts} times in a row"
        following = f"not tried again before {one.tried.next}" if one.tried.next else "tried again by the next run"
        yield f"{one.tried.trouble} {times}, last at {one.tried.last}; {following}"


def _name(one: WorkerStatus) -> str:
    marks = [
        *(["leaving"] if one.leaving else []),
        *([cordon_word(one.cordon)] if one.cordon else []),
        *(["lost"] if one.lost else []),
    ]
    return one.worker + (f" ({', '.join(marks)})" if marks else "")


def _state(one: WorkerStatus) -> str:
    if not one.reachable:
        return "unreachable"
    if one.error:
        return "refused"
    return "drift" if one.drift else "in sync"


def _title(deployed: Deployed) -> str:
    head = deployed.head
    trailers = head.deployment.trailers if head and head.deployment else None
    at = f" at {head.commit.id[:12]}" if head else ""
    number = f", deployment {trailers.deployment}" if trailers else ""
    return f"environment {deployed.branch.environment}{number}, {deployed.branch.name}{at}"
