"""The progress of an apply on stderr, and its outcome on stdout."""

from typing import Any

import click
import msgspec

from gitopsd.cli.plan_text import format_plan
from gitopsd.daemon.apply import Applied
from gitopsd.daemon.converge import WorkerResult
from gitopsd.daemon.planning import Planned
from gitopsd.model.excerpt import printable

_COLOURS = {"in-sync": None, "converged": "green", "failed": "red", "unreachable": "yellow"}


class Reporter:
    """Says each thing once, when it is known; on stderr unless `err` is off."""

    def __init__(self, *, err: bool = True) -> None:
        self._err = err
        self._applied: Applied | None = None

    def planned(self, planned: Planned) -> None:
        if not planned.plan.is_empty:
            text = format_plan(planned.plan, committed=True).rsplit("\n", 1)[0]
            click.echo(text + "\n", err=self._err)

    def committed(self, applied: Applied) -> None:
        self._applied = applied
        head = applied.head.commit.id[:12]
        if applied.committed and not applied.planned.plan.is_empty:
            click.echo(f"deployment {applied.deployment} committed to {applied.branch.name} ({head})", err=self._err)
        elif applied.committed:
            click.echo(f"records committed to {applied.branch.name} ({head}); no release changes", err=self._err)
        else:
            click.echo(f"{applied.branch.name} ({head}) holds this version already", err=self._err)

    def progress(self, worker: str, doing: str) -> None:
        """Nothing: a worker's line comes when it ends. Long rollouts show the order in which workers end."""

    def result(self, result: WorkerResult) -> None:
        done = ", ".join(f"{len(jobs)} {what}" for what, jobs in result.touched.items() if jobs)
        click.secho(f"  {result.worker}: {result.state}", fg=_COLOURS[result.state], nl=False, err=self._err)
        click.echo(f" ({done})" if done else "", err=self._err)
        if result.error and not result.failures:
            click.echo(f"    {printable(result.error)}", err=self._err)
        for job, (message, log) in result.failures.items():
            click.echo(f"    {job}: {printable(message)}", err=self._err)
            for line in log:
                click.echo(f"      | {printable(line)}", err=self._err)

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
