"""When a plan deletes so much that a person must say that it is meant."""

from collections.abc import Collection, Sequence

FEW_JOBS = 2
"""So few jobs may go whatever their share is, since in a small deployment every one is a large share."""

CONFIRM = "--confirm-deletes"


def why_held(deleted: Sequence[str], deployed: int, *, left_workflows: Collection[str], max_delete: int) -> str:
    """The sentence for people, empty where nothing is held. `max_delete` is a percentage of the `deployed` jobs.

    `deleted` are jobs that were deployed and won't be, on no worker; `left_workflows` those that still have a job.
    """
    gone = sorted({job.partition(".")[0] for job in deleted}.difference(left_workflows))
    rules = (
        (not deleted, False),
        (len(deleted) * 100 <= max_delete * deployed, False),
        (max_delete == 0, True),
        (bool(gone), True),  # a whole workflow at once is what a slip looks like
        (len(deleted) <= FEW_JOBS, False),
    )
    if not next((held for applies, held in rules if applies), True):
        return ""
    share = -(-len(deleted) * 100 // deployed)
    whole = f", among them all of {_named(gone)}" if gone else ""
    return (
        f"it deletes {len(deleted)} of {deployed} deployed jobs ({share} %{whole}), "
        f"and the policy lets at most {max_delete} % go without being confirmed: "
        f"if that is meant, `gitopsd apply {CONFIRM}`"
    )


def _named(workflows: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in workflows[:3])
    more = f" and {len(workflows) - 3} more" if len(workflows) > 3 else ""
    return f"the workflow{'s' if len(workflows) > 1 else ''} {shown}{more}"
