"""`policy.json`: what planning needs of the operator's configuration, published on the artifact branch."""

from typing import Annotated

from msgspec import Meta, Struct, field

DEFAULT_USER = "gitopsd-job"


class SecretPolicy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which workflows and groups may use a secret; none named means every one."""

    workflows: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class PolicyRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits that the operator sets; None means without a limit. `max_delete` is a percentage of the jobs.

    `local_workers`: whether jobs may run on the machine that deploys, as whoever deploys.
    """

    format: int = 1
    edition: str = "full"
    entitlements: tuple[str, ...] | None = None
    external_workers: bool = True
    local_workers: bool = True
    max_jobs: Annotated[int, Meta(ge=0)] | None = None
    max_delete: Annotated[int, Meta(ge=0, le=100)] = 20
    groups: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    users: tuple[str, ...] = (DEFAULT_USER,)
    unit_settings: tuple[str, ...] | None = None
    secrets: dict[str, SecretPolicy] = field(default_factory=dict)
