from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.flow import Assembly, Counts, Pump, to_every

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.roles.ports import Ports


def assemble(_context: Context, ports: Ports, _counts: Counts) -> Assembly:
    """From one transport to another, bytes untouched: what an adapter job does. Raises JobError."""
    outputs = ports.outputs_of("default")
    deliver = to_every(outputs)
    return Assembly(outputs, [[Pump(source, deliver) for source in ports.inputs_of("default")]])
