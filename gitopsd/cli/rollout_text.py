"""What happens to workers, for people: live where stderr is a terminal, else as lines, each thing said once."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.interruption import Interruption
from gitopsd.daemon.convergence.differences import Differences
from gitopsd.daemon.convergence.left_out import TriedInVain
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_reporter import Stage
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.reverting.revert_commit import Revert, returns
from gitopsd.model.excerpt import printable
from gitopsd.model.facts import Observation
from gitopsd.planner.drift import Drift
from gitopsd.planner.hot_edits import HotEdit

if TYPE_CHECKING:
    from gitopsd.cli.live import LiveWorkers

STATES = {
    "in-sync": None,
    "drift": "yellow",
    "converged": "green",
    "failed": "red",
    "rolled-back": "red",
    "unreachable": "yellow",
}
"""What may become of a worker, and its colour."""

_PLAIN: dict[Stage, str] = {
    "activating": "activating",
    "cut-off": "can't be reached since it was changed: waiting for it to undo that by itself",
    "rolling-back": "rolling back",
}
"""What is said of a worker on its way where it can't be shown live."""

_MOST_DRIFT = 50
_MOST_NAMES = 20
_SIGNS = {"+": "green", "-": "red", "@": "cyan"}
_WORDS = {"edited": "was edited", "removed": "was removed", "added": "was added"}


class RolloutText:
    """On stderr unless `err` is off. A reader that goes away (`2>&1 | head`) doesn't stop a rollout half way."""

    wants_traffic = False

    def __init__(self, *, err: bool = True) -> None:
        self._err = err
        self._heard = True
        self._lock = Lock()
        self._live: LiveWorkers | None = None
        self._interruption = Interruption()
        self._stopping = False
        self._said: set[tuple[str, Stage]] = set()
        self.rollout: Rollout | None = None
        """What it came to, once it has ended."""
        self.reverts: list[Revert] = []
        self.follows = False
        """Whether another process rolls out, which goes on whatever happens to this one."""

    def begins(self, workers: Sequence[str]) -> None:
        if not self.follows:
            self._interruption.begin()
        if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" and workers:
            from gitopsd.cli.live import LiveWorkers  # noqa: PLC0415 - rich takes its time, and most have no terminal

            self._live = LiveWorkers(sys.stderr, STATES)
            self._live.start(workers)

    def progress(self, worker: str, stage: Stage, detail: str = "") -> None:
        """Called on many threads."""
        if self._live is not None:
            self._live.progress(worker, stage, detail)
        elif stage in _PLAIN and (self._err or stage != "activating") and (worker, stage) not in self._said:
            self._said.add((worker, stage))
            self._say(f"  {worker}: {_PLAIN[stage]}")

    def stop_asked(self) -> bool:
        if self._interruption.asked and not self._stopping:
            self._stopping = True
            self._say(
                "stopping: no other worker is begun; those that are being changed have 10 s to end; "
                "Ctrl-C again ends at once"
            )
        return self._stopping

    def ended(self, rollout: Rollout) -> None:
        self.rollout = rollout
        self._interruption.end()
        self._end_live()
        self._say_all(end_lines(rollout))

    def note(self, message: str) -> None:
        self._say(message)

    def reverted(self, revert: Revert) -> None:
        self.reverts.append(revert)
        self._say("")
        for name, one in revert.quarantines.items():
            self._say_all([(f"{one.reason}", "red"), (f"{returns(name, one)}, and stays there", "red")])
            self._say(f"  until another version of it comes, or `gitopsd quarantine release {name}`")
        self._say(f"deployment {revert.deployment} committed ({revert.head.commit.id[:12]}), by an automatic revert")

    def left_out(self, worker: TriedInVain) -> None:
        times = "once" if worker.attempts == 1 else f"{worker.attempts} times in a row"
        what = self.left_out_text()
        line = f"  {worker.worker}: {what} until {worker.next}: {worker.trouble} {times}; `--now` tries it"
        self._say_all([(line, "yellow"), (f"    {worker.error}", None)])

    def left_out_text(self) -> str:
        """What is done about it."""
        return "left out"

    def observed(self, worker: str, observation: Observation) -> None: ...

    def about_to_change(self, differences: Differences) -> None:
        """Says what edits by hand are overwritten; called on many threads."""
        if differences.edits:
            self._say_all([(f"  {differences.worker}: edited by hand, and overwritten now:", None)])
            self._say_all(edit_lines(differences.edits))

    def warn(self, message: str) -> None:
        self._say(f"warning: {message}")

    def result(self, result: WorkerResult) -> None:
        if self._live is not None:
            self._live.ended(result.worker, result.state)
        done = ", ".join(f"{len(jobs)} {what}" for what, jobs in result.touched.items() if jobs)
        lines = [(f"  {result.worker}: {result.state}" + (f" ({done})" if done else ""), STATES[result.state])]
        lines += self.details(result)
        if result.error:
            lines.append((f"    {result.error}", None))
        for job, (message, log) in result.failures.items():
            lines.append((f"    {job}: {message}", None))
            lines += [(f"      | {entry}", None) for entry in log]
        self._say_all(lines)

    def details(self, result: WorkerResult) -> Iterable[tuple[str, str | None]]:
        """Lines between a worker's state and what failed there."""
        del result
        return ()

    def _say(self, text: str) -> None:
        self._say_all([(text, None)])

    def _say_all(self, lines: Iterable[tuple[str, str | None]]) -> None:
        """Together, whatever other threads have to say."""
        with self._lock:
            if not self._heard:
                return
            if self._live is not None and (self._err or sys.stdout.isatty()):
                self._live.print((part, colour) for text, colour in lines for part in parts(text))
                return
            try:
                for text, colour in lines:
                    for line in parts(text):
                        click.secho(printable(line), fg=colour, err=self._err)
            except BrokenPipeError:
                self._heard = False

    def _end_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def parts(text: str) -> list[str]:
    """Its lines, all but the first indented: none that a worker sent passes for one of ours."""
    first, *more = text.split("\n")
    indent = " " * (len(first) - len(first.lstrip()) + 2)
    return [first, *(indent + line for line in more)]


