"""Which events of the repository's tests come out differently, folded."""

from gitopsd.planner.comment.budget import Group, Item, Section
from gitopsd.planner.comment.content import Shown
from gitopsd.planner.comment.neutral import code, fence_around, fenced_line, html_code, neutral
from gitopsd.planner.comment.ranks import DIFFS, DIFFS_FIRST, FIRST_DIFFS, LONG_DIFFS, SUMMARY
from gitopsd.planner.events.differences import EventDifference

_FIRST_LINES = 30
_NOUN = ("difference of events", "differences of events")


def events(about: Shown) -> tuple[Section, ...]:
    """Nothing where all events that were looked at come out as before."""
    found = tuple(_group(place, one) for place, one in enumerate(about.events.differences))
    sections = []
    if found:
        heading = "\n**Events of tests that come out differently**\n"
        sections.append(Section(heading=heading, groups=found, noun=_NOUN, counts_groups=True))
    if about.events.unknown:
        text = f"\nNot all events of tests were compared: {neutral(about.events.unknown)}.\n"
        sections.append(Section(groups=(Group(items=(Item(rank=SUMMARY, text=text),)),), noun=("line", "lines")))
    return tuple(sections)


def _group(place: int, one: EventDifference) -> Group:
    text = "\n".join(one.lines)
    fence = fence_around(text)
    lines = [f"{fenced_line(line)}\n" for line in one.lines]
    first = Item(rank=FIRST_DIFFS if place < DIFFS_FIRST else DIFFS, text="".join(lines[:_FIRST_LINES]),
                 count=min(len(lines), _FIRST_LINES))  # fmt: skip
    rest = [Item(rank=LONG_DIFFS, text=line) for line in lines[_FIRST_LINES:]]
    title = f"{html_code(one.port)} of {html_code(one.of)}: {neutral(one.test, 120)}"
    return Group(
        opening=f"\n<details><summary>{title}</summary>\n\n{code(one.place, 200)}\n\n{fence}diff\n",
        items=(first, *rest),
        more="… {} more lines\n",
        closing=f"{fence}\n\n</details>\n",
    )
