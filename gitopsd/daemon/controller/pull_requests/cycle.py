"""The thread that looks at pull requests: shows what open ones would do, and tells merged ones what became of them."""

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from msgspec import UnsetType

from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.heartbeat import Heart
from gitopsd.daemon.controller.looker import Seen
from gitopsd.daemon.controller.pull_requests.approvals import show_approvals
from gitopsd.daemon.controller.pull_requests.counts import Counts
from gitopsd.daemon.controller.pull_requests.heads import drop_heads
from gitopsd.daemon.controller.pull_requests.reach import Reach
from gitopsd.daemon.controller.pull_requests.refusing import is_refused, refuse
from gitopsd.daemon.controller.pull_requests.reviews import Reviews
from gitopsd.daemon.controller.pull_requests.showing import is_ours, show
from gitopsd.daemon.controller.pull_requests.situation import Situation, situation_of
from gitopsd.daemon.controller.pull_requests.telling import Telling, Word
from gitopsd.daemon.controller.requests import Taken
from gitopsd.daemon.controller.troubles import Troubles
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.pull_requests.forge_access import open_forge
from gitopsd.daemon.pull_requests.shown import ShownMemory
from gitopsd.daemon.workspace import Workspace
from gitopsd.forge.errors import ForgeError, ForgeUnavailableError
from gitopsd.forge.forge import PullRequest
from gitopsd.model.amounts import seconds
from gitopsd.planner.backoff import waiting_time
from gitopsd.repo.errors import RepositoryError, TooLargeError
from gitopsd.repo.revision import default_branch

_QUIET_SECONDS = 1800.0
"""Each call, fetch and plan has a deadline of its own; a slow forge must not have the watchdog end the controller."""

_REST_SECONDS = 600.0
_NOT_LOOKED_YET = 1.0

