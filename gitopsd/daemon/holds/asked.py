"""Who wants a version deployed, and what they insist on."""

from dataclasses import dataclass
from typing import Literal

from gitopsd.planner.trigger import Trigger

HoldKind = Literal["pause", "hold", "window", "upgrade", "rollout", "deletes", "review"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAt:
    """The environment is to stay at the version; `until` is a Moment, or empty."""

    reason: str
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`trigger` is `manual` for a person; anything else deploys by itself.

    `despite_pause`, `despite_window` and `confirm_deletes` deploy in spite of these; `upgrade` deploys gitopsd's own
    upgrade where policy holds that. `keep_at`: this version is to stay, whatever the source branch's head becomes.
    """

    trigger: Trigger = "manual"
    confirm_deletes: bool = False
    despite_pause: bool = False
    despite_window: bool = False
    upgrade: bool = False
    keep_at: KeepAt | None = None

    @property
    def by_person(self) -> bool:
        return self.trigger == "manual"

    def overrides(self, kind: HoldKind) -> bool:
        chosen: dict[HoldKind, bool] = {
            "pause": self.despite_pause,
            "window": self.despite_window,
            "upgrade": self.upgrade,
            "rollout": self.by_person,
            "deletes": self.confirm_deletes,
            "review": self.by_person,
        }
        return chosen.get(kind, False)


BY_A_PERSON = Asked()
"""Who insists on nothing."""
