"""A plan as text for a terminal."""

from gitopsd.model.excerpt import printable
from gitopsd.model.plan import Action, JobChange, Plan

_SIGNS: dict[Action, str] = {"create": "+", "update": "~", "move": ">", "delete": "-", "unchanged": " "}
_EFFECTS = {
    "start": "starts",
    "restart": "restarts",
    "reload": "reloads",
    "stop": "stops",
    "none": "what runs is not touched",
}
_MOST_DIFF_LINES = 60


def format_plan(plan: Plan) -> str:
    """The changes by worker, and the counts."""
    lines: list[str] = []
    worker = ""
    for change in plan.changes:
        if change.action == "unchanged":
            continue
        if change.worker != worker:
            worker = change.worker
            lines += ["", f"{worker}"]
        lines += _change_lines(change)
    with_changes = {change.worker for change in plan.changes if change.action != "unchanged"}
    for name in plan.changed_workers:
        if name not in with_changes:
            lines += ["", name, "  its release changes, and none of its jobs do"]
    lines += ["", _summary(plan)]
    lines.append(f"environment {plan.inputs.environment}, branch {plan.branch}, plan {plan.digest[:12]}")
    return "\n".join(lines).lstrip("\n")


def _change_lines(change: JobChange) -> list[str]:
    origin = f" from {change.moved_from}" if change.moved_from else ""
    lines = [
        f"  {_SIGNS[change.action]} {change.action} {change.job}{origin}: {_EFFECTS[change.effect]}",
        f"      {printable(change.reason)}",
    ]
    if change.action == "update":
        for file in change.files:
            diff = [printable(line) for line in file.diff.splitlines()]
            lines += [f"      {line}" for line in diff[:_MOST_DIFF_LINES]]
            if len(diff) > _MOST_DIFF_LINES:
                lines.append(f"      … {len(diff) - _MOST_DIFF_LINES} more lines: see `--format json`")
    return lines


def _summary(plan: Plan) -> str:
    if plan.is_empty:
        return f"No changes: {plan.count('unchanged')} jobs are as this version has them."
    actions: tuple[Action, ...] = ("create", "update", "move", "delete", "unchanged")
    counts = ", ".join(f"{plan.count(action)} {action}" for action in actions if plan.count(action))
    return f"Plan: {counts}."
