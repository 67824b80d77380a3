from itertools import islice

import click
import msgspec

from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.cli.tables import print_table
from gitopsd.daemon.history.deployment_record import DeploymentRecord, read_records
from gitopsd.daemon.planning.deployed import open_deployed


@click.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most this many deployments.")
@click.option("--json", "as_json", is_flag=True, help="The deployments as JSON.")
@click.pass_obj
def history(session: Session, limit: int, *, as_json: bool) -> int:
    """Show the deployments, newest first: who, when, from which commit, and what became of each."""
    workspace = session.workspace()
    found = list(islice(read_records(workspace, open_deployed(workspace)), limit))
    if as_json:
        print_json([_as_json(one) for one in found])
    elif not found:
        click.echo("nothing was deployed yet: `gitopsd apply` deploys")
    else:
        print_table(
            ["DEPLOYMENT", "COMMIT", "SOURCE", "TRIGGER", "TIME", "BY", "OUTCOME", "SUBJECT"],
            [
                [
                    str(one.deployment),
                    one.commit[:7],
                    one.source_commit[:7],
                    one.trigger,
                    one.time,
                    one.author.partition(" <")[0],
                    _outcome(one),
                    one.subject,
                ]
                for one in found
            ],
        )
    return 0


def _as_json(record: DeploymentRecord) -> dict[str, object]:
    """With the outcome of the last rollout; `gitopsd show` has them all."""
    shown: dict[str, object] = msgspec.to_builtins(record)
    del shown["rollouts"]
    last = record.rollouts[-1] if record.rollouts else None
    return {**shown, "outcome": last.counts if last else {}, "errors": last.errors if last else {}}


def _outcome(record: DeploymentRecord) -> str:
    last = record.rollouts[-1] if record.rollouts else None
    newer = [] if last is None or last.superseded_by is None else [f"superseded by {last.superseded_by}"]
    newer += ["paused"] if last and last.paused else []
    counts = [f"{count} {state}" for state, count in last.counts.items()] if last else []
    said = ", ".join([*counts, *newer]) or "not recorded"
    return "; ".join([said, *(f"{name} reverted by {one.by}" for name, one in sorted(record.reverted.items()))])
