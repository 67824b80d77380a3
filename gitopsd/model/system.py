"""A workflow that has been linked and bound: every name resolved, every parameter known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitopsd.model.blueprint import Blueprint
from gitopsd.model.workflow import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One end of a channel: a step and the port that the channel is attached to."""

    step: str
    port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundChannel:
    """A channel with its ends, in the order of their steps' names."""

    name: str
    transport: str
    producers: tuple[Endpoint, ...]
    consumers: tuple[Endpoint, ...]
    path: str = ""
    segment_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundStep:
    """A step with its parameters.

    `deferred` holds those parameters, as they were written, whose expressions ask for the worker or the job, which
    only placement knows; `workflow_params` is what these expressions see as `params`.
    """

    name: str
    use: str
    blueprint: Blueprint
    place: Place
    params: Mapping[str, Any]
    deferred: Mapping[str, Any] = field(default_factory=dict)
    workflow_params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """All steps and channels of one workflow, by name."""

    workflow: str
    path: str
    steps: Mapping[str, BoundStep]
    channels: Mapping[str, BoundChannel]


def job_name(workflow: str, step: str, replica: int) -> str:
    return f"{workflow}.{step}.{replica}"
