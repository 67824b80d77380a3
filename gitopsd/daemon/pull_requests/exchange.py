"""What the process that plans a pull request is asked, and what it answers: JSON, both ways."""

from collections.abc import Mapping
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from gitopsd.daemon.configuration.configuration import PolicyConfiguration
from gitopsd.model.policy import PolicyRecord

State = Literal["planned", "refused", "conflicts", "unknown"]
"""`refused`: the version doesn't compile. `unknown`: it couldn't be planned, and that is no fault of it."""


class Limits(Struct, frozen=True, kw_only=True):
    """Seconds, bytes of memory, and bytes of the longest comment; None for whole ones."""

    deadline: float = 120.0
    memory: int = 2 << 30
    comment: int | None = 65_000


class Links(Struct, frozen=True, kw_only=True):
    """Addresses on the forge, each empty where there is none. `file` has `{path}` and `{line}` in it."""

    file: str = ""
    rest: str = ""


class Question(Struct, frozen=True, kw_only=True):
    """`head` merged into `base`, full commit ids, in the repository at `git_dir`, planned for `environments`: all that
    the base has, and a few new ones, where none is named. `objects` is a folder of objects that the repository lacks,
    or empty.

    `operator` is the operator's own policy, where there is one, and `policy` that as it is published. `drift`:
    environment -> worker -> what it was last found to differ in; None of an environment that nobody looks at.
    """

    git_dir: str
    objects: str = ""
    identity: str
    branch_prefix: str
    head: str
    base: str
    environments: tuple[str, ...] = ()
    operator: PolicyConfiguration | UnsetType = UNSET
    policy: PolicyRecord | None = None
    drift: dict[str, dict[str, tuple[str, ...]] | None] = {}
    links: Links = Links()
    limits: Limits = Limits()


class Outcome(Struct, frozen=True, kw_only=True):
    """What the pull request comes to in one environment.

    `comment` is Markdown that begins with `marker`; `description` says it in a few words of plain text. The ids are
    empty where there is no plan: of the plan, of its effects, of the merged tree, and of the artifact branch's head.
    `jobs` are the effects by job, empty where there are too many of them.
    """

    environment: str
    state: State
    marker: str
    comment: str
    description: str
    changes: bool = False
    plan: str = ""
    effects: str = ""
    merged: str = ""
    artifact_head: str = ""
    jobs: Mapping[str, str] = {}


class Answer(Struct, frozen=True, kw_only=True):
    """`problem` says why there are no outcomes, or fewer than asked for."""

    outcomes: tuple[Outcome, ...] = ()
    problem: str = ""
