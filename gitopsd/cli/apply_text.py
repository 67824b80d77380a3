"""The progress of an apply on stderr, and its outcome on stdout."""

from collections.abc import Iterable
from typing import Any

import click
import msgspec

from gitopsd.cli.plan_text import format_plan, without_upgrade
from gitopsd.cli.rollout_text import RolloutText, counted, rollout_json
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.deploying.committing import Applied
from gitopsd.daemon.planning.plan import Planned

_MOST_DRIFT = 5


class Reporter(RolloutText):
    """Says each thing once, when it is known; on stderr unless `err` is off."""

    def __init__(self, *, err: bool = True) -> None:
        super().__init__(err=err)
        self._applied: Applied | None = None
        self._anew = False

    def planned(self, planned: Planned) -> None:
        if planned.upgrades_from and planned.plan.upgrade:
            self._say(f"This is {planned.plan.upgrade.words}; it comes first, and by itself.")
        if not planned.plan.is_empty:
            self._say_all([(line, None) for line in format_plan(without_upgrade(planned.plan)).split("\n")])
            self._say("")

    def begins_anew(self) -> bool:
        """Whether another deployment was committed since this was last asked; not of the first one."""
        anew, self._anew = self._anew, False
        return anew

    def committed(self, applied: Applied) -> None:
        self._anew = self._applied is not None
        self._applied = applied
        head = applied.head.commit.id[:12]
        if applied.committed and not applied.planned.plan.is_empty:
            self._say(f"deployment {applied.deployment} committed to {applied.branch.name} ({head})")
        elif applied.committed:
            self._say(f"records committed to {applied.branch.name} ({head}); no release changes")
        else:
            self._say(f"{applied.branch.name} ({head}) holds this version already")

    def details(self, result: WorkerResult) -> Iterable[tuple[str, str | None]]:
        planned = self._applied.planned.plan.changed_workers if self._applied else ()
        if result.state != "converged" or result.worker in planned:
            return ()
        shown = result.drift[:_MOST_DRIFT]
        return [(f"    put right: {one.subject + ': ' if one.subject else ''}{one.detail}", None) for one in shown]

    def summary(self, results: list[WorkerResult]) -> None:
        click.echo(f"{self._title()}: {counted(results, self.rollout)}")

    def as_json(self, results: list[WorkerResult]) -> dict[str, Any]:
        applied = self._applied
        return {
            "format": 1,
            "deployment": applied.deployment if applied else None,
            "artifact_head": applied.head.commit.id if applied else None,
            "committed": applied.committed if applied else False,
            "seconds": dict(applied.seconds) if applied else {},
            "reverted": {
                name: {"by": revert.deployment, "to": one.returns_to, "reason": one.reason}
                for revert in self.reverts
                for name, one in revert.quarantines.items()
            },
            "plan_digest": applied.planned.plan.digest if applied else None,
            **rollout_json(self.rollout),
            "workers": [msgspec.to_builtins(result) for result in sorted(results, key=lambda one: one.worker)],
        }

    def _title(self) -> str:
        if self._applied is None:
            return "nothing was deployed"
        names = [name for revert in self.reverts for name in revert.quarantines]
        reverted = f", {', '.join(names)} reverted by {self.reverts[-1].deployment}" if names else ""
        return f"deployment {self._applied.deployment}{reverted}"