def end_lines(rollout: Rollout) -> Iterator[tuple[str, str | None]]:
    """What a rollout that didn't come to its end left, and what to do about it."""
    for group, why in rollout.stopped.items():
        yield f"  the rollout stopped in {group}: {why}", "red"
    if rollout.superseded_by is not None:
        number = rollout.superseded_by
        yield f"  deployment {number} is newer, so this one ends here: the apply of that one goes on", "yellow"
    if rollout.paused:
        yield f"  paused by {rollout.paused}", "yellow"
    if rollout.unfinished:
        yield f"  begun, and the end not waited for: {_names(rollout.unfinished)}", None
    if rollout.not_attempted:
        yield f"  not attempted, and as they were: {_names(rollout.not_attempted)}", None
    if rollout.interrupted:
        yield "  run this again to go on where it ended; `gitopsd status` shows what each worker holds", None
    elif rollout.paused:
        yield "  it goes on where it ended once `gitopsd resume` was run", None
    elif rollout.stopped:
        yield "  mend the version, or go back with `git revert`, and apply that; `gitopsd why` tells more", None


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def drift_lines(drift: Iterable[Drift]) -> Iterator[tuple[str, str | None]]:
    """One line a difference; with the values where the words don't have them."""
    shown = list(drift)
    for one in shown[:_MOST_DRIFT]:
        observed, desired = _short(one.observed), _short(one.desired)
        values = f" [{one.field}: {observed or 'none'} -> {desired or 'none'}]" if one.observed or one.desired else ""
        yield f"    {one}{values}", None
    if len(shown) > _MOST_DRIFT:
        yield f"    and {len(shown) - _MOST_DRIFT} more: --json has them all", None


def edit_lines(edits: Iterable[HotEdit]) -> Iterator[tuple[str, str | None]]:
    """The diff from what was found to what was deployed, file by file."""
    for edit in edits:
        yield f"    {edit.path} {_WORDS[edit.change]} by hand" + (f": {edit.note}" if edit.note else ""), None
        for line in edit.diff.splitlines():
            yield f"      {line}", _SIGNS.get(line[:1])


def _short(value: str) -> str:
    """Ids as people compare them."""
    return value[:12] if len(value) == 40 else value


def counted(results: Iterable[WorkerResult], rollout: Rollout | None = None) -> str:
    """How many workers ended how, and how many of the rollout didn't."""
    states = [result.state for result in results]
    parts = [f"{states.count(state)} {state}" for state in STATES if state in states]
    for names, what in (
        ((rollout.unfinished, "unfinished"), (rollout.not_attempted, "not attempted")) if rollout else ()
    ):
        parts += [f"{len(names)} {what}"] * bool(names)
    return ", ".join(parts) or "no workers"


def rollout_json(rollout: Rollout | None) -> dict[str, Any]:
    """How a rollout ended, beside its results; nothing for a command that only looked."""
    if rollout is None:
        return {}
    return {
        "stopped": dict(rollout.stopped),
        "superseded_by": rollout.superseded_by,
        "paused": rollout.paused,
        "interrupted": rollout.interrupted,
        "unfinished": list(rollout.unfinished),
        "not_attempted": list(rollout.not_attempted),
    }


def rollout_code(results: Iterable[WorkerResult], rollout: Rollout | None) -> int:
    """The exit code of a command that rolled out, or of one that only looked, which has no rollout."""
    states = {result.state for result in results}
    rules = (
        (rollout is not None and rollout.interrupted, exit_codes.INTERRUPTED),
        (bool(states & {"failed", "rolled-back"}), exit_codes.FAILED),
        (rollout is not None and rollout.superseded_by is not None, exit_codes.STALE_PLAN),
        (rollout is not None and not rollout.is_complete, exit_codes.FAILED),
        ("drift" in states, exit_codes.CHANGES),
        ("unreachable" in states, exit_codes.UNREACHABLE),
    )
    return next((code for applies, code in rules if applies), exit_codes.OK)
