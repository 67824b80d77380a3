"""Which trials make up the matrix, and the page that says how they ended."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import zip_longest
from typing import TYPE_CHECKING

from tests.crash.faults import FAULTS
from tests.crash.steps import AGENT, CONTROLLER, kind_of, step_of
from tests.crash.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.crash.trial import Outcome

_TITLE = """\
# The crash matrix

What becomes of a worker when something dies, at every step boundary of `gitopsd apply`, at both ends. `make matrix`
wrote this page; a landing runs a sample of it that meets each row and each column.

Each point is one trial, on a real machine with systemd and sshd and a repository with a remote: `gitopsd apply` of a
new version, the fault at that point, what was broken outside put right (the link, the disk, the power), and then
`gitopsd reconcile WORKER` **once**. It has passed when reconcile ended with 0 and

- the worker is exactly at the head of the artifact branch: its link, the hash of its files, its unit files and boot
  links, what systemd has read, the arguments of the processes that run, the secret that it holds;
- no unit was left stopped or failed, and nothing half made was left behind;
- nothing else on the machine was touched: units of other people, running and stopped, some of them called `gitopsd-…`,
  are the same processes, and every other file below /etc, /usr, /opt, /srv, /root and /var/lib is as before.

Points are the effects that the two programs have: files, links and directories made, renamed and removed, each fsync,
each command before and after, each connection, and each question to a worker and its answer. They are found by
applying without a fault first. The agent and the controller are killed at all of them (of many that do the same to one
file after another, at the first and the last); the other faults strike at the first and the last point of each step. A
jump of the clock must not even keep the apply from ending well.
"""


def all_trials(points: Mapping[str, Sequence[str]]) -> list[Trial]:
    """Every trial of the full matrix: first one of each cell, mixed, then the second of each, and so on."""
    cells = [
        [Trial(side=side, point=point, fault=fault) for point in (_of_each_kind(row) if fault.full else _ends(row))]
        for fault in FAULTS
        for side in fault.sides
        for row in _rows(side, points[side]).values()
    ]
    turns = [[trial for trial in turn if trial is not None] for turn in zip_longest(*cells)]
    for turn in turns:
        random.Random(0).shuffle(turn)  # noqa: S311 -- so that whatever there is time for is spread over all cells
    return [trial for turn in turns for trial in turn]


def sample(points: Mapping[str, Sequence[str]]) -> list[Trial]:
    """One trial of each row, its faults by turns, and then whatever columns have not come up."""
    chosen: list[Trial] = []
    for side in (CONTROLLER, AGENT):
        faults = [fault for fault in FAULTS if side in fault.sides]
        for number, row in enumerate(_rows(side, points[side]).values()):
            chosen.append(Trial(side=side, point=row[len(row) // 2], fault=faults[number % len(faults)]))
    met = {(trial.fault.name, trial.side) for trial in chosen}
    unmet = [(fault, side) for fault in FAULTS for side in fault.sides if (fault.name, side) not in met]
    return chosen + [Trial(side=side, point=points[side][len(points[side]) // 2], fault=fault) for fault, side in unmet]


def page(outcomes: Sequence[Outcome], order: Mapping[str, Sequence[str]], *, trials: int) -> str:
    """The whole page; `order` has the points as they came, for the rows, `trials` is how many there were to be."""
    cells: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for outcome in (one for one in outcomes if one.reached):
        cells[(*outcome.trial.row, outcome.trial.fault.name)].append(not outcome.problems)
    total, passed = sum(map(len, cells.values())), sum(sum(cell) for cell in cells.values())
    missed = sum(not outcome.reached for outcome in outcomes)
    late = trials - total - missed
    left = f" {late} more were not tried: the time was up (GITOPSD_MATRIX_SECONDS)." if late else ""
    left += f" {missed} more came up in no apply when their turn came." if missed else ""
    parts = [_TITLE, f"**{total} points, {passed} passed.**{left} In each cell: how many points.\n"]
    for side, where in ((CONTROLLER, "On the controller"), (AGENT, "On the worker")):
        columns = list(dict.fromkeys(fault.name for fault in FAULTS if side in fault.sides))
        rows = list(_rows(side, order[side]))
        lines = [f"| step | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
        lines += [f"| {row} | {' | '.join(_cell(cells[side, row, column]) for column in columns)} |" for row in rows]
        parts.append(f"## {where}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _cell(results: Sequence[bool]) -> str:
    failed = results.count(False)
    return f"{len(results)}" + (f" ({failed} failed)" if failed else "")


def _rows(side: str, points: Sequence[str]) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = defaultdict(list)
    for point in points:
        rows[step_of(side, point)].append(point)
    return rows


def _of_each_kind(row: Sequence[str]) -> list[str]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for point in row:
        kinds[kind_of(point)].append(point)
    return [point for kind in kinds.values() for point in _ends(kind)]


def _ends(points: Sequence[str]) -> list[str]:
    """The first and the last."""
    return list(points[:1]) + list(points[1:][-1:])
