"""All that keeps new versions from an environment now: one list for every path that deploys, and for all that show it.

None of it keeps drift from being healed, but for a pause, nor ends a rollout that has begun.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from msgspec import Struct

from gitopsd.daemon.artifacts.control import control_of, moment
from gitopsd.daemon.artifacts.state import read_fleet
from gitopsd.daemon.configuration.configuration import policy_of
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.holds.asked import Asked, HoldKind
from gitopsd.daemon.holds.reviewed import why_not_reviewed
from gitopsd.daemon.holds.upgrade import why_not_through
from gitopsd.daemon.planning.plan import Planned, deployed_branch
from gitopsd.daemon.workspace import Workspace
from gitopsd.planner.windows import closed, matching
from gitopsd.repo.artifacts import ArtifactHead

_CONFIGURATION = "the operator's configuration"
_TOLD_BY_THE_PLAN = frozenset({"upgrade", "deletes"})


class Hold(Struct, frozen=True, kw_only=True):
    """One reason why nothing new is deployed. `since` and `until` are Moments, or empty where there is none.

    `sentence` says it all to people, and `way_out` what ends it, or goes on all the same. `commit` is the version that
    a hold keeps the environment at: that one is deployed.
    """

    kind: HoldKind
    sentence: str
    reason: str
    way_out: str
    owner: str = ""
    since: str = ""
    until: str = ""
    commit: str = ""


class HeldError(ControllerError):
    """A version isn't deployed because of `hold`; nothing was changed."""

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold.sentence, "; ".join(["nothing was done", *([hold.way_out] if hold.way_out else [])]))
        self.hold = hold


def holds_of(
    workspace: Workspace, head: ArtifactHead | None, now: datetime, planned: Planned | None = None
) -> tuple[Hold, ...]:
    """Everything that holds, the pause first. What a plan is held by can only be told with it: an upgrade of gitopsd
    that policy holds, and deletes to be confirmed; without it a window counts whichever groups it is about.

    Raises RepositoryError, and DiagnosticsError where it takes gitopsd.yaml to know the environment.
    """
    trailers = head.deployment.trailers if head and head.deployment else None
    if planned is not None:
        environment = planned.branch.environment
    elif trailers is not None:
        environment = trailers.environment
    else:
        environment = deployed_branch(workspace).environment
    decided = _decided(workspace, head, environment, moment(now))
    if planned is None:
        return (*decided, *_windows(workspace, environment, now, None))
    groups = _changed_groups(workspace, planned)
    windows = _windows(workspace, environment, now, groups) if groups else ()
    more = (*_planned(planned), *_upgrading(workspace, planned), *_reviewing(workspace, planned))
    return (*decided, *windows, *more)


def hold_lines(holds: Collection[Hold]) -> list[str]:
    """A sentence for each, with the way out; what a plan says of itself is left to it."""
    return [f"{one.sentence} ({one.way_out})" for one in holds if one.kind not in _TOLD_BY_THE_PLAN]


def refuse_held(holds: Collection[Hold], asked: Asked) -> None:
    """Raises HeldError for the first that `asked` doesn't override. The version that a hold is at is not its matter."""
    for hold in holds:
        if hold.kind != "hold" and not asked.overrides(hold.kind):
            raise HeldError(hold)


def refuse_paused(workspace: Workspace, head: ArtifactHead | None, environment: str) -> None:
    """Raises HeldError while the environment is paused: nothing is healed then either."""
    decided = _decided(workspace, head, environment, moment())
    refuse_held([hold for hold in decided if hold.kind == "pause"], Asked())


