"""`control.json`: what people decided about a fleet, each decision with who, why, since when and until when."""

from typing import Annotated

from msgspec import Meta, Struct, field

from gitopsd.model.names import END, Name

_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"

Moment = Annotated[str, Meta(pattern=f"^{_MOMENT}{END}")]
"""UTC in whole seconds and in this one form, so that the order of texts is the order in time."""

Expiry = Annotated[str, Meta(pattern=f"^({_MOMENT})?{END}")]
"""A moment, or empty for what lasts until somebody ends it."""


Digest = Annotated[str, Meta(pattern=f"^[0-9a-f]{{40}}{END}")]


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`owner` is `Name <email>`. In planning, what expired counts until a commit removes it: a plan knows no clock."""

    owner: str
    reason: str
    since: Moment
    until: Expiry = ""

    def has_expired(self, now: str) -> bool:
        """`now` is a Moment."""
        return bool(self.until) and self.until <= now


class Cordon(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """A worker that takes no new jobs; drained, it keeps none either."""

    drained: bool = False


class Pause(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """An environment to which nothing is applied."""


class VersionHold(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """The version that an environment stays at: `commit` of the source branch, whatever its head is."""

    commit: Digest


class Quarantine(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """A form of a workflow that isn't to run: `compiled` is its digest before placement.

    While a version compiles the workflow to that, the jobs of deployment `returns_to` stand in for its own; 0: none
    of its deployments ever went well, so it has none. `failed` is the deployment whose rollout failed, 0 where a
    person decided.
    """

    compiled: Digest
    failed: Annotated[int, Meta(ge=0)] = 0
    returns_to: Annotated[int, Meta(ge=0)] = 0


class Acceptance(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """History of the source branch that a person accepted although it doesn't follow what was deployed."""

    commit: Digest


class ControlRecord(Struct, frozen=True, kw_only=True):
    """`control.json`, as far as this version knows it.

    Worker -> its cordon; workflow -> its quarantine; the environment's pause, the version that it is held at, and the
    last rewriting of the source branch that was accepted.
    """

    format: int = 1
    cordons: dict[str, Cordon] = field(default_factory=dict)
    quarantines: dict[Name, Quarantine] = field(default_factory=dict)
    pause: Pause | None = None
    hold: VersionHold | None = None
    accepted: Acceptance | None = None

    @property
    def drained(self) -> frozenset[str]:
        return frozenset(name for name, cordon in self.cordons.items() if cordon.drained)
