"""Declaration of `gitopsd.yaml`: the environments of a repository."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gitopsd.model.names import BranchName, Name, Pin
from gitopsd.model.servers import (
    NatsAddresses,
    NatsAuthority,
    NatsCertificate,
    NatsCredentials,
    StoreAuthority,
    StoreBucket,
    StoreCredentials,
    StoreEndpoint,
    StoreRegion,
)


class NatsServers(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the environment's `nats` channels have where they don't say it themselves."""

    servers: NatsAddresses
    credentials: NatsCredentials = UNSET
    authority: NatsAuthority = UNSET
    certificate: NatsCertificate = UNSET


class ObjectStore(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the environment's `object-store` channels have where they don't say it themselves."""

    endpoint: StoreEndpoint = UNSET
    bucket: StoreBucket = UNSET
    region: StoreRegion = UNSET
    credentials: StoreCredentials = UNSET
    authority: StoreAuthority = UNSET


class Transports(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """Where an environment's messaging services are: the same workflow finds other ones in another environment."""

    nats: Annotated[NatsServers | UnsetType, Meta(description="the servers of its nats channels")] = UNSET
    object_store: Annotated[ObjectStore | UnsetType, Meta(description="the store of its object-store channels")] = UNSET


class Environment(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One environment: which fleet it runs on, which branch holds what was rendered for it.

    With a `pin` its workflows, modules, blueprints and files are those of that tag or commit; its fleet and values are
    still those of the version that is planned.
    """

    fleet: Annotated[str, Meta(description="the fleet file, such as fleets/production.yaml")]
    artifacts: Annotated[
        BranchName | UnsetType, Meta(description="the artifact branch; rendered/NAME where it is missing")
    ] = UNSET
    params: Annotated[
        dict[Name, dict[str, Any]],
        Meta(description="workflow -> parameter -> value; they win over the defaults that the workflow declares"),
    ] = field(default_factory=dict)
    transports: Annotated[Transports, Meta(description="where its messaging services are")] = Transports()
    pin: Annotated[Pin | UnsetType, Meta(description="a tag or commit; promotion is a change of the pin")] = UNSET


class Environments(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`gitopsd.yaml`."""

    environments: Annotated[
        dict[Name, Environment],
        Meta(min_length=1, description="the environments of this repository; with one of them, --env may be left out"),
    ]


def artifact_branch(name: str, environment: Environment) -> str:
    """The branch that holds what was rendered for the environment, without `refs/heads/`."""
    return f"rendered/{name}" if isinstance(environment.artifacts, UnsetType) else environment.artifacts
