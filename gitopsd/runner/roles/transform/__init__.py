from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.flow import Assembly, Counts, Output, Pump, Receipt
from gitopsd.runner.roles.transform.actions import check_order
from gitopsd.runner.roles.transform.batching import BatchingOutput, batch_settings
from gitopsd.runner.roles.transform.engine import DEFAULT, Engine

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.roles.ports import Ports


def assemble(context: Context, ports: Ports, counts: Counts) -> Assembly:
    """Events to events: `actions`, done in order; `route`, port -> condition. What fails goes to the port `error`.

    Where nothing is bound to `error`, failures are counted and said. Raises JobError.
    """
    settings = context.job.settings
    actions, route = settings.sections("actions"), settings.section("route")
    check_order(actions)
    engine = Engine(actions, route)
    outputs = {port: ports.outputs_of(port) for port in (DEFAULT, *route.names())}
    batching: list[BatchingOutput] = []
    if actions and "batch" in actions[-1].names():
        wanted = batch_settings(actions[-1])
        batches = {port: BatchingOutput(ends, wanted, context.spawn) for port, ends in outputs.items()}
        batching = list(batches.values())
        outputs = {port: [one] for port, one in batches.items()}
    failed = ports.outputs.get("error", [])
    under_way = _UnderWay()

    async def deliver(data: bytes) -> list[Receipt[None]]:
        result = engine.apply(data)
        counts.failed += result.failures
        if result.failures and not failed:
            context.reporter.say_rarely(
                "failures",
                f"{result.failures} events dropped, the first since: {result.first_reason};"
                f" {counts.failed} in all so far; bind the port error to keep them",
            )
        receipts = [
            *[await output.write(lines) for port, lines in result.ports.items() if lines for output in outputs[port]],
            *[await output.write(result.failed) for output in failed if result.failed],
        ]
        return under_way.with_earlier(receipts) if engine.dedupes else receipts

    async def flush() -> None:
        for output in batching:
            await output.flush()

    every: list[Output] = [*[output for ends in outputs.values() for output in ends], *failed]
    return Assembly(every, [[Pump(source, deliver, flush) for source in ports.inputs_of("default")]])


class _UnderWay:
    """What was written and isn't safe yet.

    An event that `dedupe` drops is done only when the one like it is: a producer that sends again after its connection
    broke would otherwise be told that it is, while its first copy is still on its way.
    """

    def __init__(self) -> None:
        self._receipts: list[Receipt[None]] = []

    def with_earlier(self, receipts: list[Receipt[None]]) -> list[Receipt[None]]:
        self._receipts = [*[receipt for receipt in self._receipts if not receipt.done()], *receipts]
        return self._receipts
