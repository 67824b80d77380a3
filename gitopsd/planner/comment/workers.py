"""What happens where: the picture, data at risk, what is overwritten, and a table for each worker."""

from collections import Counter
from collections.abc import Sequence

from gitopsd.model.plan import JobChange
from gitopsd.planner.comment.budget import Group, Item, Section
from gitopsd.planner.comment.content import Shown
from gitopsd.planner.comment.neutral import code, html_code, neutral
from gitopsd.planner.comment.ranks import FIRST_JOBS, FIRST_RISKS, GRAPH, JOBS, JOBS_FIRST, RISKS, RISKS_FIRST
from gitopsd.planner.comment.summary import changed
from gitopsd.planner.graph.mermaid import mermaid_text

_GRAPH_STEPS, _GRAPH_CHARACTERS = 16, 8_000
_UNFOLDED_WORKFLOWS = 3
_FOLD = "\n<details><summary>What changes, as a picture</summary>\n"
_PICTURES = ("picture", "pictures")
_MOST_NAMES = 3
_UNFOLDED_JOBS = 30
_TABLE = "| job | change | effect | reason |\n|---|---|---|---|\n"


def graph_of(about: Shown) -> Section:
    """A picture of what changes, that forges draw; folded where it is a long one."""
    graph = about.graph
    if graph is None or not graph.workflows:
        return Section(groups=(), noun=_PICTURES)
    item = Item(rank=GRAPH, text=mermaid_text(graph, most_steps=_GRAPH_STEPS, most_characters=_GRAPH_CHARACTERS))
    before, after = ("", "") if len(graph.workflows) <= _UNFOLDED_WORKFLOWS else (_FOLD, "\n</details>\n")
    group = Group(items=(item,), opening=f"{before}\n```mermaid\n", closing=f"```\n{after}")
    return Section(groups=(group,), noun=_PICTURES)


def data_in_flight(about: Shown) -> Section:
    """What some jobs' data meets, one line for all jobs that meet the same."""
    jobs: dict[str, list[str]] = {}
    for change in changed(about):
        if change.data:
            jobs.setdefault(change.data, []).append(change.job)
    lines = [(f"- {_named(names)}: {neutral(data, 900)}\n", len(names)) for data, names in jobs.items()]
    return Section(
        heading="\n**Data in flight**\n\n",
        groups=(_risks(lines),),
        noun=("job's effects on data", "jobs' effects on data"),
    )


def overwritten(about: Shown) -> Section:
    """What was last found on the workers that this changes, and isn't what was deployed to them."""
    drift = about.drift or {}
    lines = [
        (f"- {code(worker)}: {neutral(sentence)}\n", 1)
        for worker in about.plan.changed_workers
        for sentence in drift.get(worker, ())
    ]
    return Section(
        heading="\n**Overwritten on workers**, as they were last seen\n\n",
        groups=(_risks(lines),),
        noun=("difference on a worker", "differences on workers"),
    )


def workers(about: Shown) -> Section:
    """A table for each worker whose jobs change. They are folded where there are many."""
    by_worker: dict[str, list[JobChange]] = {}
    changes = changed(about)
    for change in changes:
        by_worker.setdefault(change.worker, []).append(change)
    first = _first_jobs(changes)
    is_open = " open" if len(changes) <= _UNFOLDED_JOBS else ""
    groups = tuple(
        Group(
            opening=f"\n<details{is_open}><summary>{html_code(worker)}: {_counted(found)}</summary>\n\n{_TABLE}",
            items=tuple(Item(rank=FIRST_JOBS if id(one) in first else JOBS, text=row(one)) for one in found),
            more="| … {} more | | | |\n",
            closing="\n</details>\n",
        )
        for worker, found in by_worker.items()
    )
    return Section(groups=groups, noun=("job", "jobs"))


def _first_jobs(changes: Sequence[JobChange]) -> frozenset[int]:
    """By identity: those that matter most come first, else as they are."""
    ranked = sorted(changes, key=lambda one: (not (one.data or one.action in {"delete", "held"}), one.action != "move"))
    return frozenset(id(one) for one in ranked[:JOBS_FIRST])


def row(change: JobChange) -> str:
    """Of a table: the job, what becomes of it and of what runs, and why."""
    origin = f" from {code(change.moved_from)}" if change.moved_from else ""
    return f"| {code(change.job, 250)} | {change.action}{origin} | {change.effect} | {neutral(change.reason)} |\n"


def _risks(lines: Sequence[tuple[str, int]]) -> Group:
    items = tuple(
        Item(rank=FIRST_RISKS if place < RISKS_FIRST else RISKS, text=text, count=count)
        for place, (text, count) in enumerate(lines)
    )
    return Group(items=items, more="- … {} more\n")


def _counted(changes: Sequence[JobChange]) -> str:
    counts = Counter([change.action for change in changes])
    return ", ".join(f"{count:,} {action}" for action, count in counts.items())


def _named(jobs: Sequence[str]) -> str:
    shown = ", ".join(code(job, 250) for job in jobs[:_MOST_NAMES])
    return shown + (f" and {len(jobs) - _MOST_NAMES:,} more" if len(jobs) > _MOST_NAMES else "")