_SAID = (
    events.Committed | events.Held | events.Refused | events.Settled | events.RolloutBegan | events.RolloutEnded
    | events.Reverted
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What it has from the controller. `seen` is where the branches were last, `word` the deployer's last one on the
    newest version of an environment; `reviewed` is called when more is known of what came from where.
    """

    repository: str
    workspace: Callable[[], Workspace]
    tell: events.Listener
    seen: Callable[[], Seen | None]
    word: Callable[[str], Word]
    reviewed: Callable[[str], object]
    stop: Callable[[], bool]
    counts: Counts
    only: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    """Of one pull request."""

    head: str
    base: str
    error: str
    attempts: int
    until: float


class PullRequests:
    """`look_again` has it ask the forge for pull requests in its next cycle, whatever it asked before."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._memory = ShownMemory(around.repository)
        self._reviews = Reviews(self._memory, around.reviewed)
        self._telling = Telling(self._memory, self._reviews, around.word)
        self._troubles = Troubles(around.repository, "", "pull-requests")
        self._of_one: dict[int, _Trouble] = {}
        self._open: set[int] | None = None
        self._reach: Reach | None = None
        self._due = 0.0
        self._look = threading.Event()

    def look_again(self) -> None:
        """From any thread."""
        self._look.set()

    def hears(self, event: events.Event) -> bool:
        """Whether it is worth a cycle."""
        return isinstance(event, _SAID)

    def cycle(self, taken: Taken, heart: Heart) -> float:
        seen = self._around.seen()
        if seen is None:
            return _NOT_LOOKED_YET
        remaining = self._troubles.remaining("")
        if remaining > 0 and not taken.asked:
            return remaining
        with heart.allowed(_QUIET_SECONDS):
            try:
                reach = self._reached()
                if reach is None:
                    return _REST_SECONDS
                wait = self._go_round(reach, seen, heart)
            except (ForgeError, RepositoryError, ControllerError, DiagnosticsError) as error:
                return self._in_trouble(error)
        if self._troubles.last is not None:
            self._say("pull requests are looked at again", level="note")
        self._troubles.over()
        return wait

    def _go_round(self, reach: Reach, seen: Seen, heart: Heart) -> float:
        branch = reach.workspace.configuration.source_branch or default_branch(reach.workspace.repository)
        situation = situation_of(reach.workspace, seen, branch)
        soonest = self._telling.tell(reach.workspace, reach.forge, situation)
        interval = seconds(reach.workspace.configuration.intervals.pulls)
        if self._look.is_set() or time.monotonic() >= self._due:
            self._look.clear()
            self._due = time.monotonic() + interval * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
            self._show_all(reach, situation, heart)
        return max(0.0, min(soonest, self._due - time.monotonic(), *self._next_attempts()))

    def _show_all(self, reach: Reach, situation: Situation, heart: Heart) -> None:
        is_open = reach.forge.open_pull_requests()
        ours = [one for one in is_open if is_ours(one, situation.branch, reach.settings)]
        refused = [one for one in is_open if is_refused(one, situation.branch, reach.settings)]
        for one in (*ours, *refused):
            if self._around.stop():
                return
            heart.beat()
            if self._may_try(one, situation) and self._show(reach, one, situation):
                # what was merged meanwhile isn't kept waiting by what isn't
                self._telling.tell(reach.workspace, reach.forge, self._situation_now(reach, situation))
        numbers = {one.number for one in ours}
        for number in self._of_one.keys() - numbers - {one.number for one in refused}:
            del self._of_one[number]
        if numbers != self._open:
            drop_heads(reach.workspace, numbers)
            self._memory.drop_old()
            self._open = numbers

    def _situation_now(self, reach: Reach, before: Situation) -> Situation:
        seen = self._around.seen()
        return before if seen is None else situation_of(reach.workspace, seen, before.branch)

    def _show(self, reach: Reach, one: PullRequest, situation: Situation) -> bool:
        """Whether it was planned, which takes its time. Its trouble is its own; but the forge's is that of all."""
        refused, planned = is_refused(one, situation.branch, reach.settings), False
        try:
            if refused:
                refuse(reach, one, situation)
            else:
                planned = show(reach, one, situation)
                show_approvals(reach, one)
        except ForgeUnavailableError:
            raise
        except (ForgeError, RepositoryError, ControllerError, DiagnosticsError) as error:
            self._one_in_trouble(one, situation, str(error), final=isinstance(error, TooLargeError))
        except Exception as error:  # a hostile one must not keep the others from being planned
            logging.getLogger(__name__).exception("pull request %d could not be planned", one.number)
            self._one_in_trouble(one, situation, f"unexpected {type(error).__name__}")
        else:
            self._of_one.pop(one.number, None)
            if planned:
                self._around.counts.planned("shown")
            return planned
        return True

    def _one_in_trouble(self, one: PullRequest, situation: Situation, error: str, *, final: bool = False) -> None:
        """`final`: it isn't tried again before its head or its base is another one."""
        before = self._of_one.get(one.number)
        attempts = before.attempts + 1 if before and before.head == one.head_commit else 1
        wait = math.inf if final else waiting_time(attempts, random.random)
        self._of_one[one.number] = _Trouble(
            head=one.head_commit,
            base=situation.base,
            error=error,
            attempts=attempts,
            until=time.monotonic() + wait,
        )
        self._around.counts.planned("failed")
        if before is None or before.error != error:
            again = "" if final else ", and is tried again"
            self._say(f"pull request {one.number} could not be shown{again}: {error}")

    def _may_try(self, one: PullRequest, situation: Situation) -> bool:
        trouble = self._of_one.get(one.number)
        if trouble is None or (trouble.head, trouble.base) != (one.head_commit, situation.base):
            return True
        return time.monotonic() >= trouble.until

    def _next_attempts(self) -> list[float]:
        """Seconds until pull requests in trouble are due; then all are looked at, which costs one request."""
        now = time.monotonic()
        left = [max(0.0, one.until - now) for one in self._of_one.values()]
        if any(one <= 0 for one in left):
            self._look.set()
        return [max(1.0, one) for one in left]

    def _reached(self) -> Reach | None:
        """The forge of the configuration as it is now."""
        workspace = self._around.workspace()
        if self._reach is not None and self._reach.workspace is workspace:
            return self._reach
        if self._reach is not None and self._reach.workspace.configuration is workspace.configuration:
            self._reach = replace(self._reach, workspace=workspace)
            return self._reach
        if self._reach is not None:
            self._reach.forge.close()
        settings = workspace.configuration.forge
        self._reach = None
        if not isinstance(settings, UnsetType):
            self._reach = Reach(
                workspace=workspace,
                forge=open_forge(settings, self._around.counts.heard),
                settings=settings,
                memory=self._memory,
                only=self._around.only,
            )
        return self._reach

    def _in_trouble(self, error: Exception) -> float:
        """Of all of them: said when it begins and when it changes; nothing else waits for it."""
        before = self._troubles.last
        message = str(error)
        trouble = self._troubles.add("", message, getattr(error, "hint", ""))
        if before is None or before.error != trouble.error:
            self._say(". ".join(one for one in (f"pull requests can't be looked at: {message}", trouble.hint) if one))
        self._look.set()
        return max(trouble.wait, error.again_in) if isinstance(error, ForgeUnavailableError) else trouble.wait

    def _say(self, message: str, level: str = "warning") -> None:
        self._around.tell(events.Said(environment="", at=time.time(), message=message, level=level))
