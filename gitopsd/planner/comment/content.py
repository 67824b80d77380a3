"""What a comment is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.plan import Plan
from gitopsd.planner.events.differences import NOTHING, EventChanges
from gitopsd.planner.graph.draw import Graph

FileLink = Callable[[str, int], str]
"""From a path and a line to its address on the forge, or the empty text."""


def no_link(path: str, line: int) -> str:
    del path, line
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What was planned, as 40 hex digits each. `merged` is the tree that merging `head` into `base` makes.

    A plan of one version by itself has neither `base` nor `merged`, and one of a work tree with edits no `head` either.
    """

    head: str = ""
    base: str = ""
    merged: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A command that shows all of it, and the page of whatever planned it; each may be empty."""

    command: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """There is no plan. `summary` says why in a few words; the rest is told of each mistake.

    `sources` holds the files that `diagnostics` quote, by path; `link` leads to a line of one of them. `paths` are
    files that can't be merged.
    """

    summary: str
    hint: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    sources: Mapping[str, bytes] = field(default_factory=dict)
    link: FileLink = no_link
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A plan, and what is known beside it.

    `effects` is its digest of effects. `holds` say why nothing is deployed for now, a sentence each, beside what the
    plan itself says of that. `drift` is what was last found on each worker that its release doesn't say, by worker;
    None where nobody looks. `graph` is of what changes; None where there is none. `events` are those of the tests.
    """

    plan: Plan
    effects: str
    holds: tuple[str, ...] = ()
    drift: Mapping[str, tuple[str, ...]] | None = None
    graph: Graph | None = None
    events: EventChanges = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One comment, about one environment. `artifact_head` is the commit of the artifact branch that it is against."""

    environment: str
    about: Shown | Refused
    renderer: str
    versions: Versions = Versions()
    artifact_head: str = ""
    rest: Rest = Rest()
