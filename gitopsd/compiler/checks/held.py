"""Whether a job that an earlier deployment rendered may still run as it is, where it was. Pure."""

from gitopsd.compiler.render.unit_settings import PRIVILEGES
from gitopsd.compiler.render.workflow import RenderedJob
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.policy import DEFAULT_USER, PolicyRecord


def why_left_out(
    job: RenderedJob,
    *,
    then: PlacedWorker | None,
    now: PlacedWorker | None,
    policy_then: PolicyRecord | None,
    policy: PolicyRecord,
    clash: str,
) -> str:
    """Why the job can't be had back on its worker, empty where it can. The first rule that applies gives the reason.

    It was rendered for that worker, so it goes to no other one. `then` and `now` are the worker as it was and is,
    None where it isn't in the fleet. `clash` says what store of another workflow lies where one of the job's does; it
    is empty for most. What a job's text doesn't tell, its entitlements and unit settings, counts as
    refused where the policy allows less of them than it did then.
    """
    if now is None or now.leaving:
        return f"it was rendered for `{job.worker}`, which is not in the fleet any more"
    record = job.record
    user = record.get("user") or DEFAULT_USER
    secrets = [name for name in record.get("secrets", ()) if not _may_use(policy, name, job.workflow, now.group)]
    allowed_then = policy_then or PolicyRecord()
    rules = (
        (bool(clash), clash),
        (
            then is not None and then.service_manager != now.service_manager,
            f"it was rendered for another service manager than `{job.worker}` has now",
        ),
        (
            policy.groups is not None and now.group not in policy.groups,
            f"the operator's policy allows no jobs on the group `{now.group}`",
        ),
        (
            user not in {DEFAULT_USER, *policy.users},
            f"the operator's policy allows no job to run as `{user}`",
        ),
        (bool(secrets), f"the operator's policy doesn't let it use the secret `{''.join(secrets[:1])}`"),
        (
            _is_narrower(policy.entitlements, allowed_then.entitlements),
            "the operator's policy has fewer entitlements than when it was rendered",
        ),
        (_has_fewer_settings(policy, allowed_then), "the operator's policy allows less in units than it did then"),
    )
    return next((reason for applies, reason in rules if applies), "")


def _may_use(policy: PolicyRecord, secret: str, workflow: str, group: str) -> bool:
    bound = policy.secrets.get(secret)
    if bound is None:
        return False
    return (not bound.workflows or workflow in bound.workflows) and (not bound.groups or group in bound.groups)


def _is_narrower(now: tuple[str, ...] | None, then: tuple[str, ...] | None) -> bool:
    """None stands for all that there are."""
    return now is not None and (then is None or not set(then) <= set(now))


def _has_fewer_settings(now: PolicyRecord, then: PolicyRecord) -> bool:
    """None stands for everything but privileges."""
    if now.unit_settings is None:
        return bool(set(then.unit_settings or ()) & PRIVILEGES.keys())
    return then.unit_settings is None or not set(then.unit_settings) <= set(now.unit_settings)
