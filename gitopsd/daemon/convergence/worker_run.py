"""One worker made equal to its release: observe → decide → act → confirm → read back. All rollouts come here.

Each step blocks the thread that it is called on, and no two are called at once. Between them a rollout may end.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gitopsd.daemon.convergence.activating import activate
from gitopsd.daemon.convergence.cut_off import NeverMade, Reached, RolledAway, short_id, wait_for
from gitopsd.daemon.convergence.differences import Differences, find_differences
from gitopsd.daemon.convergence.result import PayloadSource, State, WorkerResult
from gitopsd.daemon.convergence.rollout_reporter import Stage
from gitopsd.daemon.secrets.handover import Handover
from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.errors import WorkerError, WorkerRefused, WorkerUnreachable
from gitopsd.fleet.protocol import Activation, Health
from gitopsd.fleet.target import Target
from gitopsd.model.artifacts import GroupRecord
from gitopsd.model.facts import Observation
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.drift import Drift, drained_jobs, find_drift

_MOST_RELEASES = 4
_SLICE_SECONDS = 2.0
_FRESH_SECONDS = 10.0
_MOST_LOGS, _LOG_LINES = 5, 20

_TOUCHED = ("started", "restarted", "reloaded", "stopped")

_NOT_SENT = frozenset({"resolve", "jump", "refused", "connect", "host-key", "banner", "auth"})
"""Stages at which nothing was asked of the worker yet."""

_UNTOUCHED = frozenset({
    "busy", "owned-by-another", "stale", "bad-payload", "unsupported", "invalid", "no-python", "no-sudo",
})  # fmt: skip
"""Codes with which a worker refuses before it changes anything."""

_UNTOUCHED_UNLESS_ARMED = frozenset({"no-space", "protocol"})
"""The disk is full, or came to be so; no answer that makes sense: the request was none, or the agent was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """A worker that has to be changed. `new`: it takes something that it doesn't hold, or failed to before."""

    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checking:
    """It holds its release, and it isn't known yet whether the jobs are healthy: `check` goes on."""


