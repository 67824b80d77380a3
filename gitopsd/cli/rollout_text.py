"""What happens to workers, as lines for people: each thing said once, when it is known."""

from collections.abc import Iterable, Iterator
from threading import Lock

import click

from gitopsd.daemon.converge import WorkerResult
from gitopsd.daemon.differences import Differences
from gitopsd.model.excerpt import printable
from gitopsd.planner.drift import Drift
from gitopsd.planner.hot_edits import HotEdit

STATES = {"in-sync": None, "drift": "yellow", "converged": "green", "failed": "red", "unreachable": "yellow"}
"""What may become of a worker, and its colour."""

_MOST_DRIFT = 50
_SIGNS = {"+": "green", "-": "red", "@": "cyan"}
_WORDS = {"edited": "was edited", "removed": "was removed", "added": "was added"}


class RolloutText:
    """On stderr unless `err` is off. A reader that goes away (`2>&1 | head`) doesn't stop a rollout half way."""

    def __init__(self, *, err: bool = True) -> None:
        self._err = err
        self._heard = True
        self._lock = Lock()

    def about_to_change(self, differences: Differences) -> None:
        """Says what edits by hand are overwritten; called on many threads."""
        if differences.edits:
            self._say_all([(f"  {differences.worker}: edited by hand, and overwritten now:", None)])
            self._say_all(edit_lines(differences.edits))

    def warn(self, message: str) -> None:
        self._say(f"warning: {message}")

    def result(self, result: WorkerResult) -> None:
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
            try:
                for text, colour in lines:
                    for line in text.split("\n"):
                        click.secho(printable(line), fg=colour, err=self._err)
            except BrokenPipeError:
                self._heard = False


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


def counted(results: Iterable[WorkerResult]) -> str:
    """How many workers ended how."""
    states = [result.state for result in results]
    return ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states) or "no workers"
