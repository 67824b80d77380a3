from collections.abc import Iterator, Sequence

import click
import msgspec

from gitopsd.cli.failure import print_json
from gitopsd.cli.plan_text import change_lines
from gitopsd.cli.session import Session
from gitopsd.daemon.history.brought import Brought
from gitopsd.daemon.history.deployment_record import (
    DeploymentChanges,
    DeploymentRecord,
    changes_of,
    deployment_before,
    find,
    read_record,
)
from gitopsd.daemon.history.outcomes import WorkerOutcome, worker_outcomes
from gitopsd.daemon.history.rollout_note import Reviewed, RolloutRecord
from gitopsd.daemon.planning.deployed import open_deployed
from gitopsd.model.excerpt import printable

_MOST_COMMITS = 10
_MOST_WORKERS = 30
_OUTCOMES = {
    "in-sync": "in sync at",
    "failed": "not well at",
    "not-attempted": "not attempted by",
    "unknown": "what became of it was not recorded",
}
_REVIEWED = {
    "same": "it did what was shown there",
    "different": "it did something else than was shown there",
    "nothing": "merged before anything was shown there",
}


@click.command()
@click.argument("deployment")
@click.option("--json", "as_json", is_flag=True, help="The record, and the changes field by field, as JSON.")
@click.pass_obj
def show(session: Session, deployment: str, *, as_json: bool) -> int:
    """Show a deployment, named by its number or 7 digits of its commit.

    Says who deployed what, when and why, what each run over the fleet came to, and what changed.
    """
    workspace = session.workspace()
    deployed = open_deployed(workspace)
    commit = find(workspace, deployed, deployment)
    record = read_record(workspace.repository, deployed.branch, commit)
    changes = changes_of(workspace.repository, deployment_before(workspace.repository, commit), commit)
    workers = worker_outcomes(workspace.repository, commit, record.rollouts)
    if as_json:
        beside = {"workers": msgspec.to_builtins(workers), "changes": msgspec.to_builtins(changes)}
        print_json({**msgspec.to_builtins(record), **beside})
    else:
        for line in _lines(record, workers, changes):
            click.echo(printable(line))
    return 0


def _lines(record: DeploymentRecord, workers: Sequence[WorkerOutcome], changes: DeploymentChanges) -> Iterator[str]:
    yield f"deployment {record.deployment} of {record.environment}: {record.subject}"
    yield f"  commit    {record.commit}"
    yield f"  source    {record.source_commit}"
    yield f"  trigger   {record.trigger}"
    yield f"  by        {record.author}" + (
        f", deployed by {record.committer}" if record.committer != record.author else ""
    )
    yield f"  at        {record.time}"
    yield f"  plan      {record.plan_digest}, by {record.renderer}"
    yield from _brought_lines(record.brings)
    if record.reviewed is not None:
        yield f"  reviewed  pull request {record.reviewed.pull_request}: {_REVIEWED[_review_word(record.reviewed)]}"
    for rollout in record.rollouts:
        yield ""
        yield from _rollout_lines(rollout)
    for name, one in sorted(record.reverted.items()):
        went = f"went back to what deployment {one.to} has" if one.to else "was taken out"
        yield f"  {name} {went}, by deployment {one.by}: {one.reason}"
    yield ""
    yield from _worker_lines(workers)
    yield from change_lines(changes.changes, changes.changed_workers)


def _review_word(reviewed: Reviewed) -> str:
    return "same" if reviewed.same else "different" if reviewed.shown else "nothing"


def _brought_lines(brings: Brought) -> Iterator[str]:
    """The commits beside the version itself: pushed after the deployment before, and deployed together with it."""
    superseded = brings.commits[1:]
    if not superseded:
        return
    yield f"  brings    {brings.count} commits; the newest superseded the others:"
    for one in superseded[:_MOST_COMMITS]:
        yield f"            {one.commit[:7]} {one.subject} ({one.author.partition(' <')[0]})"
    left = brings.count - 1 - len(superseded[:_MOST_COMMITS])
    if left:
        yield f"            and {left} more"


def _worker_lines(workers: Sequence[WorkerOutcome]) -> Iterator[str]:
    """Each worker once, together with those of which the same was seen at the same time; errors stand with the runs."""
    together: dict[str, list[str]] = {}
    for one in workers:
        together.setdefault(f"{_OUTCOMES[one.outcome]} {one.at}".rstrip(), []).append(one.worker)
    for what, names in together.items():
        more = f" and {len(names) - _MOST_WORKERS} more" if len(names) > _MOST_WORKERS else ""
        yield f"{what}: {', '.join(names[:_MOST_WORKERS])}{more}"


def _rollout_lines(rollout: RolloutRecord) -> Iterator[str]:
    counts = ", ".join(f"{count} {state}" for state, count in rollout.counts.items()) or "no workers"
    only = f" (only {', '.join(rollout.only)})" if rollout.only else ""
    yield f"rolled out from {rollout.started} to {rollout.finished}{only}: {counts}"
    for group, why in rollout.stopped.items():
        yield f"  stopped in {group}: {why}"
    if rollout.superseded_by is not None:
        yield f"  superseded by deployment {rollout.superseded_by}"
    if rollout.paused:
        yield f"  ended by a pause of {rollout.paused}"
    if rollout.interrupted:
        yield "  interrupted"
    for worker, error in rollout.errors.items():
        yield f"  {worker}: {error.removeprefix(f'{worker}: ')}"
    if rollout.unfinished:
        yield f"  begun, and the end not waited for: {', '.join(rollout.unfinished)}"
    not_begun = [name for name in rollout.not_attempted if name not in rollout.unfinished]
    if not_begun:
        yield f"  not attempted: {', '.join(not_begun)}"
    for worker, edits in rollout.overwritten.items():
        for edit in edits:
            yield f"  {worker}: overwrote {edit.path}, {edit.change} by hand" + (f": {edit.note}" if edit.note else "")
            yield from (f"    {line}" for line in edit.diff.splitlines())
