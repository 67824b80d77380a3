from itertools import islice

import click
import msgspec

from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.cli.tables import print_table
from gitopsd.daemon.rollout_note import read_rollouts
from gitopsd.daemon.status import open_deployed
from gitopsd.repo.artifacts import deployments


@click.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most this many deployments.")
@click.option("--json", "as_json", is_flag=True, help="The deployments as JSON.")
@click.pass_obj
def history(session: Session, limit: int, *, as_json: bool) -> int:
    """Show the deployments, newest first: who, when, from which commit, and what became of each."""
    workspace = session.workspace()
    deployed = open_deployed(workspace)
    found = []
    if deployed.head is not None:
        for commit in islice(deployments(workspace.repository, deployed.head.commit.id), limit):
            note = read_rollouts(workspace.repository, deployed.branch, commit)
            rollouts = note.rollouts
            if commit.trailers is None:
                continue
            found.append(
                {
                    "deployment": commit.trailers.deployment,
                    "commit": commit.id,
                    "source_commit": commit.trailers.source_commit,
                    "trigger": commit.trailers.trigger,
                    "time": commit.time.isoformat(timespec="seconds"),
                    "author": commit.author,
                    "subject": commit.subject,
                    "plan_digest": commit.trailers.plan_digest,
                    "outcome": rollouts[-1].counts if rollouts else {},
                    "errors": rollouts[-1].errors if rollouts else {},
                    "reverted": {name: msgspec.to_builtins(one) for name, one in note.reverted.items()},
                }
            )
    if as_json:
        print_json(found)
    elif not found:
        click.echo("nothing was deployed yet: `gitopsd apply` deploys")
    else:
        print_table(
            ["DEPLOYMENT", "COMMIT", "SOURCE", "TRIGGER", "TIME", "OUTCOME", "SUBJECT"],
            [
                [
                    str(one["deployment"]),
                    str(one["commit"])[:7],
                    str(one["source_commit"])[:7],
                    str(one["trigger"]),
                    str(one["time"]),
                    _outcome(one["outcome"]) + _reverted(one["reverted"]),
                    str(one["subject"]).removeprefix(f"Deployment {one['deployment']}: "),
                ]
                for one in found
            ],
        )
    return 0


def _reverted(workflows: object) -> str:
    if not isinstance(workflows, dict) or not workflows:
        return ""
    return "; " + ", ".join(f"{name} reverted by {one['by']}" for name, one in sorted(workflows.items()))


def _outcome(counts: object) -> str:
    if not isinstance(counts, dict) or not counts:
        return "not recorded"
    return ", ".join(f"{count} {state}" for state, count in counts.items())
