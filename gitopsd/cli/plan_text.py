"""A plan as text for a terminal."""

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from gitopsd.model.excerpt import printable
from gitopsd.model.plan import Action, Effect, JobChange, Plan, Upgrade
from gitopsd.planner.plan.quarantined import quarantine_lines

_SIGNS: dict[Action, str] = {"create": "+", "update": "~", "move": ">", "delete": "-", "unchanged": " ", "held": "!"}
_EFFECTS: dict[Effect, str] = {
    "start": "starts",
    "restart": "restarts",
    "reload": "reloads",
    "drain": "drains",
    "stop": "stops",
    "none": "what runs is not touched",
}
_MOST_DIFF_LINES = 60


def format_plan(plan: Plan) -> str:
    """The changes by worker, and the counts; those of gitopsd's own upgrade by themselves before that."""
    lines = [printable(line) for line in _upgrade_lines(plan.upgrade)] if plan.upgrade else []
    lines += change_lines(plan.changes, plan.changed_workers)
    lines += ["", _summary(plan)]
    lines += [f"{sentence}." for sentence in [plan.returns.sentence] if sentence]
    lines += [printable(line) for one in plan.quarantined for line in quarantine_lines(one)]
    if plan.held:
        lines.append(f"Held: {printable(plan.held)}.")
    pinned = f", pinned to {plan.inputs.pinned[:12]}" if plan.inputs.pinned else ""
    lines.append(f"environment {plan.inputs.environment}{pinned}, branch {plan.branch}, plan {plan.digest[:12]}")
    return "\n".join(lines).lstrip("\n")


def without_upgrade(plan: Plan) -> Plan:
    """The plan alone, where what comes before it has been said."""
    return replace(plan, upgrade=None)


def _upgrade_lines(upgrade: Upgrade) -> list[str]:
    lines = ["", f"This is {upgrade.words}."]
    if upgrade.held:
        lines.append(f"Held: {upgrade.held}.")
    if upgrade.problem:
        return lines
    return [*lines, *change_lines(upgrade.changes, upgrade.changed_workers), "", "After it comes this version:"]


def change_lines(changes: Iterable[JobChange], changed_workers: Iterable[str]) -> list[str]:
    """What changes, by worker, each with an empty line before it."""
    lines: list[str] = []
    worker = ""
    with_changes = set[str]()
    moved_away = Counter[str]()
    shown = list(changes)
    for change, following in zip(shown, [*shown[1:], None], strict=True):
        moved_away[change.moved_from] += 1
        if change.action == "unchanged":
            continue
        if change.worker != worker:
            worker = change.worker
            with_changes.add(worker)
            lines += ["", worker]
        lines += _change_lines(change, is_told_below=following is not None and _comes_as(change, following))
    for name in changed_workers:
        if name not in with_changes:
            away = f"{moved_away[name]} job{' moves' if moved_away[name] == 1 else 's move'} away from it"
            lines += ["", name, f"  {away}" if moved_away[name] else "  its release changes, and none of its jobs do"]
    return lines


def _comes_as(change: JobChange, following: JobChange) -> bool:
    """Whether both come to one worker for one reason, so that it is enough to say it once, below the last of them."""
    told, told_below = ((one.worker, one.action, one.reason) for one in (change, following))
    return change.action == "create" and told == told_below and not change.data


def _change_lines(change: JobChange, *, is_told_below: bool) -> list[str]:
    origin = f" from {change.moved_from}" if change.moved_from else ""
    would_go = change.action == "held" and change.effect != "none"
    effect = f"deleting it {_EFFECTS[change.effect]} it" if would_go else _EFFECTS[change.effect]
    lines = [f"  {_SIGNS[change.action]} {change.action} {change.job}{origin}: {effect}"]
    if not is_told_below:
        lines.append(f"      {printable(change.reason)}")
    if change.data:
        lines.append(f"      data: {printable(change.data)}")
    if change.action == "update":
        for file in change.files:
            diff = [printable(line) for line in file.diff.splitlines()]
            lines += [f"      {line}" for line in diff[:_MOST_DIFF_LINES]]
            if len(diff) > _MOST_DIFF_LINES:
                lines.append(f"      … {len(diff) - _MOST_DIFF_LINES} more lines: see `--format json`")
    return lines


def _summary(plan: Plan) -> str:
    counts = plan.counts()
    if plan.is_empty:
        held = f", {counts['held']} are held" if "held" in counts else ""
        return f"No changes: {counts.get('unchanged', 0)} jobs are as this version has them{held}."
    shown = ", ".join(f"{count} {action}" for action, count in counts.items()) or "no jobs"
    concerned = sum(bool(change.data) for change in plan.changes)
    data = f"; data in flight: see {concerned} job{'s' if concerned > 1 else ''}" if concerned else ""
    return f"Plan: {shown}{data}."
