"""Whether somebody approved what a pull request shows.

An approval is for what was shown when it was given: for that head, and for that plan. A push makes it void, and so does
another plan of the same head, as when the base moved. Both times are the forge's own, so no other clock matters.
"""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from gitopsd.daemon.configuration.configuration import policy_of
from gitopsd.daemon.controller.pull_requests.reach import Reach, set_status
from gitopsd.daemon.pull_requests.shown import Shown
from gitopsd.forge.forge import Approval, CommitStatus, PullRequest

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """`by` are those whose approval counts; `void` says why others' don't, and is empty where there are none."""

    by: tuple[str, ...]
    void: str


def approved(approvals: Collection[Approval], head: str, shown: Shown) -> Approved:
    """`head` is the pull request's own, by the forge, and `shown` what it showed last."""
    given = [one for one in approvals if one.valid]
    by = tuple(one.author for one in given if not _why_void(one, head, shown))
    void = [f"{one.author} {_why_void(one, head, shown)}" for one in given if one.author not in by]
    more = len(void) - _MOST_NAMED
    return Approved(by=by, void="; ".join([*void[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]))


def show_approvals(reach: Reach, pull_request: PullRequest) -> None:
    """The status `gitopsd/approval/ENVIRONMENT` of the head, where policy asks for approvals. Raises ForgeError."""
    policy = policy_of(reach.workspace.configuration)
    head, known = pull_request.head_commit, reach.memory.shown(pull_request.number)
    names = [name for name, one in known.items() if policy.requires_approval(name) and one.head == head]
    if not names:
        return
    approvals = reach.forge.approvals(pull_request)
    for name in names:
        status = _status(pull_request, name, known[name], approved(approvals, head, known[name]))
        token = hashlib.sha256(f"{head}\n{status.state}\n{status.description}".encode()).hexdigest()[:40]
        if known[name].approval != token:
            set_status(reach, pull_request, status)
            reach.memory.show(pull_request.number, name, replace(known[name], approval=token))


def _why_void(approval: Approval, head: str, shown: Shown) -> str:
    rules = (
        (approval.at is None, "approved it, and the forge doesn't tell when"),
        (bool(approval.commit) and approval.commit != head, f"approved {approval.commit[:12]}, before the last push"),
        (
            shown.head != head or not shown.effects or not shown.since,
            "approved it before a plan of the last push was shown",
        ),
        (approval.at is not None and approval.at.timestamp() <= shown.since, "approved another plan than is shown now"),
    )
    return next((why for applies, why in rules if applies), "")


def _status(pull_request: PullRequest, environment: str, shown: Shown, found: Approved) -> CommitStatus:
    rules: Iterator[tuple[bool, bool, str]] = iter((
        (not shown.effects, False, "there is no plan to approve"),
        (not shown.changes, True, "nothing to approve: it changes nothing"),
        (bool(found.by), True, f"approved by {', '.join(found.by)}"),
        (bool(found.void), False, f"to be approved again: {found.void}"),
        (True, False, "nobody approved this plan yet"),
    ))  # fmt: skip
    good, description = next((good, words) for applies, good, words in rules if applies)
    return CommitStatus(
        context=f"gitopsd/approval/{environment}",
        state="success" if good else "pending",
        description=description,
        target=pull_request.url,
    )
