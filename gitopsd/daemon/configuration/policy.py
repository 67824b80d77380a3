"""The operator's policy as it is published: what planning needs of the configuration, and no more.

Of secrets these are the names, and who may use them; never where they are, nor what they are.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
from msgspec import UnsetType

from gitopsd.compiler.checks.policy import OPERATORS_CONFIGURATION
from gitopsd.daemon.configuration.check import percentage
from gitopsd.daemon.configuration.configuration import (
    Configuration,
    PolicyConfiguration,
    SecretConfiguration,
    policy_of,
)
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.policy import DEFAULT_USER, PolicyRecord, SecretPolicy

COMMUNITY_JOBS = 15


def published_policy(configuration: Configuration) -> PolicyRecord | None:
    """None where the configuration has neither `policy` nor `secrets`: then what was published before counts."""
    if isinstance(configuration.policy, UnsetType) and isinstance(configuration.secrets, UnsetType):
        return None
    policy = policy_of(configuration)
    secrets = {} if isinstance(configuration.secrets, UnsetType) else configuration.secrets
    community = policy.edition == "community"
    limits = [policy.max_jobs, COMMUNITY_JOBS if community else None]
    return PolicyRecord(
        edition=policy.edition,
        entitlements=() if community else _limit(policy.entitlements),
        external_workers=not community,
        local_workers=_local_workers(policy),
        max_jobs=min((limit for limit in limits if isinstance(limit, int)), default=None),
        max_delete=percentage(policy.max_delete) or 0,
        groups=_limit(policy.groups),
        addresses=_limit(policy.addresses),
        users=tuple(sorted({DEFAULT_USER, *policy.users})),
        unit_settings=_limit(policy.unit_settings),
        secrets={name: _published(secret) for name, secret in secrets.items()},
    )


def with_file(diagnostics: Iterable[Diagnostic], path: Path | None) -> tuple[Diagnostic, ...]:
    """The same, and hints that send the reader to the operator's configuration say which file that is, if known."""
    if path is None:
        return tuple(diagnostics)
    named = f"{OPERATORS_CONFIGURATION}, {path}"
    return tuple(replace(one, hint=one.hint.replace(OPERATORS_CONFIGURATION, named)) for one in diagnostics)


def policy_file(record: PolicyRecord) -> bytes:
    """`policy.json`, the same bytes for the same policy."""
    return msgspec.json.format(msgspec.json.encode(record, order="sorted"), indent=2) + b"\n"


def _limit(names: tuple[str, ...] | UnsetType) -> tuple[str, ...] | None:
    return None if isinstance(names, UnsetType) else tuple(sorted(set(names)))


def _local_workers(policy: PolicyConfiguration) -> bool:
    """Who says where workers may be doesn't mean the machine that deploys, unless that is said as well."""
    if isinstance(policy.local_workers, UnsetType):
        return policy.edition == "community" or isinstance(policy.addresses, UnsetType)
    return policy.local_workers


def _published(secret: SecretConfiguration) -> SecretPolicy:
    return SecretPolicy(workflows=tuple(sorted(set(secret.workflows))), groups=tuple(sorted(set(secret.groups))))
