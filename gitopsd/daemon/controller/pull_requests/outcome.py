"""What became of a version after its merge, in a few words for a status and in Markdown for its pull request."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitopsd.daemon.controller import events
from gitopsd.daemon.history.outcomes import WorkerOutcome, worker_outcomes
from gitopsd.daemon.history.rollout_note import Reviewed, RolloutNote, read_rollouts
from gitopsd.forge.forge import StatusState
from gitopsd.planner.comment.neutral import code, neutral
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactCommit
from gitopsd.repo.repository import Repository

_MOST_WORKERS = 20
_MOST_WORKFLOWS = 10
_LONGEST = 160
_BAD = frozenset({"failed", "rolled-back"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`words` are plain text, `markdown` whole lines."""

    state: StatusState
    words: str
    markdown: str


def of_deployment(
    repository: Repository,
    branch: ArtifactBranch,
    deployment: ArtifactCommit,
    others: Mapping[int, ArtifactCommit],
    *,
    compared: str,
) -> Outcome:
    """By its note; of one that was superseded, by that of the deployment which has it. `compared` is a sentence about
    what was shown, or empty. Raises RepositoryError.
    """
    number = _number(deployment)
    latest = _latest(repository, branch, deployment, others)
    note = read_rollouts(repository, branch, latest)
    workers = worker_outcomes(repository, latest, note.rollouts)
    state, words = _words(note, workers)
    part = "" if latest is deployment else f", as a part of deployment {_number(latest)}"
    lines = [f"**Deployment {number} of {code(branch.environment)}: {neutral(words)}{part}.** {compared}".rstrip()]
    return Outcome(
        state=state,
        words=f"deployment {number}: {words}{part}",
        markdown="\n".join([*lines, *_reverted(note), *_unwell(workers)]),
    )


def of_version(event: events.Held | events.Refused | events.Settled, environment: str) -> Outcome:
    """Of one that isn't deployed, or has nothing to deploy."""
    match event:
        case events.Held():
            until = f" until {event.until}" if event.until else ""
            words, state = f"waits{until}: {'; '.join(event.reasons)}", "pending"
        case events.Refused():
            hint = f" ({event.hint})" if event.hint else ""
            words, state = f"not deployed: {event.error}{hint}", "failure"
        case events.Settled():
            words, state = "nothing to deploy: it changes no release", "success"
    return Outcome(
        state=state,  # type: ignore[arg-type] # each of the three is one
        words=words,
        markdown=f"**{code(environment)}:** {neutral(words, 1_500)}",
    )


def comparison(reviewed: Reviewed | None, differs: str) -> str:
    """A sentence about what was shown; `differs` says where, or is empty."""
    if reviewed is None:
        return ""
    if reviewed.same:
        return "It does what is shown here."
    if not reviewed.shown:
        return "It was merged before a plan of it was shown."
    return f"It does something else than is shown here{neutral(differs)}."


def _words(note: RolloutNote, workers: Sequence[WorkerOutcome]) -> tuple[StatusState, str]:
    last = note.rollouts[-1] if note.rollouts else None
    well = sum(one.outcome == "in-sync" for one in workers)
    of = f"{well} of {len(workers)} worker{'' if len(workers) == 1 else 's'}"
    by = ", ".join(sorted({str(one.by) for one in note.reverted.values()}))
    waiting = any(one.outcome in {"unknown", "not-attempted"} for one in workers)
    rules: tuple[tuple[bool, StatusState, str], ...] = (
        (bool(note.reverted), "failure", f"failed, and was reverted by deployment {by}"),
        (last is None, "pending", "rolling out"),
        (last is not None and bool(last.failed or last.stopped or _BAD & last.counts.keys()), "failure",
         f"failed; {of} are in sync"),
        (last is not None and bool(last.paused), "pending", f"paused; {of} are in sync"),
        (waiting, "pending", f"rolling out; {of} are in sync"),
        (well < len(workers), "pending", f"{of} are in sync, the others can't be reached"),
        (True, "success", f"converged on {well} worker{'' if well == 1 else 's'}"),
    )  # fmt: skip
    return next((state, words) for applies, state, words in rules if applies)


def _latest(
    repository: Repository, branch: ArtifactBranch, deployment: ArtifactCommit, others: Mapping[int, ArtifactCommit]
) -> ArtifactCommit:
    """The deployment itself, or the one that superseded it before it was rolled out."""
    found = deployment
    while True:
        note = read_rollouts(repository, branch, found)
        after = note.rollouts[-1].superseded_by if note.rollouts and not note.reverted else None
        if after is None or after not in others or after <= _number(found):
            return found
        found = others[after]


def _reverted(note: RolloutNote) -> Iterator[str]:
    if not note.reverted:
        return
    yield ""
    for name, one in sorted(note.reverted.items())[:_MOST_WORKFLOWS]:
        went = f"went back to what deployment {one.to} has" if one.to else "was taken out"
        yield f"- {code(name)} {went}: {neutral(one.reason, _LONGEST)}"
    if len(note.reverted) > _MOST_WORKFLOWS:
        yield f"- and {len(note.reverted) - _MOST_WORKFLOWS} more workflows"


def _unwell(workers: Sequence[WorkerOutcome]) -> Iterator[str]:
    unwell = [one for one in workers if one.error]
    if not unwell:
        return
    yield "\n| worker | what is wrong |\n|---|---|"
    for one in unwell[:_MOST_WORKERS]:
        error = one.error.removeprefix(f"{one.worker}: ")
        yield f"| {code(one.worker)} | {neutral(' '.join(error.split()), _LONGEST)} |"
    if len(unwell) > _MOST_WORKERS:
        yield f"| … {len(unwell) - _MOST_WORKERS} more | |"


def _number(deployment: ArtifactCommit) -> int:
    return deployment.trailers.deployment if deployment.trailers else 0