def _decided(workspace: Workspace, head: ArtifactHead | None, environment: str, now: str) -> Iterator[Hold]:
    control = control_of(workspace.repository, head)
    pause, kept = control.pause, control.hold
    if pause and not pause.has_expired(now):
        end = f" until {pause.until}" if pause.until else ""
        yield Hold(
            kind="pause",
            sentence=f"{environment} is paused by {pause.owner} since {pause.since}{end}: {pause.reason}",
            reason=pause.reason,
            way_out="`gitopsd resume` ends the pause, and `gitopsd apply --despite-pause` leaves it as it is",
            owner=pause.owner,
            since=pause.since,
            until=pause.until,
        )
    if kept and not kept.has_expired(now):
        end = f" until {kept.until}" if kept.until else ""
        at = f"held at {kept.commit[:12]} by {kept.owner} since {kept.since}{end}"
        yield Hold(
            kind="hold",
            sentence=f"{environment} is {at}: {kept.reason}",
            reason=kept.reason,
            way_out="`gitopsd resume` ends the hold, and `gitopsd apply REV --hold REASON` moves it",
            owner=kept.owner,
            since=kept.since,
            until=kept.until,
            commit=kept.commit,
        )


def _windows(workspace: Workspace, environment: str, now: datetime, groups: Collection[str] | None) -> Iterator[Hold]:
    configured = policy_of(workspace.configuration).windows
    if not configured:
        return
    from gitopsd.daemon.configuration.windows import read_windows  # noqa: PLC0415 - cron and time zones take 7 ms of every command

    found = closed(matching(read_windows(configured), environment, groups), now.timestamp())
    if found is None:
        return
    until = "" if found.until is None else moment(datetime.fromtimestamp(found.until, UTC))
    end = f" until {until}" if until else ""
    yield Hold(
        kind="window",
        sentence=f"{environment}: new versions are held{end} by {found.reason}",
        reason=found.reason,
        way_out="`gitopsd apply --despite-window` deploys all the same",
        owner=_CONFIGURATION,
        until=until,
    )


def _upgrading(workspace: Workspace, planned: Planned) -> Iterator[Hold]:
    """A new version comes after gitopsd's upgrade, so that what fails is told apart; another upgrade may come now."""
    if planned.upgrade is not None or planned.upgrades_from or planned.plan.is_empty:
        return
    why = why_not_through(workspace.repository, planned.branch, planned.head)
    if why:
        yield Hold(
            kind="rollout",
            sentence=f"new versions are deployed after gitopsd's upgrade: {why}",
            reason=why,
            way_out="`gitopsd apply` deploys all the same",
        )


def _reviewing(workspace: Workspace, planned: Planned) -> Iterator[Hold]:
    policy, environment = policy_of(workspace.configuration), planned.branch.environment
    if not policy.requires_review(environment):
        return
    why = why_not_reviewed(workspace, planned)
    if why:
        let_through = "was approved on its" if policy.requires_approval(environment) else "is shown on a merged"
        yield Hold(
            kind="review",
            sentence=f"only what {let_through} pull request is deployed by itself, and {why}",
            reason=why,
            way_out="`gitopsd apply` by a person deploys it all the same",
            owner=_CONFIGURATION,
        )


def _changed_groups(workspace: Workspace, planned: Planned) -> frozenset[str]:
    """The groups of the workers that it changes, those they leave included."""
    plans = [planned.plan] + ([planned.upgrade.plan] if planned.upgrade else [])
    before = read_fleet(workspace.repository, planned.head.commit.tree) if planned.head else {}
    fleets = (before, planned.rendering.workers)
    names = {name for plan in plans for name in plan.changed_workers}
    return frozenset(fleet[name].group for fleet in fleets for name in names if name in fleet)


def _planned(planned: Planned) -> Iterator[Hold]:
    upgrade = planned.plan.upgrade
    if upgrade is not None and upgrade.held and (upgrade.changed_workers or not planned.plan.is_empty):
        yield Hold(
            kind="upgrade",
            sentence=f"{upgrade.words}, and that is held by policy",
            reason=upgrade.held,
            way_out="`gitopsd apply --upgrade` deploys it",
            owner=_CONFIGURATION,
        )
    for plan in ([planned.upgrade.plan] if planned.upgrade else []) + [planned.plan]:
        if plan.held:
            yield Hold(kind="deletes", sentence=f"the plan is held: {plan.held}", reason=plan.held, way_out="")
