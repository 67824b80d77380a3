"""What the operator's policy forbids, whatever the repository asks for. Pure.

The policy is not in the repository that it governs; so every hint says what would have to change on which side.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from gitopsd.compiler.render.unit_settings import PRIVILEGES, user_of
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.policy import DEFAULT_USER, PolicyRecord
from gitopsd.model.system import ChannelSecret, Origin, StepNeeds, WorkflowSummary

OPERATORS_CONFIGURATION = _ASK = "the operator's configuration"
"""As every hint has it; who knows which file that is may add it."""


_LOCAL_REFUSED = (
    "is the machine that deploys, and the operator's policy doesn't allow it: jobs there run as whoever deploys",
    f"place the steps on other workers, or have `policy.local_workers: true` added to {_ASK}",
)


def check_policy(
    policy: PolicyRecord, summaries: Sequence[WorkflowSummary], locate: Callable[[Origin], Location]
) -> list[Diagnostic]:
    """What the steps ask for and may not have; `locate` tells where a step is declared."""
    diagnostics: list[Diagnostic] = []
    jobs = 0
    for summary in summaries:
        for step in summary.steps:
            diagnostics += _check_step(policy, summary.workflow, step, locate)
            before, jobs = jobs, jobs + step.replicas
            if policy.max_jobs is not None and before <= policy.max_jobs < jobs:
                total = sum(one.replicas for every in summaries for one in every.steps)
                diagnostics.append(_too_many(policy, policy.max_jobs, total, step, locate(step.placed_at)))
    return diagnostics


def check_fleet_policy(
    policy: PolicyRecord, workers: Mapping[str, PlacedWorker], locate: Callable[[str], Location]
) -> list[Diagnostic]:
    """The workers that the policy doesn't allow; `locate` tells where a worker is declared. Those leaving may stay."""
    networks = None if policy.addresses is None else [ip_network(address) for address in policy.addresses]
    diagnostics: list[Diagnostic] = []
    for name, worker in workers.items():
        if worker.leaving:
            continue
        refusal = _worker_refusal(policy, networks, worker)
        if refusal is not None:
            message, hint = refusal
            diagnostics.append(
                Diagnostic(
                    code="worker-not-allowed",
                    message=f"the worker `{name}` {message}",
                    location=locate(name),
                    hint=hint,
                )
            )
    return diagnostics


