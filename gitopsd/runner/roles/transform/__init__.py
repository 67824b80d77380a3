from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.flow import Assembly, Counts, Pump, Receipt
from gitopsd.runner.roles.transform.engine import Engine

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.roles.ports import Ports


def assemble(context: Context, ports: Ports, counts: Counts) -> Assembly:
    """Events to events: `actions`, done in order. What fails goes to the port `error`. Raises JobError.

    Where nothing is bound to `error`, failures are counted and said.
    """
    engine = Engine(context.job.settings.sections("actions"))
    kept, failed = ports.outputs_of("default"), ports.outputs.get("error", [])

    async def deliver(data: bytes) -> list[Receipt[None]]:
        result = engine.apply(data)
        counts.failed += result.failures
        if result.failures and not failed:
            context.reporter.say_rarely(
                "failures",
                f"{result.failures} events dropped, the first since: {result.first_reason};"
                f" {counts.failed} in all so far; bind the port error to keep them",
            )
        return [
            *[await output.write(result.kept) for output in kept if result.kept],
            *[await output.write(result.failed) for output in failed if result.failed],
        ]

    return Assembly([*kept, *failed], [[Pump(source, deliver) for source in ports.inputs_of("default")]])
