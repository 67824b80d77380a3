from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.flow import Assembly, Counts, Deliver, Output, Pump
from gitopsd.runner.roles.transform.actions import check_order
from gitopsd.runner.roles.transform.batching import BatchingOutput, batch_settings
from gitopsd.runner.roles.transform.engine import DEFAULT, Engine
from gitopsd.runner.roles.transform.stage import Failures, Stage

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.roles.ports import Ports
    from gitopsd.runner.settings import Settings


def assemble(context: Context, ports: Ports, counts: Counts) -> Assembly:
    """Events to events: `actions`, done in order; `route`, port -> condition. What fails goes to the port `error`.

    Where nothing is bound to `error`, failures are counted and said. Raises JobError.
    """
    actions, route = context.job.settings.sections("actions"), context.job.settings.section("route")
    check_order(actions)
    failures = Failures(ports.outputs.get("error", []), counts, context.reporter)
    outputs = {port: ports.outputs_of(port) for port in (DEFAULT, *route.names())}
    every = [*failures.outputs]
    batching: list[BatchingOutput] = []
    if actions and "batch" in actions[-1].names():
        wanted = batch_settings(actions[-1])
        spawn = None if context.job.is_trial else context.spawn
        batches = {port: BatchingOutput(ends, wanted, spawn) for port, ends in outputs.items()}
        batching = list(batches.values())
        outputs = {port: [one] for port, one in batches.items()}
    every += [output for ends in outputs.values() for output in ends]

    *before, last = _between_programs(actions)
    deliver: Deliver = Stage(Engine(last, route), outputs, failures).deliver
    for part in reversed(before):
        program = _program(part[-1], context, deliver)
        every.append(program)
        deliver = Stage(Engine(part[:-1]), {DEFAULT: [program]}, failures).deliver

    async def flush() -> None:
        for output in batching:
            await output.flush()

    return Assembly(every, [[Pump(source, deliver, flush) for source in ports.inputs_of("default")]])


def _between_programs(actions: list[Settings]) -> list[list[Settings]]:
    """The actions cut behind each `exec`."""
    parts: list[list[Settings]] = [[]]
    for action in actions:
        parts[-1].append(action)
        if "exec" in action.names():
            parts.append([])
    return parts


def _program(action: Settings, context: Context, onward: Deliver) -> Output:
    from gitopsd.runner.roles.transform.program import Program, exec_settings  # noqa: PLC0415 -- only where there is one

    return Program(exec_settings(action), context, onward)