def refused_settings(policy: PolicyRecord | None, settings: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The first unit setting that isn't allowed, why, and what would do; None where all are.

    Without a policy, as `check` has none, nobody can say.
    """
    if policy is None:
        return None
    allowed = policy.unit_settings
    for name in sorted(settings):
        if name == "User":
            continue
        if allowed is None and name in PRIVILEGES:
            return name, f"the unit setting `{name}` needs the operator's leave", _settings_hint(name)
        if allowed is not None and name not in allowed:
            return name, f"the operator's policy doesn't allow the unit setting `{name}`", _settings_hint(name)
    user = user_of(settings)
    if user in (DEFAULT_USER, *policy.users):
        return None
    hint = f"leave `User` out, or have `{user}` added to `policy.users` of {_ASK}"
    return "User", f"the operator's policy allows no job to run as `{user}`", hint


def _settings_hint(name: str) -> str:
    return f"leave it out, or have `{name}` added to `policy.unit_settings` of {_ASK}"


def _check_step(
    policy: PolicyRecord, workflow: str, step: StepNeeds, locate: Callable[[Origin], Location]
) -> Iterator[Diagnostic]:
    if policy.groups is not None and step.group not in policy.groups:
        elsewhere = f"place it on {_one_of(policy.groups)}, or have" if policy.groups else "have"
        yield Diagnostic(
            code="group-not-allowed",
            message=f"the operator's policy allows no jobs on the group `{step.group}`",
            location=locate(step.placed_at),
            hint=f"{elsewhere} `{step.group}` added to `policy.groups` of {_ASK}",
        )
    for entitlement in step.entitlements:
        if policy.entitlements is not None and entitlement not in policy.entitlements:
            community = policy.edition == "community"
            why = "the community edition has none" if community else "the operator's policy doesn't have it"
            change = "`policy.edition` changed to `full`" if community else "it added to `policy.entitlements`"
            yield Diagnostic(
                code="missing-entitlement",
                message=f"the step `{step.name}` needs the entitlement `{entitlement}` (`{step.use}`), and {why}",
                location=locate(step.origin),
                hint=f"take another blueprint, or have {change} in {_ASK}",
            )
    of_channels = {one.secret for one in step.channel_secrets}
    needs = [(f"the step `{step.name}`", secret, step.origin) for secret in step.secrets if secret not in of_channels]
    needs += [(_whose(one), one.secret, one.origin) for one in step.channel_secrets]
    for who, secret, origin in needs:
        need = f"{who} needs the secret `{secret}`" + (f" (`{step.use}`)" if origin == step.origin else "")
        yield from _check_secret(policy, (workflow, step.group), need, secret, locate(origin))


def _whose(needed: ChannelSecret) -> str:
    """The same for every step at a channel, and for every channel that the environment's servers serve."""
    if needed.origin.pointer[0] != "environments":
        return f"the channel `{needed.channel}`"
    return f"every `{needed.transport}` channel of the environment `{needed.origin.pointer[1]}` that names no other"


def _check_secret(
    policy: PolicyRecord, where: tuple[str, str], need: str, secret: str, place: Location
) -> Iterator[Diagnostic]:
    """`where` are the workflow and the group of whoever has the `need`."""
    bound = policy.secrets.get(secret)
    if bound is None:
        yield Diagnostic(
            code="missing-secret",
            message=f"{need}, and {_ASK} doesn't declare it",
            location=place,
            hint=f"have `secrets: {{{secret}: {{file: /etc/gitopsd/secrets/{secret}}}}}` added to {_ASK}",
        )
        return
    for kind, given, allowed in zip(("workflow", "group"), where, (bound.workflows, bound.groups), strict=True):
        if allowed and given not in allowed:
            yield Diagnostic(
                code="secret-not-allowed",
                message=f"{need}, which is not for the {kind} `{given}`",
                location=place,
                hint=f"it is for {_one_of(allowed)}; have `{given}` added to `secrets.{secret}.{kind}s` of {_ASK}",
            )


def _too_many(policy: PolicyRecord, limit: int, total: int, step: StepNeeds, location: Location) -> Diagnostic:
    community = policy.edition == "community"
    whose = "the community edition" if community else "the operator's policy"
    change = "`policy.edition` changed to `full`" if community else "`policy.max_jobs` raised"
    return Diagnostic(
        code="too-many-jobs-for-policy",
        message=f"all steps together come to {total:,} jobs, and {whose} allows {limit:,}; "
        f"with the step `{step.name}` there are too many",
        location=location,
        hint=f"ask for fewer replicas, or have {change} in {_ASK}",
    )


def _worker_refusal(
    policy: PolicyRecord, networks: Sequence[IPv4Network | IPv6Network] | None, worker: PlacedWorker
) -> tuple[str, str] | None:
    if worker.connection == "local":
        return None if policy.local_workers else _LOCAL_REFUSED
    if not policy.external_workers:
        return (
            "is reached over SSH, and the community edition has built-in workers only",
            "write `connection: local` for this machine itself, or have `policy.edition` changed to `full`",
        )
    if networks is None:
        return None
    try:
        address = ip_address(worker.address)
    except ValueError:
        return (
            f"is named by `{worker.address}`, and the operator's policy allows addresses: a name could lead anywhere",
            "write its IP address",
        )
    if any(address in network for network in networks):
        return None
    known = _one_of([str(network) for network in networks]) if networks else "nowhere"
    return (
        f"is at `{address}`, and the operator's policy doesn't allow that address",
        f"workers may be in {known}: write another address, or have `policy.addresses` of {_ASK} changed",
    )


def _one_of(names: Iterable[str]) -> str:
    shown = [f"`{name}`" for name in names]
    return ", ".join(shown[:8]) + (" and more" if len(shown) > 8 else "")
