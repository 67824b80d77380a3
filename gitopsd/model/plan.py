"""A plan: what applying a version would change, as values that print as text and encode as JSON."""

from typing import Literal

from msgspec import Struct

PLAN_FORMAT = 1

Action = Literal["create", "update", "move", "delete", "unchanged"]
Effect = Literal["start", "restart", "reload", "stop", "none"]


class FileChange(Struct, frozen=True, kw_only=True):
    """One file of a job: its path in the release, and the unified diff of its text."""

    path: str
    change: Literal["added", "removed", "changed"]
    diff: str


class JobChange(Struct, frozen=True, kw_only=True):
    """What happens to one job on one worker, why, and what it does to what runs there."""

    worker: str
    job: str
    action: Action
    effect: Effect
    reason: str
    moved_from: str = ""
    files: tuple[FileChange, ...] = ()


class PlanInputs(Struct, frozen=True, kw_only=True):
    """Everything that a plan is a function of. `source_commit` is empty for a work tree with uncommitted edits."""

    environment: str
    source_commit: str
    source_tree: str
    artifact_head: str
    renderer: str


class Plan(Struct, frozen=True, kw_only=True):
    """Documented in docs/reference/plan.md; `tree` is the artifact tree that applying it commits.

    `changed_workers` are those whose releases change.
    """

    format: int = PLAN_FORMAT
    inputs: PlanInputs
    tree: str
    digest: str
    branch: str
    changed_workers: tuple[str, ...]
    changes: tuple[JobChange, ...]

    @property
    def is_empty(self) -> bool:
        """Whether every release stays as it is. Without a changed job one may still differ: a new worker's first."""
        return not self.changed_workers

    def count(self, action: Action) -> int:
        return sum(change.action == action for change in self.changes)
