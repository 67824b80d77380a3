"""Plans one pull request, and shows what it does: a comment and a status for each environment, written only if new."""

import hashlib
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from gitopsd.daemon.configuration.configuration import ForgeConfiguration
from gitopsd.daemon.controller.pull_requests.comment_parts import ROOM, essence, shown_in, with_shown
from gitopsd.daemon.controller.pull_requests.heads import fetch_head
from gitopsd.daemon.controller.pull_requests.reach import Reach, set_status
from gitopsd.daemon.controller.pull_requests.situation import Situation
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.pull_requests.exchange import Limits, Links, Outcome
from gitopsd.daemon.pull_requests.outcomes import outcomes_of
from gitopsd.daemon.pull_requests.shown import Shown
from gitopsd.daemon.pull_requests.status import plan_status
from gitopsd.forge.forge import CommitStatus, PullRequest, StatusState
from gitopsd.forge.pages import file_page
from gitopsd.planner.comment.comment import marker
from gitopsd.repo.errors import RepositoryError

_LONGEST_COMMENT = 250_000
"""Bytes: where a forge takes more, nobody reads on."""


class NotPlannedError(ControllerError):
    """It couldn't be planned, for a reason that may pass; that was said on the pull request."""


def is_ours(pull_request: PullRequest, branch: str, settings: ForgeConfiguration) -> bool:
    """Whether it is planned: into the branch that is deployed, and from a fork only where that is allowed."""
    return pull_request.base_ref == branch and (not pull_request.from_fork or settings.forks == "plan")


def show(reach: Reach, pull_request: PullRequest, situation: Situation) -> bool:
    """Whether it had to be planned. Raises NotPlannedError, ForgeError, RepositoryError."""
    head = pull_request.head_commit
    known = reach.memory.shown(pull_request.number)
    names = (reach.only,) if reach.only else tuple(dict.fromkeys([*situation.environments, *known]))
    stale = [name for name in names if name not in known or known[name].key != situation.key(name, head)]
    if not stale:
        return False
    _remember_again(reach, pull_request, [name for name in stale if name not in known])
    known = reach.memory.shown(pull_request.number)
    new = [name for name in stale if name not in known or known[name].head != head]
    whole = bool(new) or any(not known[name].key for name in stale)
    for name in new:
        _set_status(reach, pull_request, name, _status(pull_request, name, "pending", "planning"))
    try:
        ref = reach.forge.head_ref(pull_request.number)
        objects = fetch_head(reach.workspace, pull_request.number, ref, head)
        outcomes = _plan(reach, pull_request, situation, stale=() if whole else stale, objects=objects)
    except (RepositoryError, ControllerError) as error:
        for name in stale:
            why = f"could not be planned: {error.message}"
            _set_status(reach, pull_request, name, _status(pull_request, name, "error", why))
        raise
    now = reach.forge.pull_request(pull_request.number)
    if now.state != "open" or now.head_commit != head:
        return True  # what is shown after a merge was not reviewed; a newer head is planned in the next round
    for outcome in outcomes:
        _write(reach, pull_request, outcome, situation.key(outcome.environment, head))
    if whole:
        _take_back(reach, pull_request, known.keys() - {one.environment for one in outcomes})
    unknown = next((one for one in outcomes if one.state == "unknown"), None)
    if unknown is not None:
        raise NotPlannedError(f"{unknown.environment} {unknown.description}", "its comment says why")
    return True


def _remember_again(reach: Reach, pull_request: PullRequest, environments: Collection[str]) -> None:
    """What comments say that they show, where that was forgotten: so nothing that stands there is written again."""
    for name in environments:
        shown = shown_in(reach.forge.comment(pull_request.number, marker(name)))
        if shown is not None:
            reach.memory.show(pull_request.number, name, shown)


def _plan(
    reach: Reach, pull_request: PullRequest, situation: Situation, *, stale: Collection[str], objects: Path | None
) -> tuple[Outcome, ...]:
    """Of the environments that are stale; where none is named, of all, and of those that only the pull request has."""
    settings = reach.settings
    chosen: Collection[str] = () if set(stale) - situation.environments.keys() else stale
    return outcomes_of(
        reach.workspace,
        pull_request.head_commit,
        situation.base,
        objects=objects,
        environments=(reach.only,) if reach.only else chosen,
        links=Links(file=file_page(reach.forge.kind, settings.url, settings.repository, pull_request.head_commit)),
        limits=Limits(comment=min(reach.forge.comment_limit, _LONGEST_COMMENT) - ROOM),
    )


def _write(reach: Reach, pull_request: PullRequest, outcome: Outcome, key: str) -> None:
    head, name = pull_request.head_commit, outcome.environment
    before = reach.memory.shown(pull_request.number).get(name)
    text = essence(outcome.comment, head, outcome.effects)
    at: datetime | None = None
    if before is None or before.text != text:
        body = with_shown(outcome.comment, head, outcome.effects)
        at = reach.forge.upsert_comment(pull_request.number, outcome.marker, body)
    same = before is not None and (before.head, before.effects) == (head, outcome.effects)
    since = before.since if before is not None and same else 0.0
    since = since or _since(reach, pull_request, outcome.marker, at)
    shown = Shown(
        head=head,
        key="" if outcome.state == "unknown" else key,
        effects=outcome.effects,
        jobs=outcome.jobs,
        changes=outcome.changes,
        since=since,
        text=text,
        status=before.status if before else "",
        approval=before.approval if before else "",
    )
    reach.memory.show(pull_request.number, name, shown)
    _set_status(reach, pull_request, name, plan_status(outcome, pull_request.url))


def _since(reach: Reach, pull_request: PullRequest, mark: str, written: datetime | None) -> float:
    """When its comment was written, which may have been a moment before the controller died."""
    if written is not None:
        return written.timestamp()
    there = reach.forge.comment(pull_request.number, mark)
    return there.at.timestamp() if there is not None else 0.0


def _set_status(reach: Reach, pull_request: PullRequest, environment: str, status: CommitStatus) -> None:
    """Writes it, unless that head has it already, and remembers that."""
    head = pull_request.head_commit
    token = hashlib.sha256(f"{head}\n{status.state}\n{status.description}".encode()).hexdigest()[:40]
    before = reach.memory.shown(pull_request.number).get(environment, Shown(head=head))
    if before.status == token:
        return
    set_status(reach, pull_request, status)
    reach.memory.show(pull_request.number, environment, replace(before, head=head, status=token))


def _status(pull_request: PullRequest, environment: str, state: StatusState, description: str) -> CommitStatus:
    """While there is no outcome."""
    context = f"gitopsd/plan/{environment}"
    return CommitStatus(context=context, state=state, description=description, target=pull_request.url)


def _take_back(reach: Reach, pull_request: PullRequest, environments: Collection[str]) -> None:
    """What a pull request showed of environments that it has no more must not look as if it counted."""
    if reach.only:
        return
    for name in sorted(environments):
        mark = marker(name)
        said = f"{mark}\n### Nothing to plan\n\nThere is no such environment any more.\n"
        reach.forge.upsert_comment(pull_request.number, mark, said)
        reach.memory.forget(pull_request.number, [name])
