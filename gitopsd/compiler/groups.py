"""The worker groups as the artifact branch records them: how each is rolled out to, and in which wave."""

from collections.abc import Sequence

from gitopsd.compiler.link import Linked
from gitopsd.compiler.waves import waves
from gitopsd.model.amounts import seconds
from gitopsd.model.artifacts import GroupRecord
from gitopsd.model.system import WorkflowSummary


def fleet_groups(linked: Linked, summaries: Sequence[WorkflowSummary]) -> dict[str, GroupRecord]:
    """The groups of the environment's fleet that have workers, by name."""
    declared = linked.fleet.value.groups
    order = waves(declared, {flow for summary in summaries for flow in summary.flows})
    return {
        name: GroupRecord(
            canary=group.rollout_settings.canary,
            max_parallel=group.rollout_settings.max_parallel,
            min_healthy_time=seconds(group.rollout_settings.min_healthy_time),
            healthy_deadline=seconds(group.rollout_settings.healthy_deadline),
            auto_revert=group.rollout_settings.auto_revert,
            max_failed=group.rollout_settings.max_failed,
            max_unreachable=group.rollout_settings.max_unreachable,
            confirm_timeout=seconds(group.rollout_settings.confirm_timeout),
            order=order[name],
        )
        for name, group in declared.items()
        if group.workers
    }
