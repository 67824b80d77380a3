"""A plan as Markdown: a summary, a table of what changes, the effects on data, and the diffs folded away.

Text from the repository is neutralised: it can't form links, mentions, HTML or the end of its own fence.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from gitopsd.cli.hold_text import hold_lines
from gitopsd.cli.plan_text import quarantine_lines, returns_sentence
from gitopsd.daemon.holds import Hold
from gitopsd.model.excerpt import printable
from gitopsd.model.plan import Effect, JobChange, Plan, Upgrade

_ACTIVE = re.compile(r"[\\`*_{}\[\]()<>#+!|@&~$]|:(?=//)|(?<=[Ww]{3})\.|^-")
_EFFECTS: dict[Effect, str] = {
    "start": "{} started", "restart": "{} restarted", "reload": "{} reloaded", "stop": "{} stopped",
}  # fmt: skip
_MOST_WORKERS = 10


def format_markdown(plan: Plan, holds: Collection[Hold] = ()) -> str:
    """Whole Markdown, ending in a newline. `holds` are what holds the environment besides."""
    changes = [change for change in plan.changes if change.action != "unchanged"]
    counts = ", ".join(f"{count} {action}" for action, count in plan.counts().items())
    lines = [f"### Plan for `{plan.inputs.environment}`: {counts or 'nothing'}", ""]
    if plan.held:
        lines += [f"> **Held:** {neutral(plan.held)}.", ""]
    lines += [text for line in hold_lines(holds) for text in (f"> {neutral(line)}", "")]
    if plan.returns.words:
        lines += [f"> {neutral(returns_sentence(plan.returns))}.", ""]
    if plan.upgrade:
        lines += _upgrade(plan.upgrade)
    quarantines = [line for one in plan.quarantined for line in quarantine_lines(one)]
    lines += [f"> {neutral(line)}" for line in quarantines] + ([""] if quarantines else [])
    lines += [f"- {line}" for line in _summary(plan, changes)]
    if changes:
        lines += ["", "| worker | job | change | effect | reason |", "|---|---|---|---|---|"]
        lines += [_row(change) for change in changes]
    concerned = [change for change in changes if change.data]
    if concerned:
        lines += ["", "**Data in flight**", ""]
        lines += [f"- `{change.job}`: {neutral(change.data)}" for change in concerned]
    for change in changes:
        if change.action == "update" and change.files:
            lines += _diffs(change)
    source = plan.inputs.source_commit[:12] or "the work tree, with edits that are not committed"
    head = plan.inputs.artifact_head[:12] or "nothing deployed yet"
    pinned = f", pinned to {plan.inputs.pinned[:12]}," if plan.inputs.pinned else ""
    lines += ["", f"Plan `{plan.digest[:12]}` of {source}{pinned} against {head}, gitopsd {plan.inputs.renderer}"]
    return "\n".join(lines) + "\n"


def _upgrade(upgrade: Upgrade) -> list[str]:
    """What comes before the plan itself, folded away but for its heading."""
    lines = [f"**This is {neutral(upgrade.words)}.** It is deployed first, and by itself.", ""]
    if upgrade.held:
        lines += [f"> **Held:** {neutral(upgrade.held)}.", ""]
    changes = [change for change in upgrade.changes if change.action != "unchanged"]
    if changes:
        lines += ["<details><summary>What it changes</summary>", ""]
        lines += ["| worker | job | change | effect | reason |", "|---|---|---|---|---|"]
        lines += [*(_row(change) for change in changes), "", "</details>", "", "After it comes this version:", ""]
    return lines


def _summary(plan: Plan, changes: Sequence[JobChange]) -> Iterator[str]:
    """What somebody who approves it wants to know first."""
    if not changes:
        yield "No job changes."
    if plan.changed_workers:
        names = ", ".join(f"`{name}`" for name in plan.changed_workers[:_MOST_WORKERS])
        more = len(plan.changed_workers) - _MOST_WORKERS
        yield f"Workers: {len(plan.changed_workers)} ({names}{f' and {more} more' if more > 0 else ''})"
    effects = Counter([change.effect for change in changes if change.action != "held"])
    shown = [text.format(effects[effect]) for effect, text in _EFFECTS.items() if effects[effect]]
    if changes:
        yield f"Processes: {', '.join(shown) or 'none is touched'}"
        concerned = sum(bool(change.data) for change in changes)
        said = f"{concerned} job{'s' if concerned > 1 else ''}, see below" if concerned else "nothing to mention"
        yield f"Data in flight: {said}"


def _row(change: JobChange) -> str:
    origin = f" from `{change.moved_from}`" if change.moved_from else ""
    return (
        f"| `{change.worker}` | `{change.job}` | {change.action}{origin} | {change.effect} | {neutral(change.reason)} |"
    )


def _diffs(change: JobChange) -> list[str]:
    text = "".join(file.diff for file in change.files)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    body = [printable(line) for line in text.splitlines()]
    return [
        "",
        f"<details><summary><code>{change.job}</code></summary>",
        "",
        f"{fence}diff",
        *body,
        fence,
        "",
        "</details>",
    ]


def neutral(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", printable(text))
