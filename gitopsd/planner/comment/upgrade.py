"""What gitopsd's own new version changes: it is deployed before the plan that the page is about."""

from gitopsd.planner.comment.budget import Group, Item, Section
from gitopsd.planner.comment.content import Shown
from gitopsd.planner.comment.neutral import code, neutral
from gitopsd.planner.comment.ranks import JOBS, SUMMARY
from gitopsd.planner.comment.workers import row

_TABLE = "| worker | job | change | effect | reason |\n|---|---|---|---|---|\n"


def upgrade(about: Shown) -> tuple[Section, ...]:
    found = about.plan.upgrade
    if found is None:
        return ()
    held = f"\n> **Held:** {neutral(found.held)}.\n" if found.held else ""
    said = f"**This is {neutral(found.words)}.** It is deployed first, and by itself.\n{held}\n"
    changes = [change for change in found.changes if change.action != "unchanged"]
    table = Group(
        opening=f"<details><summary>What it changes</summary>\n\n{_TABLE}",
        items=tuple(Item(rank=JOBS, text=f"| {code(one.worker)} {row(one)}") for one in changes),
        more="| | … {} more | | | |\n",
        closing="\n</details>\n\nAfter it comes this version:\n\n",
    )
    sentence = Group(items=(Item(rank=SUMMARY, text=said),))
    return (
        Section(groups=(sentence,), noun=("line", "lines")),
        Section(groups=(table,) if changes else (), noun=("job of the upgrade", "jobs of the upgrade")),
    )
