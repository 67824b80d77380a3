from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitopsd.runner.flow import Counts, Output, Receipt
    from gitopsd.runner.report import Reporter
    from gitopsd.runner.roles.transform.engine import Engine, Transformed


class Failures:
    """Where events go that an action can't be done to."""

    def __init__(self, outputs: list[Output], counts: Counts, reporter: Reporter) -> None:
        self.outputs = outputs
        self._counts = counts
        self._reporter = reporter

    async def take(self, result: Transformed) -> list[Receipt[None]]:
        if not result.failures:
            return []
        self._counts.failed += result.failures
        if not self.outputs:
            self._reporter.say_rarely(
                "failures",
                f"{result.failures} events dropped, the first since: {result.first_reason};"
                f" {self._counts.failed} in all so far; bind the port error to keep them",
            )
        return [await output.write(result.failed) for output in self.outputs]


class Stage:
    """Actions, and where what they come to goes on."""

    def __init__(self, engine: Engine, outputs: dict[str, list[Output]], failures: Failures) -> None:
        self._engine = engine
        self._outputs = outputs
        self._failures = failures
        self._under_way: list[Receipt[None]] = []

    async def deliver(self, data: bytes) -> list[Receipt[None]]:
        result = self._engine.apply(data)
        receipts = [
            *[
                await output.write(lines)
                for port, lines in result.ports.items()
                if lines
                for output in self._outputs[port]
            ],
            *await self._failures.take(result),
        ]
        return self._with_earlier(receipts) if self._engine.dedupes else receipts

    def _with_earlier(self, receipts: list[Receipt[None]]) -> list[Receipt[None]]:
        """With those of what was written and isn't safe yet.

        An event that `dedupe` drops is done only when the one like it is: a producer that sends again after its
        connection broke would otherwise be told that it is, while its first copy is still on its way.
        """
        self._under_way = [*[receipt for receipt in self._under_way if not receipt.done()], *receipts]
        return self._under_way
