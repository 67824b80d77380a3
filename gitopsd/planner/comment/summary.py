"""What somebody who approves a plan wants to know first."""

from collections import Counter
from collections.abc import Iterator, Sequence

from gitopsd.model.plan import Effect, JobChange
from gitopsd.planner.comment.budget import Group, Item, Section
from gitopsd.planner.comment.content import Content, Refused, Shown
from gitopsd.planner.comment.neutral import code, neutral
from gitopsd.planner.comment.ranks import SUMMARY
from gitopsd.planner.plan.quarantined import quarantine_lines

_EFFECTS: dict[Effect, str] = {
    "start": "{:,} started", "restart": "{:,} restarted", "reload": "{:,} reloaded", "drain": "{:,} drained",
    "stop": "{:,} stopped",
}  # fmt: skip
_MOST_WORKERS = 10
_HELD = ("reason why it is held", "reasons why it is held")


def title(content: Content) -> str:
    """Of the comment, as Markdown."""
    about = content.about
    if isinstance(about, Refused):
        return f"No plan for {code(content.environment)}: {neutral(about.summary, 100)}"
    return f"Plan for {code(content.environment)}: {in_short(about)}"


def in_short(about: Shown) -> str:
    """`2 create, 1 update`, in plain text."""
    counts = about.plan.counts()
    if about.plan.is_empty:
        return "nothing changes" + (f", {counts['held']:,} held" if "held" in counts else "")
    return ", ".join(f"{count:,} {action}" for action, count in counts.items()) or "no jobs"


def holds(about: Shown) -> tuple[Section, ...]:
    """Why it isn't deployed as soon as it is merged, or not all of it."""
    sentences = [f"**Held:** {neutral(about.plan.held)}."] if about.plan.held else []
    sentences += [f"**Held:** {neutral(one)}" for one in about.holds]
    if about.plan.returns.words:
        sentences.append(f"{neutral(about.plan.returns.sentence)}.")
    sentences += [neutral(line) for one in about.plan.quarantined for line in quarantine_lines(one)]
    if not sentences:
        return ()
    items = tuple(Item(rank=SUMMARY, text=f"> - {sentence}\n") for sentence in sentences)
    return (Section(groups=(Group(items=items, closing="\n"),), noun=_HELD),)


def summary(about: Shown) -> Section:
    """A list."""
    items = tuple(Item(rank=SUMMARY, text=f"- {line}\n") for line in _lines(about))
    return Section(groups=(Group(items=items),), noun=("line", "lines"))


def changed(about: Shown) -> Sequence[JobChange]:
    return [change for change in about.plan.changes if change.action != "unchanged"]


def _lines(about: Shown) -> Iterator[str]:
    plan = about.plan
    changes = changed(about)
    if not changes:
        yield "No job changes."
    if plan.changed_workers:
        names = ", ".join(code(name, 63) for name in plan.changed_workers[:_MOST_WORKERS])
        more = len(plan.changed_workers) - _MOST_WORKERS
        yield f"Workers: {len(plan.changed_workers):,} ({names}{f' and {more:,} more' if more > 0 else ''})"
    if changes:
        effects = Counter([change.effect for change in changes if change.action != "held"])
        shown = [text.format(effects[effect]) for effect, text in _EFFECTS.items() if effects[effect]]
        yield f"Processes: {', '.join(shown) or 'none is touched'}"
        concerned = sum(bool(change.data) for change in changes)
        yield f"Data in flight: {_jobs(concerned)}, see below" if concerned else "Data in flight: nothing to mention"
    differing = [worker for worker in plan.changed_workers if (about.drift or {}).get(worker)]
    if differing:
        yield f"Overwritten on workers: what differs on {len(differing):,} of them, see below"


def _jobs(count: int) -> str:
    return f"{count:,} job{'s' if count > 1 else ''}"
