"""What a reconcile finds and does, on stdout: that is what it is asked for. Beside a JSON document, on stderr."""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from gitopsd.cli import exit_codes
from gitopsd.cli.rollout_text import RolloutText, counted, drift_lines, edit_lines, rollout_json
from gitopsd.daemon.convergence.differences import Differences
from gitopsd.daemon.convergence.left_out import TriedInVain
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.planning.deployed import Deployed
from gitopsd.daemon.workers.lost import GivenUp


class Reporter(RolloutText):
    """Tells every difference before it is put right, and with `dry_run` instead of that."""

    def __init__(self, *, dry_run: bool, as_json: bool) -> None:
        super().__init__(err=as_json)
        self._dry_run = dry_run
        self._deployed: Deployed | None = None
        self.rollouts: list[Rollout] = []
        self._left_out: list[TriedInVain] = []
        self._returned: list[str] = []
        self._given_up: GivenUp | None = None
        self._not_given_up: dict[str, str] = {}

    def begun(self, deployed: Deployed) -> None:
        self._deployed = deployed
        self._say(f"comparing with {self._title()}")

    def left_out(self, worker: TriedInVain) -> None:
        self._left_out.append(worker)
        super().left_out(worker)

    def left_out_text(self) -> str:
        return "a run without --dry-run leaves it out" if self._dry_run else super().left_out_text()

    def returned(self, workers: Collection[str]) -> None:
        self._returned = sorted(workers)
        for name in self._returned:
            self._say(f"  {name}: is back, and may take jobs again; what was moved away stays where it is")

    def given_up(self, found: GivenUp) -> None:
        self._given_up = found
        for name, one in found.workers.items():
            verb = "would be given up as lost" if self._dry_run else "is given up as lost"
            lines: list[tuple[str, str | None]] = [(f"  {name}: {verb}: silent since {one.since}", "yellow")]
            lines += [(f"    {job} moves to {to}", None) for job, (origin, to) in found.moves.items() if origin == name]
            self._say_all(lines)
        self._say_all(
            [(f"    {job} stays there: its workflow is held as it was deployed", None) for job in found.staying]
        )
        if found.deployment and not self._dry_run:
            self._say(f"deployment {found.deployment} places what ran there elsewhere")

    def not_given_up(self, worker: str, reason: str) -> None:
        self._not_given_up[worker] = reason
        self._say_all([(f"  {worker}: is silent for too long, and nothing of it is moved: {reason}", "yellow")])

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

    @property
    def left_out_codes(self) -> frozenset[int]:
        """Exit codes by what became of the workers that are left out when they were tried last."""
        codes = {"failed": exit_codes.FAILED, "unreachable": exit_codes.UNREACHABLE}
        return frozenset() if self._dry_run else frozenset(codes[one.trouble] for one in self._left_out)

    def ended(self, rollout: Rollout) -> None:
        super().ended(rollout)
        self.rollouts.append(rollout)

    def summary(self, results: list[WorkerResult]) -> None:
        left_out = "" if self._dry_run or not self._left_out else f", {len(self._left_out)} left out for now"
        self._say(f"{self._title()}: {counted(results, self.rollout)}{left_out}")
        if any(result.state == "drift" for result in results):
            self._say("nothing was touched: without --dry-run, `gitopsd reconcile` puts this right")

    def as_json(self, results: list[WorkerResult]) -> dict[str, Any]:
        head = self._deployed.head if self._deployed else None
        trailers = head.deployment.trailers if head and head.deployment else None
        given_up = self._given_up
        moves = given_up.moves if given_up else {}
        return {
            "format": 1,
            "dry_run": self._dry_run,
            "deployment": trailers.deployment if trailers else None,
            "artifact_head": head.commit.id if head else None,
            **rollout_json(self.rollout),
            "left_out": [msgspec.to_builtins(one) for one in self._left_out],
            "lost": {name: msgspec.to_builtins(one) for name, one in (given_up.workers if given_up else {}).items()},
            "moves": {job: {"from": origin, "to": to} for job, (origin, to) in moves.items()},
            "staying": list(given_up.staying) if given_up else [],
            "not_moved": self._not_given_up,
            "returned": self._returned,
            "workers": [msgspec.to_builtins(result) for result in sorted(results, key=lambda one: one.worker)],
        }

    def _title(self) -> str:
        head = self._deployed.head if self._deployed else None
        trailers = head.deployment.trailers if head and head.deployment else None
        return f"deployment {trailers.deployment}" if trailers else "what is deployed"
