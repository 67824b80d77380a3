"""What the controller says of what it does: values that go to metrics, the journal, webhooks, and who follows it.

Events are told once each, in their order for one environment. They are hints for who watches; what is true is in Git
and on the workers.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from gitopsd.daemon.convergence.differences import Differences
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_reporter import Stage
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.model.control import Quarantine
from gitopsd.planner.backoff import Trouble


class _Event(Struct, frozen=True, kw_only=True, tag_field="event"):
    """`environment` is empty for what concerns all of them; `at` in seconds since the epoch."""

    environment: str
    at: float


class Looked(_Event, frozen=True, kw_only=True, tag="looked"):
    """The source branch and the artifact branch were looked at, and are at these commits; empty where there is none."""

    source: str
    head: str


class LookFailed(_Event, frozen=True, kw_only=True, tag="look-failed"):
    """They couldn't be looked at; `next` is when that is tried again, in seconds since the epoch."""

    error: str
    hint: str = ""
    attempts: int = 1
    next: float = 0.0


class Planning(_Event, frozen=True, kw_only=True, tag="planning"):
    """A version of the source is being planned."""

    source: str


class Planned(_Event, frozen=True, kw_only=True, tag="planned"):
    """What a version comes to: `changes` counts jobs by what happens to them (create, update, move, delete, held)."""

    source: str
    digest: str
    changes: Mapping[str, int]
    workers: tuple[str, ...]
    seconds: float


class Refused(_Event, frozen=True, kw_only=True, tag="refused"):
    """A version isn't deployed: it doesn't compile, isn't signed, or something of the world is in its way.

    `diagnostics` is their text for people, where it doesn't compile. `next`: when it is tried again by itself; 0 where
    only another version, or a person, can change it.
    """

    source: str
    error: str
    hint: str = ""
    diagnostics: str = ""
    attempts: int = 1
    next: float = 0.0


class Held(_Event, frozen=True, kw_only=True, tag="held"):
    """A version waits: for a person, or for a time; `reasons` are sentences, `until` a Moment or empty."""

    source: str
    reasons: tuple[str, ...]
    until: str = ""


class Settled(_Event, frozen=True, kw_only=True, tag="settled"):
    """A version is what is deployed already; nothing had to be committed, or only records (`head` has them)."""

    source: str
    head: str
    deployment: int


class Committed(_Event, frozen=True, kw_only=True, tag="committed"):
    """A deployment was committed, from now on the one that workers are made equal to.

    `superseded` are versions that came since the one before, and are never deployed by themselves.
    """

    source: str
    head: str
    deployment: int
    trigger: str
    subject: str
    author: str
    workers: tuple[str, ...]
    superseded: tuple[str, ...] = ()


class RolloutBegan(_Event, frozen=True, kw_only=True, tag="rollout-began"):
    """Workers are about to be looked at, and changed where they differ."""

    deployment: int
    workers: tuple[str, ...]


class WorkerProgressed(_Event, frozen=True, kw_only=True, tag="worker-progressed"):
    deployment: int
    worker: str
    stage: Stage
    detail: str = ""


class WorkerChanging(_Event, frozen=True, kw_only=True, tag="worker-changing"):
    """A worker differs and is changed now; of edits by hand there are the diffs that are overwritten."""

    deployment: int
    differences: Differences


class WorkerEnded(_Event, frozen=True, kw_only=True, tag="worker-ended"):
    deployment: int
    result: WorkerResult


class WorkerLeftOut(_Event, frozen=True, kw_only=True, tag="worker-left-out"):
    """It was tried in vain a short while ago, with deployment `tried`; `next` is when it is tried again, a Moment."""

    deployment: int
    worker: str
    trouble: Trouble
    tried: int
    attempts: int
    error: str
    last: str
    next: str


class Reverted(_Event, frozen=True, kw_only=True, tag="reverted"):
    """Deployment `failed` failed, and `by` has some of its workflows as they were before, which are quarantined."""

    failed: int
    by: int
    head: str
    quarantines: Mapping[str, Quarantine]

    @property
    def workflows(self) -> Mapping[str, str]:
        """Workflow -> why."""
        return {name: one.reason for name, one in self.quarantines.items()}


class RolloutEnded(_Event, frozen=True, kw_only=True, tag="rollout-ended"):
    """Over, stopped, superseded, paused or interrupted; its note is written. `seconds` since it began."""

    deployment: int
    rollout: Rollout
    seconds: float


class Converged(_Event, frozen=True, kw_only=True, tag="converged"):
    """All that can be done about a head was done, reverts included; the converger rests until something happens.

    `head` is what it was about last, `request` the newest request that this answers, and `problem` what kept it from
    being done, or empty.
    """

    head: str
    deployment: int
    request: int
    problem: str = ""
    hint: str = ""
    next: float = 0.0


class Said(_Event, frozen=True, kw_only=True, tag="said"):
    """A sentence for people; `level` as a warning, or as something worth knowing."""

    message: str
    level: str = "note"


class Leading(_Event, frozen=True, kw_only=True, tag="leading"):
    """This process leads from now on."""


class Stopping(_Event, frozen=True, kw_only=True, tag="stopping"):
    """This process was asked to end."""


Event = (
    Looked
    | LookFailed
    | Planning
    | Planned
    | Refused
    | Held
    | Settled
    | Committed
    | RolloutBegan
    | WorkerProgressed
    | WorkerChanging
    | WorkerEnded
    | WorkerLeftOut
    | Reverted
    | RolloutEnded
    | Converged
    | Said
    | Leading
    | Stopping
)

Listener = Callable[[Event], None]
"""Is told each event on the thread that it happens on: must be quick, and must not raise."""
