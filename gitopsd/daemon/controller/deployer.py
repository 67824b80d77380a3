"""Commits what is to be deployed to one environment: its artifact branch follows the newest version of the source."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from gitopsd.daemon.artifacts.control import control_of, expired_parts, moment
from gitopsd.daemon.configuration.configuration import policy_of
from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.heartbeat import Heart
from gitopsd.daemon.controller.loop import SEE_LOG
from gitopsd.daemon.controller.reporting import PlanEvents, Voice
from gitopsd.daemon.controller.requests import Taken
from gitopsd.daemon.controller.troubles import Troubles
from gitopsd.daemon.deploying.committing import Applied, commit_version
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.history.brought import brought_by
from gitopsd.daemon.holds.asked import Asked
from gitopsd.daemon.holds.holds import HeldError, Hold, holds_of
from gitopsd.daemon.holds.reviewed import review_key
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.control import ControlRecord, Decision
from gitopsd.model.excerpt import format_diagnostics
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_head
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.publish import fetch_artifacts

Outcome = events.Refused | events.Held | events.Settled | events.Committed

PUSHED = Asked(trigger="push")
"""Nobody looks on."""

_PLAN_SECONDS = 900.0
_REST_SECONDS = 3600.0
_AGAIN_SECONDS = 60.0
_ASKING_SECONDS = 5.0
"""A forge is asked at once, so who merges needn't be told that this wasn't done yet; only where it takes longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Situation:
    """What a plan follows from, and the configuration that it is judged by: the same comes to the same."""

    source: str
    head: str
    pin: str
    configuration: int
    review: str = ""

    @property
    def version(self) -> str:
        """What it is known by after a restart."""
        return " ".join(part for part in (self.source, self.head, self.pin) if part)


