from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.flow import Assembly, Counts, Pump, to_every
from gitopsd.runner.roles.exec_filter.ends import FilterSink, FilterSource
from gitopsd.runner.roles.exec_filter.process import FilterProcess

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.roles.ports import Ports


def assemble(context: Context, ports: Ports, _counts: Counts) -> Assembly:
    """Any Unix filter: `command`, an argument list. Events go to its stdin, and its lines come back as events.

    With `input: socket` they go to a socket that it listens at instead, in its state directory: for engines that read
    no stdin. SIGHUP is passed on to it.
    Input is acknowledged once the filter has read it; what is in the filter's own buffers can't be seen, so a filter
    that is killed loses that much. Stopping closes its stdin and reads its output to the end.
    """
    inputs, outputs = ports.inputs.get("default", []), ports.outputs.get("default", [])
    process = FilterProcess(
        context.job.settings.texts("command"),
        context,
        has_input=bool(inputs),
        has_output=bool(outputs),
        listens=context.job.settings.choice("input", ("stdin", "socket")) == "socket",
    )
    sink = FilterSink(process, context)
    into, out_of = to_every([sink]), Pump(FilterSource(process), to_every(outputs))
    return Assembly([*outputs, sink], [[Pump(source, into) for source in inputs], [out_of]])
