"""The progress of an apply on stderr, and its outcome on stdout."""

from typing import Any

import click
import msgspec

from gitopsd.cli.plan_text import format_plan
from gitopsd.daemon.apply import Applied
from gitopsd.daemon.converge import WorkerResult
from gitopsd.daemon.planning import Planned
from gitopsd.model.excerpt import printable

_MOST_DRIFT = 5
_COLOURS = {"in-sync": None, "converged": "green", "failed": "red", "unreachable": "yellow"}


class Reporter:
    """Says each thing once, when it is known; on stderr unless `err` is off.

    A reader that goes away (`2>&1 | head`) doesn't stop a rollout half way.
    """

    def __init__(self, *, err: bool = True) -> None:
        self._err = err
        self._heard = True
        self._applied: Applied | None = None

    def planned(self, planned: Planned) -> None:
        if not planned.plan.is_empty:
            self._say(format_plan(planned.plan))
            self._say("")

    def committed(self, applied: Applied) -> None:
        self._applied = applied
        head = applied.head.commit.id[:12]
        if applied.committed and not applied.planned.plan.is_empty:
            self._say(f"deployment {applied.deployment} committed to {applied.branch.name} ({head})")
        elif applied.committed:
            self._say(f"records committed to {applied.branch.name} ({head}); no release changes")
        else:
            self._say(f"{applied.branch.name} ({head}) holds this version already")

    def note(self, message: str) -> None:
        self._say(message)

    def warn(self, message: str) -> None:
        self._say(f"warning: {message}")

    def result(self, result: WorkerResult) -> None:
        done = ", ".join(f"{len(jobs)} {what}" for what, jobs in result.touched.items() if jobs)
        line = f"  {result.worker}: {result.state}" + (f" ({done})" if done else "")
        self._say(line, colour=_COLOURS[result.state])
        planned = self._applied.planned.plan.changed_workers if self._applied else ()
        if result.state == "converged" and result.worker not in planned:
            for drift in result.drift[:_MOST_DRIFT]:
                self._say(f"    put right: {drift.subject + ': ' if drift.subject else ''}{drift.detail}")
        if result.error:
            self._say(f"    {result.error}")
        for job, (message, log) in result.failures.items():
            self._say(f"    {job}: {message}")
            for entry in log:
                self._say(f"      | {entry}")

    def _say(self, text: str, colour: str | None = None) -> None:
        if not self._heard:
            return
        try:
            for line in text.split("\n"):
                click.secho(printable(line), fg=colour, err=self._err)
        except BrokenPipeError:
            self._heard = False

    def summary(self, results: list[WorkerResult]) -> None:
        counts = {state: sum(result.state == state for result in results) for state in _COLOURS}
        shown = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        click.echo(f"{self._title()}: {shown or 'no workers'}")

    def as_json(self, results: list[WorkerResult]) -> dict[str, Any]:
        applied = self._applied
        return {
            "format": 1,
            "deployment": applied.deployment if applied else None,
            "artifact_head": applied.head.commit.id if applied else None,
            "committed": applied.committed if applied else False,
            "seconds": dict(applied.seconds) if applied else {},
            "plan_digest": applied.planned.plan.digest if applied else None,
            "workers": [msgspec.to_builtins(result) for result in sorted(results, key=lambda one: one.worker)],
        }

    def _title(self) -> str:
        return f"deployment {self._applied.deployment}" if self._applied else "nothing was deployed"
