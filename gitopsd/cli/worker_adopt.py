from datetime import UTC, datetime

import click
import msgspec

from gitopsd.cli import exit_codes
from gitopsd.cli.confirm import confirmed
from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.daemon.status.status import age
from gitopsd.daemon.workers import adopting
from gitopsd.daemon.workers.adopting import Adoption
from gitopsd.model.excerpt import printable
from gitopsd.model.facts import UnitState

_MOST_JOBS = 50


@click.command()
@click.argument("name", metavar="WORKER")
@click.option("--dry-run", is_flag=True, help="Show what it would come to, and change nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="What was found, and whether it was adopted, as JSON.")
@click.pass_obj
def adopt(session: Session, name: str, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Make WORKER, which another artifact branch or an older controller managed, this repository's.

    Shows whose it is, what runs there, and what the next apply or reconcile will stop, start and change. Nothing that
    runs is touched before that.
    """
    workspace = session.workspace()
    adoption = adopting.look(workspace, name)
    if not as_json:
        for line in _lines(adoption):
            click.echo(printable(line))
    adopted = False
    if adoption.is_needed and not adoption.is_empty and not dry_run:
        question = f"Make {name} a worker of {adoption.owner.environment} of this repository?"
        if not confirmed(question, f"{name} is not adopted", yes=yes):
            return exit_codes.FAILED
        adopted = adopting.adopt(workspace, adoption).changed
    if as_json:
        print_json(_as_json(adoption, adopted=adopted))
    elif adopted:
        click.echo(
            f"{name}: adopted. What runs there goes on as it was; `gitopsd apply` or `gitopsd reconcile {name}` makes "
            "it equal to what is deployed here"
        )
    return exit_codes.OK


def _lines(adoption: Adoption) -> list[str]:
    worker, observed = adoption.worker, adoption.observed
    place = f"{worker.user}@{worker.address}" if worker.address else "this machine"
    who = f"{worker.name} ({place})"
    if adoption.is_empty:
        return [f"{who} belongs to nobody, and nothing of gitopsd runs there: `gitopsd apply` deploys to it as it is"]
    if not adoption.is_needed:
        return [f"{who} belongs to {adoption.owner.environment} of this repository already: there is nothing to adopt"]
    release = f"release {observed.release[:12]}" if observed.release else "no release"
    lines = [f"{who} belongs to {_owner(adoption)}", f"  it holds {release}{_when(adoption.before.activated)}"]
    if observed.switch is not None or observed.busy:
        lines.append(
            "  an activation is under way, or waits to be confirmed: it can't be adopted before that has ended"
        )
    lines.append(f"  {_count(len(observed.units), 'job')} there")
    lines += [f"    {_job(unit)}  {state.active} ({state.sub})" for unit, state in _first(observed.units)]
    return [*lines, *_effects(adoption)]


def _effects(adoption: Adoption) -> list[str]:
    found = adoption.takeover
    lines = ["the next `gitopsd apply` or `gitopsd reconcile` would there"]
    for verb, names in (
        ("stop and remove", [_job(unit) for unit in found.stops]),
        ("start", found.starts),
        ("restart or change", found.restarts),
        ("leave as it is", found.stays),
        ("leave alone, being a copy that is somebody's own", adoption.observed.copies),
    ):
        lines += [f"  {verb}: {job}" for job in list(names)[:_MOST_JOBS]]
        if len(names) > _MOST_JOBS:
            lines.append(f"  {verb}: {len(names) - _MOST_JOBS} more")
    if len(lines) == 1:
        lines.append("  change nothing")
    if found.restarts:
        lines.append("  jobs of a name that is there already go on with its state, such as positions in files")
    return lines


def _owner(adoption: Adoption) -> str:
    owner, number = adoption.before.owner, adoption.before.deployment
    if owner is None:
        return "nobody on record, as if an older controller, or a person, had put there what runs"
    if adoption.is_ours:
        return (
            f"{owner.environment} of this repository already, and was activated for deployment {number}, while "
            f"{adoption.deployment} is the newest here: adopting lets that one in again"
        )
    deployed = f", deployment {number}" if number else ""
    return f"environment {owner.environment} of the artifact branch that began with {owner.root_commit[:12]}{deployed}"


def _when(activated: float | None) -> str:
    if activated is None:
        return ""
    return f", last activated {age(activated)} ago ({datetime.fromtimestamp(activated, UTC):%Y-%m-%dT%H:%M:%SZ})"


def _first(units: dict[str, UnitState]) -> list[tuple[str, UnitState]]:
    return sorted(units.items())[:_MOST_JOBS]


def _job(unit: str) -> str:
    return unit.removeprefix("gitopsd-").removesuffix(".service")


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _as_json(adoption: Adoption, *, adopted: bool) -> dict[str, object]:
    found = adoption.takeover
    return {
        "worker": adoption.worker.name,
        "needed": adoption.is_needed and not adoption.is_empty,
        "adopted": adopted,
        "owner": msgspec.to_builtins(adoption.before.owner),
        "deployment": adoption.before.deployment,
        "activated": adoption.before.activated,
        "release": adoption.observed.release,
        "units": {unit: state.active for unit, state in sorted(adoption.observed.units.items())},
        "copies": list(adoption.observed.copies),
        "stops": [_job(unit) for unit in found.stops],
        "starts": list(found.starts),
        "restarts": list(found.restarts),
        "stays": list(found.stays),
        "drift": [str(one) for one in found.drift],
    }
