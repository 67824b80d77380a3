"""The values of a run on a laptop: its steps with their jobs, and the sockets that stand for channels."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gitopsd.model.diagnostic import Location
from gitopsd.model.trees import TreeFile

CONTENT = "given"
"""The file of a reading step that is given contents; its job runs in the directory where this lies."""

Way = Literal["runs", "reads", "given", "left-out", "not-reached"]
"""`reads`: it runs, over the file that was given; `given`: it would read, and its events were given instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalChannel:
    """`label` is what people call it. `sockets` are those of the steps that run and read it; the tap has one more."""

    name: str
    label: str
    wire: str
    tap: str
    sockets: tuple[str, ...] = ()
    is_bound: bool = True
    """Whether the workflow has it; else it stands for a port that is left open, whose events a deployment drops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStep:
    """A step and what becomes of it; `why` where it isn't run. Ports lead to names of channels."""

    name: str
    use: str
    job: str
    place: Location
    way: Way
    why: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    """`job.json` of a step that runs."""
    files: Mapping[str, TreeFile] = field(default_factory=dict)
    """Of a step that runs, by path in its release; `job.json` is among them."""
    directories: tuple[str, ...] = ()
    """What a worker would make for the job to write to."""

    @property
    def content(self) -> bytes | None:
        """Of a reading step that was given contents: what it reads."""
        given = self.files.get(f"jobs/{self.job}/{CONTENT}")
        return given.data if given else None

    @property
    def is_run(self) -> bool:
        return self.way in {"runs", "reads"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRun:
    """`steps` in the order in which events meet them; `channels` by name, in that order too."""

    name: str
    steps: tuple[LocalStep, ...]
    channels: Mapping[str, LocalChannel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """`files`: reading step -> the file that it is to read, as a pattern that matches just this.

    `contents`: reading step -> what is to be in a file that it reads. `given`: the channels that are given events.
    `asked`: steps that run although they change something outside.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)
    given: Collection[str] = ()
    asked: Collection[str] = ()