class Deployer:
    """The cycle of the thread that plans and commits, while another one converges: so a newer version pre-empts.

    `newest` gives the source branch's commit as it was seen last, `pin` what the tag that the environment is pinned to
    points at, `generation` counts configurations. `committed` is called when the artifact branch moved.
    """

    def __init__(
        self,
        branch: ArtifactBranch,
        workspace: Callable[[], Workspace],
        troubles: Troubles,
        tell: events.Listener,
        *,
        newest: Callable[[], str],
        pin: Callable[[], str],
        generation: Callable[[], int],
        committed: Callable[[], object],
    ) -> None:
        self._branch = branch
        self._workspace = workspace
        self._troubles = troubles
        self._tell = tell
        self._voice = Voice(branch.environment, tell)
        self._newest = newest
        self._pin = pin
        self._generation = generation
        self._committed = committed
        self._settled: _Situation | None = None
        self._last_head = ""
        self._tried: _Situation | None = None
        self._asking: tuple[str, float] | None = None
        self.outcome: Outcome | None = None
        """What became of the newest version: Settled, Committed, Refused or Held."""
        self.awaits_rollout = False
        """Whether gitopsd's own upgrade has to be rolled out before the newest version can be deployed."""

    def cycle(self, taken: Taken, heart: Heart) -> float:
        del taken  # level-triggered: what is there counts, not who asked
        source = self._newest()
        if not source:
            return _REST_SECONDS
        with heart.allowed(_PLAN_SECONDS):
            try:
                workspace = self._workspace()
                fetch_artifacts(workspace.repository, self._branch, workspace.remote)
                head = self._head(workspace)
            except (RepositoryError, ControllerError, DiagnosticsError) as error:
                if self._settled is not None and self._settled.source == source:
                    return _AGAIN_SECONDS  # it is deployed all the same, and the look at the branches tells it
                return self._refused(source, source, error)
            return self._deploy(workspace, source, head)

    def failed(self, taken: Taken, why: str) -> None:
        """A cycle ended with an error that isn't known here: who asks how things are must not see those of before."""
        del taken
        self._outcome(events.Refused(**self._voice.here(), source=self._newest(), error=why, hint=SEE_LOG))

    def _head(self, workspace: Workspace) -> ArtifactHead | None:
        """A branch that was there and is gone isn't begun anew: that would lose the record, and workers refuse it."""
        head = read_head(workspace.repository, self._branch)
        if head is None and self._last_head:
            raise ControllerError(
                f"the artifact branch {self._branch.name} is gone, which was at {self._last_head[:12]}",
                f"`git update-ref {self._branch.ref} {self._last_head}` brings it back; to begin anew all the same, "
                "restart the controller",
            )
        self._last_head = head.commit.id if head else ""
        return head

    def _deploy(self, workspace: Workspace, source: str, head: ArtifactHead | None) -> float:
        situation = _Situation(
            source=source,
            head=head.commit.id if head else "",
            pin=self._pin(),
            configuration=self._generation(),
            review=self._review(workspace, source),
        )
        control = control_of(workspace.repository, head)
        if situation == self._settled and not expired_parts(control):
            return _until_next_end(control)
        pause = next((one for one in holds_of(workspace, head, datetime.now(UTC)) if one.kind == "pause"), None)
        if pause is not None:
            self._held(source, pause)
            return _until_next_end(control)
        remaining = self._troubles.remaining(situation.version)
        if remaining > 0 and self._tried in {None, situation}:
            return self._refused_before(source, remaining)
        self._tried = situation
        self._tell(events.Planning(**self._voice.here(), source=source))
        try:
            applied = commit_version(
                workspace,
                lambda: read_commit(workspace.repository, source),
                named=False,
                asked=PUSHED,
                reporter=PlanEvents(self._branch.environment, self._tell),
            )
        except HeldError as error:
            return min(_until_next_end(control), self._kept_back(situation, error.hold))
        except (DiagnosticsError, RepositoryError, ControllerError) as error:
            return self._refused(source, situation.version, error)
        self._troubles.over()
        self.awaits_rollout = applied.goes_on
        if not applied.goes_on:
            self._settled = replace(situation, head=applied.head.commit.id)
        self._succeeded(workspace, source, applied)
        if applied.committed:
            self._committed()
        return _until_next_end(control)

    def _review(self, workspace: Workspace, source: str) -> str:
        """What is known of the pull request that it came from, where that counts."""
        required = policy_of(workspace.configuration).requires_review(self._branch.environment)
        return review_key(workspace, self._branch.environment, source) if required else ""

    def _kept_back(self, situation: _Situation, hold: Hold) -> float:
        """Seconds until that may be over."""
        asking = 0.0 if situation.review else self._seconds_of_asking(situation.source)
        if hold.kind == "review" and asking > 0:
            return asking  # the loop of pull requests has it tried again as soon as it knows
        self.awaits_rollout = hold.kind == "rollout"
        if hold.kind in {"deletes", "upgrade", "review"}:
            self._settled = situation  # until a person confirms it, or something else is to be deployed
        self._held(situation.source, hold)
        return _seconds_until(hold.until)

    def _seconds_of_asking(self, source: str) -> float:
        """How long nothing is said, while the forge may be asked where the version came from."""
        if self._asking is None or self._asking[0] != source:
            self._asking = (source, time.monotonic())
        return self._asking[1] + _ASKING_SECONDS - time.monotonic()

    def _succeeded(self, workspace: Workspace, source: str, applied: Applied) -> None:
        """Where a hold keeps the environment at another version, that is what became of the newest one."""
        event = self._event_of(workspace, applied)
        holds = holds_of(workspace, applied.head, datetime.now(UTC))
        kept = next((one for one in holds if one.kind == "hold" and one.commit != source), None)
        if kept is None:
            self._outcome(event)
            return
        if isinstance(event, events.Committed):
            self._tell(event)
        self._held(source, kept)

    def _event_of(self, workspace: Workspace, applied: Applied) -> events.Committed | events.Settled:
        """Of the version that was deployed: the deployed one still, for an upgrade or where a hold keeps it."""
        source = applied.planned.plan.inputs.source_commit
        head, deployment = applied.head.commit.id, applied.head.deployment
        trailers = deployment.trailers if deployment else None
        if deployment is None or trailers is None or not applied.committed or applied.planned.plan.is_empty:
            return events.Settled(**self._voice.here(), source=source, head=head, deployment=applied.deployment)
        return events.Committed(
            **self._voice.here(),
            source=source,
            head=head,
            deployment=applied.deployment,
            trigger=trailers.trigger,
            subject=deployment.subject,
            author=deployment.author,
            workers=tuple(sorted(applied.planned.plan.changed_workers)),
            superseded=tuple(one.commit for one in brought_by(workspace.repository, deployment).commits[1:]),
        )

    def _held(self, source: str, hold: Hold) -> None:
        reason = "; ".join(part for part in (hold.sentence, hold.way_out) if part)
        self._outcome(events.Held(**self._voice.here(), source=source, reasons=(reason,), until=hold.until))

    def _refused(self, source: str, version: str, error: DiagnosticsError | RepositoryError | ControllerError) -> float:
        """What doesn't compile comes to the same until something outside changes: a tag that a pin names, say."""
        diagnostics, message, hint = "", str(error), ""
        if isinstance(error, DiagnosticsError):
            diagnostics = format_diagnostics(error.diagnostics, error.sources)
        else:
            message, hint = error.message, error.hint
        trouble = self._troubles.add(version, message, hint, longest=bool(diagnostics))
        refused = events.Refused(
            **self._voice.here(),
            source=source,
            error=message,
            hint=hint,
            diagnostics=diagnostics,
            attempts=trouble.attempts,
            next=trouble.next,
        )
        self._outcome(refused)
        return trouble.wait

    def _refused_before(self, source: str, remaining: float) -> float:
        """After a restart what came of it before is said again, and it isn't tried before its time."""
        trouble = self._troubles.last
        if self.outcome is None and trouble is not None:
            self._outcome(
                events.Refused(
                    **self._voice.here(),
                    source=source,
                    error=trouble.error,
                    hint=trouble.hint,
                    attempts=trouble.attempts,
                    next=trouble.next,
                )
            )
        return remaining

    def _outcome(self, event: Outcome) -> None:
        """Told once, however often it comes to the same."""
        before, self.outcome = self.outcome, event
        if _essence(before) != _essence(event):
            self._tell(event)


def _essence(event: Outcome | None) -> Outcome | None:
    """An event without when it was, and how often before."""
    match event:
        case events.Refused():
            return msgspec.structs.replace(event, at=0.0, attempts=0, next=0.0)
        case None:
            return None
        case _:
            return msgspec.structs.replace(event, at=0.0)


def _until_next_end(control: ControlRecord) -> float:
    """Seconds until something that a person decided ends by the clock, which a commit must then say.

    What is over already isn't waited for: where it still stands, a pause keeps that commit away.
    """
    decisions: list[Decision] = [*control.cordons.values(), *control.quarantines.values()]
    decisions += [one for one in (control.pause, control.hold) if one is not None]
    now = moment()
    return min([_seconds_until(one.until) for one in decisions if not one.has_expired(now)], default=_REST_SECONDS)


def _seconds_until(end: str) -> float:
    """Until a Moment; some time where there is none. A second more, so that it is over by then."""
    if not end:
        return _REST_SECONDS
    return max(1.0, min(_REST_SECONDS, datetime.fromisoformat(end).timestamp() + 1 - time.time()))
