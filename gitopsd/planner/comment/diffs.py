"""How the files of jobs change, folded; replicas that change alike are told once."""

from collections.abc import Iterator, Sequence

from gitopsd.model.plan import JobChange
from gitopsd.planner.comment.budget import Group, Item, Section
from gitopsd.planner.comment.content import Shown
from gitopsd.planner.comment.neutral import fence_around, fenced_line, html_code
from gitopsd.planner.comment.ranks import DIFFS, DIFFS_FIRST, FIRST_DIFFS, LONG_DIFFS
from gitopsd.planner.comment.summary import changed

_FIRST_LINES, _FIRST_BYTES = 60, 3_000
_PIECE_LINES = 40
_MOST_NAMES = 3
_NO_ROOM = Group(items=(Item(rank=DIFFS, text=""),))


def diffs(about: Shown, limit: int | None) -> Section:
    """Once the first lines of some are more than `limit` bytes, the others are only counted: they have no room."""
    groups: list[Group] = []
    size = 0
    for place, (jobs, text) in enumerate(_alike(changed(about))):
        if limit is None or size <= limit:
            groups.append(_group(place, jobs, text))
            size += len(groups[-1].items[0].text)
        else:
            groups.append(_NO_ROOM)
    return Section(heading="\n**Diffs**\n", groups=tuple(groups), noun=("diff", "diffs"), counts_groups=True)


def _alike(changes: Sequence[JobChange]) -> Iterator[tuple[list[str], str]]:
    """Jobs of one step whose files change alike, but for the job's own name in them; and the first one's diff.

    What stands around a change may differ: each has its own number.
    """
    found: dict[tuple[str, str], tuple[list[str], str]] = {}
    for change in changes:
        if change.action != "update" or not change.files:
            continue
        text = "".join(file.diff for file in change.files)
        changed_lines = [line for line in text.splitlines() if line[:1] in {"+", "-"}]
        key = (change.job.rpartition(".")[0], "\n".join(changed_lines).replace(change.job, "\0"))
        found.setdefault(key, ([], text))[0].append(change.job)
    yield from found.values()


def _group(place: int, jobs: Sequence[str], text: str) -> Group:
    fence = fence_around(text)
    named = ", ".join(html_code(job) for job in sorted(jobs)[:_MOST_NAMES])
    more = f" and {len(jobs) - _MOST_NAMES:,} more that change alike" if len(jobs) > _MOST_NAMES else ""
    return Group(
        opening=f"\n<details><summary>{named}{more}</summary>\n\n{fence}diff\n",
        items=tuple(_pieces([fenced_line(line) for line in text.splitlines()], place)),
        more="… {} more lines\n",
        closing=f"{fence}\n\n</details>\n",
    )


def _pieces(lines: Sequence[str], place: int) -> Iterator[Item]:
    """The first lines together, then the rest bit by bit."""
    size = end = 0
    while end < min(len(lines), _FIRST_LINES) and (end == 0 or size + len(lines[end]) < _FIRST_BYTES):
        size += len(lines[end]) + 1
        end += 1
    yield _piece(lines[:end], FIRST_DIFFS if place < DIFFS_FIRST else DIFFS)
    for start in range(end, len(lines), _PIECE_LINES):
        yield _piece(lines[start : start + _PIECE_LINES], LONG_DIFFS)


def _piece(lines: Sequence[str], rank: int) -> Item:
    return Item(rank=rank, text="".join(f"{line}\n" for line in lines), count=len(lines))
