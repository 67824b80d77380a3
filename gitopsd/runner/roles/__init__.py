"""What a job can be: one module or folder a role, each with `assemble(context, ports, counts) -> Assembly`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Callable

from gitopsd.runner import transports
from gitopsd.runner.errors import JobError
from gitopsd.runner.flow import Assembly, Counts
from gitopsd.runner.job import Context
from gitopsd.runner.roles.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitopsd.runner.traffic import Traffic

Assemble = Callable[[Context, Ports, Counts], Assembly]

# Named here and imported where chosen: a job compiles its modules at every start, since releases hold no byte code.
_MODULES: Mapping[str, str] = {
    "exec": "gitopsd.runner.roles.exec_filter",
    "read-files": "gitopsd.runner.roles.read_files",
    "relay": "gitopsd.runner.roles.relay",
    "signal": "gitopsd.runner.roles.signal",
    "transform": "gitopsd.runner.roles.transform",
    "wait": "gitopsd.runner.roles.wait",
    "write-files": "gitopsd.runner.roles.write_files",
}


def assemble(context: Context, counts: Counts, traffic: Traffic) -> Assembly:
    """Put together the parts of the job's role; opens nothing yet. Raises JobError."""
    job = context.job
    if job.role not in _MODULES:
        raise JobError(f"job.json names the role {job.role}, which this runtime doesn't have; apply the release again")
    ports = Ports(
        {
            port: [traffic.input(transports.make_input(end, context), port, end.text("channel")) for end in ends]
            for port, ends in job.inputs.items()
        },
        {
            port: [
                traffic.output(output, port, end.text("channel"))
                for end in ends
                for output in transports.make_outputs(end, context)
            ]
            for port, ends in job.outputs.items()
        },
    )
    of_role: Assemble = import_module(_MODULES[job.role]).assemble
    return of_role(context, ports, counts)
