"""What a hook was installed with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Hook = Literal["pre-receive", "post-receive"]
Mode = Literal["enforce", "advise"]

HOOKS: tuple[Hook, ...] = get_args(Hook)
MODES: tuple[Mode, ...] = get_args(Mode)

REJECTED = 65
"""The exit code of `gitopsd hook run` that rejects a push: none that a failure of its own could have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSettings:
    """`mode`: whether pushes are rejected at all. `deadline` is how long a deployment is followed, `plan_deadline` how
    long a push may be judged, both in seconds. `environments`: only these, where there are some. `strict` rejects what
    couldn't be judged, `allow_rewrite` lets history of the source branch be rewritten.
    """

    mode: Mode = "enforce"
    deadline: float = 60.0
    plan_deadline: float = 20.0
    environments: tuple[str, ...] = ()
    strict: bool = False
    allow_rewrite: bool = False
    configuration: Path | None = None

    @property
    def enforces(self) -> bool:
        return self.mode == "enforce"

    def options(self) -> list[str]:
        """As `gitopsd hook run` takes them."""
        flags = [
            name for name, is_set in (("--strict", self.strict), ("--allow-rewrite", self.allow_rewrite)) if is_set
        ]
        environments = [word for name in self.environments for word in ("--env", name)]
        limits = ["--deadline", f"{self.deadline:g}s", "--plan-deadline", f"{self.plan_deadline:g}s"]
        return ["--mode", self.mode, *limits, *environments, *flags]
