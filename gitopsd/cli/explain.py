from collections.abc import Sequence
from typing import Any

import click
import msgspec

from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.cli.tables import print_table
from gitopsd.compiler.explanation import ExplainedValue, StepExplanation
from gitopsd.daemon.planning.explaining import explain
from gitopsd.model.excerpt import printable

_LONGEST_VALUE = 60


@click.command("explain")
@click.argument("step", metavar="WORKFLOW.STEP")
@click.option("--rev", "revision", metavar="REV", help="The version to explain; by default the work tree as it is.")
@click.option("--json", "as_json", is_flag=True, help="The explanation as JSON.")
@click.pass_obj
def explain_command(session: Session, step: str, revision: str | None, *, as_json: bool) -> int:
    """Show which layer gave each value of a step, and why each worker was chosen or turned down.

    A step inside a module is named after the steps around it, such as orders.cleanse.filter. Reaches no worker.
    """
    workspace = session.workspace()
    found = explain(workspace, workspace.source(revision), step)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return 0
    click.echo(f"{found.step} uses {found.use}, {found.place}")
    for place in found.used_by:
        click.echo(f"  in a module that is used at {place}")
    if found.values:
        click.echo()
        print_table(["PARAMETER", "OF", "VALUE", "FROM"], [_value_row(value) for value in found.values])
    click.echo()
    for when in sorted(set(found.schedules.values())):
        click.echo(f"Scheduled: {printable(when)}, by the clock of its worker unless it names a time zone")
    if found.waits_for:
        click.echo(f"Runs for each burst of the message {found.waits_for}")
    if found.signals:
        click.echo(f"Signals {found.signals} when a run has ended well")
    click.echo(_wishes(found))
    print_table(["JOB", "WORKER", "WHY"], [[one.job, one.worker, one.reason] for one in found.replicas])
    click.echo()
    print_table(["WORKER", "VERDICT", "REASON"], [[one.worker, one.verdict, one.reason] for one in found.workers])
    if found.other_groups:
        click.echo(f"(workers in other groups: {found.other_groups})")
    return 0


def _value_row(value: ExplainedValue) -> list[str]:
    won, *beaten = value.candidates
    names = {"with": "the step's `with`", "environment": "the environment", "default": "the default"}
    origin = f"{names[won.layer]}, {won.place}"
    if beaten:
        origin += "; not " + ", ".join(f"{names[other.layer]} {_shown(other.written)}" for other in beaten)
    shown = _shown(value.value) + (" (differs by job)" if value.differs else "")
    return [value.name, value.owner, shown, origin]


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = printable(text)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _wishes(found: StepExplanation) -> str:
    parts = [f"group {found.group}", f"{found.strategy} over its workers"]
    parts += _listed("only where", found.constraints)
    parts += _listed("requires", found.features)
    parts += _listed("beside", found.kept_with)
    return "Placed in " + "; ".join(parts)


def _listed(word: str, items: Sequence[str]) -> list[str]:
    return [f"{word} {', '.join(items)}"] if items else []
