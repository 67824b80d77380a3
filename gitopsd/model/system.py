"""A workflow that has been linked, expanded and bound: every name resolved, every parameter known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct

from gitopsd.model.blueprint import Blueprint
from gitopsd.model.workflow import Parameter, Place


class Origin(Struct, frozen=True, array_like=True):
    """Where a step or channel is declared: the file, and the way to it such as ("steps", "collect")."""

    path: str
    pointer: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One end of a channel: a step and the port that the channel is attached to."""

    step: str
    port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundChannel:
    """A channel with its ends, in the order of their steps' names.

    `options` are what its transport is told beyond that, as JSON; `secrets` are those its ends need: name -> where it
    is named, at the channel or in its environment. The events of a message start the steps that wait for it.
    """

    name: str
    transport: str
    producers: tuple[Endpoint, ...]
    consumers: tuple[Endpoint, ...]
    origin: Origin
    path: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Origin] = field(default_factory=dict)

    @property
    def is_message(self) -> bool:
        return self.origin.pointer[:1] == ("messages",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The parameters of one workflow or of one use of a module, as the expressions inside it see them."""

    params: Mapping[str, Any] = field(default_factory=dict)
    deferred: Mapping[str, "Deferred"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """A parameter whose expressions ask for the worker or the job, which only placement knows.

    `raw` is what was written at `origin`, in what a step of that `name` gives to `use`; `scope` is what its expressions
    see as `params`.
    """

    raw: Any
    parameter: Parameter
    scope: Scope
    origin: Origin
    name: str
    use: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundStep:
    """A step with its parameters, its ports joined to channels.

    What starts it and what it signals are at the ports `ON_MESSAGE` and `SIGNALS`, which its blueprint doesn't declare.
    A step inside a module is named `outer.inner`. `chain` are the steps that use the modules around it, outermost
    first, and `scopes` what they give these modules. `library` is the folder that its blueprint's files are in: empty
    for the repository itself.
    """

    name: str
    use: str
    blueprint: Blueprint
    blueprint_path: str
    library: str
    place: Place
    origin: Origin
    chain: tuple[Origin, ...] = ()
    scopes: tuple[Scope, ...] = ()
    params: Mapping[str, Any]
    deferred: Mapping[str, Deferred] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """All steps and channels of one workflow, by name."""

    workflow: str
    path: str
    steps: Mapping[str, BoundStep]
    channels: Mapping[str, BoundChannel]


class ChannelSecret(Struct, frozen=True, array_like=True, kw_only=True):
    """A secret that a step needs only since its channel does; `origin` is where it is named."""

    secret: str
    channel: str
    transport: str
    origin: Origin


class StepNeeds(Struct, frozen=True, array_like=True, kw_only=True):
    """What placing a step, and the operator's policy, must know of it.

    `placed_at` is the step of the workflow that has its `place`: the step itself, or the one that uses its module.
    `secrets` has those of its channels too, which `channel_secrets` tells of.
    """

    name: str
    use: str
    origin: Origin
    placed_at: Origin
    group: str
    replicas: int
    constraints: tuple[str, ...] = ()
    strategy: Literal["spread", "pack"] = "spread"
    features: tuple[str, ...] = ()
    entitlements: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    channel_secrets: tuple[ChannelSecret, ...] = ()


class Store(Struct, frozen=True, array_like=True):
    """The directory of a file-store channel."""

    channel: str
    path: str
    origin: Origin


class Company(Struct, frozen=True, array_like=True, kw_only=True):
    """Steps of one workflow that `worker` channels keep together: replica i of each beside replica i of the others.

    `jobs` are by replica, in the order of `steps`. Companies with the same `wish` can run on the same workers.
    """

    name: str
    wish: str
    steps: tuple[StepNeeds, ...]
    jobs: tuple[tuple[str, ...], ...]

    @property
    def group(self) -> str:
        return self.steps[0].group

    @property
    def packs(self) -> bool:
        return self.steps[0].strategy == "pack"


class WorkflowSummary(Struct, frozen=True, kw_only=True):
    """What the passes after bind need of a workflow that didn't change.

    `digest`: 40 hex digits over its compiled form before placement. Each step is in exactly one of the `companies`.
    `transports`: those of its channels. `flows`: (producer's group, consumer's group) of the channels between groups.
    """

    workflow: str
    path: str
    digest: str
    companies: tuple[Company, ...]
    stores: tuple[Store, ...] = ()
    transports: tuple[str, ...] = ()
    flows: tuple[tuple[str, str], ...] = ()

    @property
    def steps(self) -> tuple[StepNeeds, ...]:
        return tuple(step for company in self.companies for step in company.steps)


def job_name(workflow: str, step: str, replica: int) -> str:
    return f"{workflow}.{step}.{replica}"
