"""Why there is no plan: files that can't be merged, and what is wrong with the source, each with its place."""

from collections.abc import Iterator

from gitopsd.model.diagnostic import Diagnostic, Location, Severity
from gitopsd.model.excerpt import format_diagnostic
from gitopsd.planner.comment.budget import Group, Item, Section
from gitopsd.planner.comment.content import Refused
from gitopsd.planner.comment.neutral import fence_around, fenced_line, link, neutral
from gitopsd.planner.comment.ranks import SUMMARY

_MOST_RELATED = 5
_MOST_LINES = 40
_ICONS = {Severity.ERROR: "❌", Severity.WARNING: "⚠️"}


def mistakes(about: Refused) -> Section:
    hint = (Item(rank=SUMMARY, text=f"{neutral(about.hint)}\n\n"),) if about.hint else ()
    paths = tuple(Item(rank=SUMMARY, text=f"- {neutral(path, 200)}\n") for path in about.paths)
    found = tuple(Item(rank=SUMMARY, text="".join(_lines(one, about))) for one in about.diagnostics)
    return Section(groups=(Group(items=(*hint, *paths, *found)),), noun=("mistake", "mistakes"))


def _lines(one: Diagnostic, about: Refused) -> Iterator[str]:
    yield f"{_ICONS[one.severity]} {neutral(one.message)} {_place(one.location, about)}"
    yield "\n\n"
    text = format_diagnostic(one, about.sources)
    fence = fence_around(text)
    lines = [fenced_line(line) for line in text.split("\n")]
    yield "".join(f"{line}\n" for line in [f"{fence}text", *lines[:_MOST_LINES], fence])
    for related in one.related[:_MOST_RELATED]:
        yield f"- {neutral(related.message)} {_place(related.location, about)}\n"
    yield "\n"


def _place(place: Location, about: Refused) -> str:
    return link(f"({neutral(f'{place.path}:{place.line}', 200)})", about.link(place.path, place.line))
