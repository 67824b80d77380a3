"""A plan: what applying a version would change, as values that print as text and encode as JSON.

The fields are documented in docs/reference/plan.md, and their JSON Schema is docs/reference/plan.schema.json.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

PLAN_FORMAT = 1

Action = Literal["create", "update", "move", "delete", "unchanged", "held"]
Effect = Literal["start", "restart", "reload", "drain", "stop", "none"]

ACTIONS: tuple[Action, ...] = get_args(Action)

_MOST_RETURNING = 3


class FileChange(Struct, frozen=True, kw_only=True):
    """One file of a job: its path in the release, and the unified diff of its text."""

    path: str
    change: Literal["added", "removed", "changed"]
    diff: str


class JobChange(Struct, frozen=True, kw_only=True):
    """What happens to one job on one worker, why, and what it does to what runs there and to data in flight.

    A job is held where a person must confirm that it goes: then everything says what would happen. Or where its
    workflow is quarantined and the job stays as an earlier deployment has it: then its effect is `none`.
    One that is deleted and drains first has the effect `drain`; the delete after that, once it has ended, has `none`.
    `before` and `after` stand for all that the job is made of, 40 hex digits each: empty where it isn't there, and both
    where it stays as it is.
    """

    worker: str
    job: str
    action: Action
    effect: Effect
    reason: str
    data: str = ""
    moved_from: str = ""
    before: str = ""
    after: str = ""
    files: tuple[FileChange, ...] = ()


class PlanInputs(Struct, frozen=True, kw_only=True):
    """Everything that a plan is a function of. `source_commit` is empty for a work tree with uncommitted edits.

    `pinned` is the commit that a pinned environment's workflows come from; empty for one without a pin.
    """

    environment: str
    source_commit: str
    source_tree: str
    artifact_head: str
    renderer: str
    policy: str = ""
    pinned: str = ""


class QuarantinedWorkflow(Struct, frozen=True, kw_only=True):
    """A workflow that this version compiles to what is quarantined: it isn't run.

    `returns_to` is the deployment whose jobs stand in for this version's; 0 where none of its deployments ever went
    well, and it has no jobs. `left_out`: job of that deployment -> why it can't be had back.
    """

    workflow: str
    returns_to: int
    reason: str
    left_out: dict[str, str] = {}


class Returns(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which earlier deployments came to the same: `deployment` as a whole, 0 where none did.

    Else `workflows`: those that changed back to an earlier form of theirs -> the newest deployment that had it.
    """

    deployment: int = 0
    workflows: dict[str, int] = {}

    @property
    def words(self) -> str:
        """For a heading or the subject of a commit; empty where nothing returns."""
        if self.deployment:
            return f"return to deployment {self.deployment}"
        if len(self.workflows) > _MOST_RETURNING:
            return f"{len(self.workflows)} workflows: return to earlier deployments"
        by_number: dict[int, list[str]] = {}
        for workflow, number in sorted(self.workflows.items()):
            by_number.setdefault(number, []).append(workflow)
        return "; ".join(f"{', '.join(names)}: return to deployment {number}" for number, names in by_number.items())

    @property
    def sentence(self) -> str:
        """Without its end; empty where nothing returns."""
        return f"This is a {self.words}" if self.deployment else self.words


class Upgrade(Struct, frozen=True, kw_only=True):
    """What another version of gitopsd makes of the very version that is deployed; it is deployed first, by itself.

    `before` and `after` are versions of gitopsd, the same two where only the runtime that ships in releases is another.
    `tree` is the artifact tree that it commits. `problem` says why what is deployed can't be rendered anew: then the
    upgrade comes with the new version, and nothing tells its changes apart. `held` says who has to ask for it.
    """

    before: str
    after: str
    tree: str = ""
    changed_workers: tuple[str, ...] = ()
    changes: tuple[JobChange, ...] = ()
    problem: str = ""
    held: str = ""

    @property
    def words(self) -> str:
        """What it is and how many jobs it restarts, in a sentence without its end."""
        what = f"gitopsd's upgrade from {self.before} to {self.after}"
        if self.before == self.after:
            what = f"another runtime of gitopsd {self.after}"
        if self.problem:
            return f"{what} comes with this plan: {self.problem}"
        count = sum(change.effect == "restart" for change in self.changes)
        return f"{what}: {count} job{'' if count == 1 else 's'} would restart"


class Plan(Struct, frozen=True, kw_only=True):
    """What applying a version would change; `tree` is the artifact tree that applying it commits.

    `changed_workers` are those whose releases change. `held` says why it must be confirmed; it is empty for most.
    `quarantined` are the workflows whose jobs are not this version's. `returns` names the deployments that it is a
    return to. With an `upgrade` that comes first, everything else is what changes after it.
    """

    format: int = PLAN_FORMAT
    inputs: PlanInputs
    tree: str
    digest: str
    branch: str
    held: str = ""
    changed_workers: tuple[str, ...]
    changes: tuple[JobChange, ...]
    quarantined: tuple[QuarantinedWorkflow, ...] = ()
    returns: Returns = Returns()
    upgrade: Upgrade | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every release stays as it is. Without a changed job one may still differ: a new worker's first."""
        return not self.changed_workers

    def counts(self) -> Mapping[Action, int]:
        """How many jobs meet each action, those that none meets left out; counted anew at each call."""
        found = Counter([change.action for change in self.changes])
        return {action: found[action] for action in ACTIONS if found[action]}


def plan_schema() -> dict[str, Any]:
    """The JSON Schema of a plan. It lets keys pass that it doesn't know: a later version may add some."""
    schema = msgspec.json.schema(Plan)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A plan of gitopsd", **schema}
