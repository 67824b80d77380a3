"""Who is told how a rollout goes on, and may ask it to stop."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from gitopsd.daemon.convergence.differences import Differences
from gitopsd.model.facts import Observation

if TYPE_CHECKING:
    from gitopsd.daemon.convergence.rollout_summary import Rollout

Stage = Literal["waiting", "connecting", "observing", "activating", "confirming", "checking", "cut-off", "rolling-back"]
"""`waiting`: for its turn. `checking`: are its jobs healthy. `cut-off`: it was changed, and can't be reached."""


class RolloutReporter(Protocol):
    """Is told what a rollout comes to as it goes on."""

    wants_traffic: bool
    """Whether workers are asked what their jobs say of the events that pass them, for `observed`."""

    def begins(self, workers: Sequence[str]) -> None:
        """Before any of these workers is reached; from now on `stop_asked` counts."""
        ...

    def progress(self, worker: str, stage: Stage, detail: str = "") -> None:
        """Where a worker is; called on many threads."""
        ...

    def observed(self, worker: str, observation: Observation) -> None:
        """What was seen of a worker before it is touched; called on many threads."""
        ...

    def about_to_change(self, differences: Differences) -> None:
        """Before a worker is touched; called on many threads."""
        ...

    def warn(self, message: str) -> None: ...

    def stop_asked(self) -> bool:
        """Whether the person wants it to end: asked several times a second."""
        ...

    def ended(self, rollout: "Rollout") -> None:
        """Once it is over and recorded, whatever made it end."""
        ...


class QuietReporter:
    """Tells nobody, and never wants it to stop."""

    wants_traffic = False

    def begins(self, workers: Sequence[str]) -> None: ...

    def progress(self, worker: str, stage: Stage, detail: str = "") -> None: ...

    def observed(self, worker: str, observation: Observation) -> None: ...

    def about_to_change(self, differences: Differences) -> None: ...

    def warn(self, message: str) -> None: ...

    def stop_asked(self) -> bool:
        return False

    def ended(self, rollout: "Rollout") -> None: ...
