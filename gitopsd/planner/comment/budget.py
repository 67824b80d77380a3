"""Markdown that fits: the most important parts that a limit has room for, each whole, in the order of the page.

A page is made of sections, a section of groups, a group of items. An item is shown whole or not at all; a group whose
items are not all shown says how many are missing, inside of its table, list or fence. Items are taken by their rank
until the first that has no room: so a longer limit never shows less of anything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

_NUMBER = 9
"""Digits and commas that a count may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Whole lines, each ended. The lowest `rank` is the most important; `count`: so many things it stands for."""

    rank: int
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Items between an opening and a closing. `more` is the line that tells how many are missing, with `{}` for it.

    A group that is not shown at all is counted by its section.
    """

    items: tuple[Item, ...]
    opening: str = ""
    closing: str = ""
    more: str = ""

    @property
    def frame(self) -> int:
        return _size(self.opening) + _size(self.closing) + _size(self.more) + _NUMBER * bool(self.more)

    @property
    def count(self) -> int:
        return sum(item.count for item in self.items)

    def text(self, shown: "frozenset[int]") -> tuple[str, int]:
        """With those items whose place in it is among `shown`; and how many things are missing from it."""
        parts = [item.text for place, item in enumerate(self.items) if place in shown]
        missing = sum(item.count for place, item in enumerate(self.items) if place not in shown)
        more = self.more.format(f"{missing:,}") if missing else ""
        return "".join([self.opening, *parts, more, self.closing]), missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """`noun` names what is missing from it, in the singular and the plural: of its items, or of whole groups where
    `counts_groups`.
    """

    groups: tuple[Group, ...]
    noun: tuple[str, str]
    heading: str = ""
    counts_groups: bool = False


@dataclass(slots=True)
class _Chosen:
    """Which items are shown: section -> group -> places in the group."""

    places: dict[int, dict[int, set[int]]] = field(default_factory=dict)

    def add(self, section: int, group: int, place: int) -> None:
        self.places.setdefault(section, {}).setdefault(group, set()).add(place)


def fitted(sections: Sequence[Section], limit: int | None) -> tuple[str, tuple[str, ...]]:
    """The text, of at most `limit` bytes of UTF-8; and what is not shown of it, such as `12 jobs`, by section."""
    chosen = _chosen(sections, limit)
    texts: list[str] = []
    missing: list[str] = []
    for number, section in enumerate(sections):
        groups = chosen.places.get(number, {})
        if groups:
            texts.append(section.heading)
        left_out = 0
        for place, group in enumerate(section.groups):
            if place in groups:
                text, lacking = group.text(frozenset(groups[place]))
                texts.append(text)
                left_out += 0 if section.counts_groups else lacking
            else:
                left_out += 1 if section.counts_groups else group.count
        if left_out:
            missing.append(f"{left_out:,} {section.noun[left_out > 1]}")
    return "".join(texts), tuple(missing)


def _chosen(sections: Sequence[Section], limit: int | None) -> _Chosen:
    chosen = _Chosen()
    left = limit
    for section, group, place in _by_rank(sections):
        if left is not None:
            left -= _cost(sections, chosen, section, group, place)
            if left < 0:
                break
        chosen.add(section, group, place)
    return chosen


def _cost(sections: Sequence[Section], chosen: _Chosen, section: int, group: int, place: int) -> int:
    """What showing one more item takes, with all that must be around the first one."""
    found = sections[section].groups[group]
    groups = chosen.places.get(section)
    around = (_size(sections[section].heading) if groups is None else 0) + (
        found.frame if groups is None or group not in groups else 0
    )
    return around + _size(found.items[place].text)


def _by_rank(sections: Sequence[Section]) -> Iterable[tuple[int, int, int]]:
    """Items as (section, group, place), the most important first, else in the order of the page."""
    found = chain.from_iterable(
        (
            (item.rank, section, group, place)
            for group, one in enumerate(sections[section].groups)
            for place, item in enumerate(one.items)
        )
        for section in range(len(sections))
    )
    return ((section, group, place) for _, section, group, place in sorted(found))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