class WorkerRun:
    """`settings` are its group's. `on_trial`: nobody has seen it well with this release yet, so its health is looked at
    even where nothing has to be changed.

    `deployment` is the number that the worker is told, so that it refuses what is older. `stopping` says that waiting
    for a worker that is cut off is of no use any more. `progress` is told each stage, and `observed` what was
    seen, with `traffic` also what its jobs say of their events.
    """

    def __init__(
        self,
        desired: DesiredRelease,
        target: Target,
        workers: Workers,
        blobs: PayloadSource,
        *,
        secrets: Handover | None,
        settings: GroupRecord,
        deployment: int,
        on_trial: bool,
        progress: Callable[[str, Stage, str], None],
        observed: Callable[[str, Observation], None],
        about_to_change: Callable[[Differences], None],
        stopping: Callable[[], bool],
        traffic: bool = False,
    ) -> None:
        self._desired = desired
        self._target = target
        self._workers = workers
        self._blobs = blobs
        self._secrets = secrets
        self._settings = settings
        self._deployment = deployment
        self._on_trial = on_trial
        self._progress = progress
        self._tell_observed = observed
        self._about_to_change = about_to_change
        self._stopping = stopping
        self._traffic = traffic
        self._seconds: dict[str, float] = {}
        self._observed: Observation | None = None
        self._differences: Differences | None = None
        self._looked = self._changed = 0.0
        self._held = 0
        self._activation: Activation | None = None
        self.touched = False
        """Whether anything may have been changed there, in this run or before it came to its end in another."""

    @property
    def changed_jobs(self) -> tuple[str, ...]:
        """Those that don't run in the version that they should, as it was first seen."""
        drift = self._differences.drift if self._differences else ()
        return tuple(one.subject for one in drift if one.kind == "not-applied")

    def look(self) -> WorkerResult | Differs:
        """Observe and decide; changes nothing. Raises WorkerError."""
        self._say("connecting")
        with self._workers.connect(self._target) as connection:
            return self._look(connection)

    def change(self) -> WorkerResult | Checking:
        """Act, and confirm over a new connection that the worker can still be reached. After `look`.

        Raises WorkerError.
        """
        return self._tidied(self._change())

    def _change(self) -> WorkerResult | Checking:
        with self._workers.connect(self._target) as connection:
            if time.monotonic() - self._looked > _FRESH_SECONDS:
                looked = self._look(connection)
                if isinstance(looked, WorkerResult):
                    return looked
            if self._differences is None or self._observed is None:
                raise ValueError("it was looked at before")
            if not self._differences.drift:  # it was changed by a rollout before, which didn't see it well
                self._changed = time.monotonic()
                self.touched = True
                return Checking()
            self._about_to_change(self._differences)
            self._say("activating")
            started = time.monotonic()
            self.touched = True
            lost: WorkerUnreachable | None = None
            try:
                activation = self._activation = activate(
                    connection,
                    self._desired,
                    self._blobs,
                    self._observed.releases,
                    secrets=self._secrets,
                    confirm_timeout=self._settings.confirm_timeout,
                    deployment=self._deployment,
                )
            except WorkerRefused as refused:
                self.touched = refused.code not in _UNTOUCHED
                if self.touched and (undone := self._undo(connection, refused)):
                    return undone
                # a switch is armed before anything that runs is touched
                self.touched = self.touched and refused.code not in _UNTOUCHED_UNLESS_ARMED
                raise
            except WorkerUnreachable as error:
                self.touched = error.stage not in _NOT_SENT
                if not self.touched:
                    raise
                lost = error
            self._changed = time.monotonic()
            self._seconds["activate"] = self._changed - started
        if lost is not None:
            return self._cut_off(f"the connection was lost while it was changed: {lost.message}")
        return self._confirm(activation) or self._after(activation)

    def check(self) -> WorkerResult | Checking:
        """Whether the jobs are healthy: waits two seconds at most for that. After `change`. Raises WorkerError."""
        return self._tidied(self._check())

    def _check(self) -> WorkerResult | Checking:
        left = self._changed + self._settings.healthy_deadline - time.monotonic()
        try:
            with self._workers.connect(self._target) as connection:
                health = verbs.health(
                    connection,
                    self._desired.id,
                    min_healthy_time=self._settings.min_healthy_time,
                    wait=max(0.0, min(_SLICE_SECONDS, left)),
                    key=self._secrets.key if self._secrets else None,
                )
                return self._judged(connection, health, left)
        except WorkerRefused as refused:
            if refused.code != "stale":
                raise
            return self._moved_on(refused)
        except WorkerUnreachable as error:
            if left <= 0 or error.stage in {"host-key", "auth"}:
                raise
            self._say("checking", f"no answer, {max(0, left):.0f} s left")
            time.sleep(min(1.0, left))
            return Checking()

    def _look(self, connection: WorkerConnection) -> WorkerResult | Differs:
        self._say("observing")
        started = time.monotonic()
        observed, differences = self._find_differences(connection)
        if self._confirm_what_is_wanted(observed):
            observed, differences = self._find_differences(connection)
        self._looked = time.monotonic()
        self._seconds["observe"] = self._looked - started
        self._observed = observed
        self._tell_observed(self._desired.worker, observed)
        self._differences = self._differences or differences
        if differences.drift:
            self._differences = differences
        # a worker that is to have no jobs needn't hold anything
        if not differences.drift and not (self._on_trial and observed.release == self._desired.id):
            return WorkerResult(
                worker=self._desired.worker,
                state="in-sync",
                seconds=dict(self._seconds),
                drained=drained_jobs(self._desired, observed),
            )
        secrets_changed = any(one.kind == "changed-secret" for one in differences.drift)
        return Differs(new=observed.release != self._desired.id or secrets_changed or self._on_trial)

    def _find_differences(self, connection: WorkerConnection) -> tuple[Observation, Differences]:
        return find_differences(connection, self._desired, self._blobs, self._secrets, traffic=self._traffic)

    def _confirm_what_is_wanted(self, seen: Observation) -> bool:
        """An activation whose controller couldn't confirm it any more, of what the head has; whether there was one."""
        switch = seen.switch
        if switch is None or switch.phase != "waiting" or not switch.release == seen.release == self._desired.id:
            return False
        self._say("confirming")
        with suppress(WorkerRefused), self._workers.connect_anew(self._target) as anew:  # too late: it is seen next
            verbs.confirm(anew, switch.token, self._desired.id)
        return True

    def _undo(self, connection: WorkerConnection, refused: WorkerRefused) -> WorkerResult | None:
        """An activation that failed as a whole, rolled back at once where the worker is ready for that."""
        self._say("rolling-back")
        try:
            # by now another controller's, of a later deployment, may wait there
            reason = f"the activation failed: {refused.message}"[:500]
            undone = verbs.rollback(connection, reason, release=self._desired.id)
        except WorkerError as error:
            if isinstance(error, WorkerRefused) and error.code == "not-armed":
                return None
            return self._result("failed", f"{refused.message}; and it could not be rolled back: {error.message}")
        return self._result(
            "rolled-back", f"{refused.message}; it was rolled back, and holds {short_id(undone.release)} again"
        )

    def _confirm(self, activation: Activation) -> WorkerResult | Checking | None:
        """None once it is confirmed, or needs no confirming."""
        if activation.token is None:
            return None
        self._say("confirming")
        started = time.monotonic()
        try:
            with self._workers.connect_anew(self._target) as anew:
                verbs.confirm(anew, activation.token, self._desired.id)
        except WorkerUnreachable as error:
            return self._cut_off(f"no new connection came about after it was changed: {error.message}")
        except WorkerRefused as refused:
            if refused.code == "rolled-back":
                return self._result(
                    "rolled-back", f"it was confirmed too late, and undid the change: {refused.message}"
                )
            if refused.code == "stale":
                return self._after_another(refused)
            raise
        self._seconds["confirm"] = time.monotonic() - started
        return None

    def _after_another(self, refused: WorkerRefused) -> Checking:
        """Another controller's activation came in between: of the same release it does, of another it isn't ours."""
        with self._workers.connect(self._target) as connection:
            seen = verbs.observe(connection)
        if seen.release != self._desired.id:
            self.touched = False  # whatever becomes of it there, this version is not at fault
            raise refused
        self._confirm_what_is_wanted(seen)  # whoever activated it may be gone
        return Checking()

    def _cut_off(self, why: str) -> WorkerResult | Checking:
        """What becomes of a worker that can't be reached after it was touched: it undoes the change by itself."""
        if self._target.connection == "local":
            return self._result("unreachable", why)
        before = self._observed.rolled_back if self._observed else None
        found = wait_for(
            self._workers,
            self._target,
            self._desired.id,
            before,
            confirm_timeout=self._settings.confirm_timeout,
            say=lambda detail: self._say("cut-off", detail),
            stopping=self._stopping,
        )
        match found:
            case Reached():
                self._changed = time.monotonic()
                return Checking()
            case RolledAway():
                return self._result("rolled-back", f"{why}; {found.what}")
            case NeverMade():
                self.touched = False
                return self._result("unreachable", f"{why}; {found.what}")
            case str():
                return self._result("unreachable", f"{why}; {found}")

    def _after(self, activation: Activation) -> WorkerResult | Checking:
        """What is known right after an activation: a failure, or success where nothing has to be waited for."""
        failures = {job: (failure.message, failure.log) for job, failure in activation.failed.items()}
        if not failures and (activation.pending or self._settings.min_healthy_time):
            self._say("checking")
            return Checking()
        return self._read_back(activation.observation, failures)

    def _judged(self, connection: WorkerConnection, health: Health, left: float) -> WorkerResult | Checking:
        failures = {job: (failure.message, failure.log) for job, failure in health.failed.items()}
        if not failures and health.pending:
            if left > 0:
                count = f"{len(health.healthy)} of {len(health.healthy) + len(health.pending)} jobs healthy"
                self._say("checking", f"{count}, {left:.0f} s left")
                return Checking()
            failures = {
                job: self._never_healthy(connection, job, health.reasons.get(job, ""), with_log=number < _MOST_LOGS)
                for number, job in enumerate(health.pending)
            }
        self._seconds["health"] = time.monotonic() - self._changed
        key = self._secrets.key if self._secrets else None
        return self._read_back(health.observation or verbs.observe(connection, key=key), failures)

    def _never_healthy(
        self, connection: WorkerConnection, job: str, reason: str, *, with_log: bool
    ) -> tuple[str, tuple[str, ...]]:
        log: tuple[str, ...] = ()
        if with_log:
            with suppress(WorkerError):  # the reason is known without them
                log = verbs.logs(connection, job, _LOG_LINES).lines
        why = f": {reason}" if reason else ""
        return f"it wasn't healthy within {self._settings.healthy_deadline:g} s{why}", log

    def _read_back(self, seen: Observation, failures: dict[str, tuple[str, tuple[str, ...]]]) -> WorkerResult:
        """The worker as it is now is the truth, whatever was said before."""
        fingerprints = self._secrets.fingerprints if self._secrets else None
        remaining = find_drift(self._desired, seen, self._target.service_manager, fingerprints)
        self._held = len(seen.releases)
        return self._result(
            "failed" if remaining or failures else "converged",
            "; ".join(f"{one.subject or 'release'}: {one.detail}" for one in remaining[:5]),
            drift=remaining,
            failures=failures,
            drained=drained_jobs(self._desired, seen),
        )

    def _moved_on(self, refused: WorkerRefused) -> WorkerResult:
        """Another release is current than the one that was to get healthy."""
        with self._workers.connect(self._target) as connection:
            seen = verbs.observe(connection)
        rolled = seen.rolled_back
        if rolled is not None and rolled.release == self._desired.id and seen.release != self._desired.id:
            return self._result("rolled-back", f"it holds {short_id(seen.release)} again: {rolled.reason}")
        self.touched = False  # another controller is at work there
        raise refused

    def _tidied(self, outcome: WorkerResult | Checking) -> WorkerResult | Checking:
        """Old releases go once the worker is well; the one before stays: returning to it then sends nothing."""
        if isinstance(outcome, WorkerResult) and outcome.state == "converged" and self._held > _MOST_RELEASES:
            held = self._observed.release if self._observed else None
            with suppress(WorkerError), self._workers.connect(self._target) as connection:  # the next one does it too
                verbs.prune(connection, {self._desired.id, held or self._desired.id})
        return outcome

    def _result(
        self,
        state: State,
        error: str,
        *,
        drift: tuple[Drift, ...] = (),
        failures: dict[str, tuple[str, tuple[str, ...]]] | None = None,
        drained: tuple[str, ...] = (),
    ) -> WorkerResult:
        activation, before = self._activation, self._differences
        touched = {what: getattr(activation, what) for what in _TOUCHED} if activation else {}
        stages = activation.seconds if activation else {}
        return WorkerResult(
            worker=self._desired.worker,
            state=state,
            drift=drift or (before.drift if before else ()),
            edits=before.edits if before else (),
            error=error,
            touched=touched,
            failures=failures or {},
            drained=drained,
            seconds={**self._seconds, **{f"activate.{stage}": spent for stage, spent in stages.items()}},
        )

    def _say(self, stage: Stage, detail: str = "") -> None:
        self._progress(self._desired.worker, stage, detail)
