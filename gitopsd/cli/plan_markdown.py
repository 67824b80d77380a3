"""A plan as Markdown: a table of what changes, and the diffs folded away.

Text from the repository is neutralised: it can't form links, mentions, HTML or the end of its own fence.
"""

import re

from gitopsd.model.excerpt import printable
from gitopsd.model.plan import Action, JobChange, Plan

_ACTIVE = re.compile(r"[\\`*_{}\[\]()<>#+!|@&~$]|:(?=//)|^-")
_ACTIONS: tuple[Action, ...] = ("create", "update", "move", "delete", "unchanged")


def format_markdown(plan: Plan) -> str:
    """Whole Markdown, ending in a newline."""
    changes = [change for change in plan.changes if change.action != "unchanged"]
    counts = ", ".join(f"{plan.count(action)} {action}" for action in _ACTIONS if plan.count(action))
    lines = [f"### Plan for `{plan.inputs.environment}`: {counts or 'nothing'}", ""]
    if changes:
        lines += ["| worker | job | change | effect | reason |", "|---|---|---|---|---|"]
        lines += [_row(change) for change in changes]
    else:
        lines.append("No changes.")
    for change in changes:
        if change.action == "update" and change.files:
            lines += _diffs(change)
    source = plan.inputs.source_commit[:12] or "the work tree, with edits that are not committed"
    head = plan.inputs.artifact_head[:12] or "nothing deployed yet"
    lines += ["", f"Plan `{plan.digest[:12]}` of {source} against {head}, gitopsd {plan.inputs.renderer}"]
    return "\n".join(lines) + "\n"


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
