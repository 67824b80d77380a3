"""What a reconcile finds and does, on stdout: that is what it is asked for. Beside a JSON document, on stderr."""

from collections.abc import Iterable
from typing import Any

import msgspec

from gitopsd.cli.rollout_text import RolloutText, counted, drift_lines, edit_lines, rollout_json
from gitopsd.daemon.converge import WorkerResult
from gitopsd.daemon.differences import Differences
from gitopsd.daemon.status import Deployed


class Reporter(RolloutText):
    """Tells every difference before it is put right, and with `dry_run` instead of that."""

    def __init__(self, *, dry_run: bool, as_json: bool) -> None:
        super().__init__(err=as_json)
        self._dry_run = dry_run
        self._deployed: Deployed | None = None

    def begun(self, deployed: Deployed) -> None:
        self._deployed = deployed
        self._say(f"comparing with {self._title()}")

    def about_to_change(self, differences: Differences) -> None:
        self._say_all(
            [
                (f"  {differences.worker}: differs, and is put right now:", "yellow"),
                *drift_lines(differences.drift),
                *edit_lines(differences.edits),
            ]
        )

    def details(self, result: WorkerResult) -> Iterable[tuple[str, str | None]]:
        if result.state != "drift":
            return ()
        return (*drift_lines(result.drift), *edit_lines(result.edits))

    def summary(self, results: list[WorkerResult]) -> None:
        self._say(f"{self._title()}: {counted(results, self.rollout)}")
        if any(result.state == "drift" for result in results):
            self._say("nothing was touched: without --dry-run, `gitopsd reconcile` puts this right")

    def as_json(self, results: list[WorkerResult]) -> dict[str, Any]:
        head = self._deployed.head if self._deployed else None
        trailers = head.deployment.trailers if head and head.deployment else None
        return {
            "format": 1,
            "dry_run": self._dry_run,
            "deployment": trailers.deployment if trailers else None,
            "artifact_head": head.commit.id if head else None,
            **rollout_json(self.rollout),
            "workers": [msgspec.to_builtins(result) for result in sorted(results, key=lambda one: one.worker)],
        }

    def _title(self) -> str:
        head = self._deployed.head if self._deployed else None
        trailers = head.deployment.trailers if head and head.deployment else None
        return f"deployment {trailers.deployment}" if trailers else "what is deployed"
