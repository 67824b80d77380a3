from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.errors import JobError

if TYPE_CHECKING:
    from gitopsd.runner.flow import Input, Output


class Ports(NamedTuple):
    """The job's endpoints, by port."""

    inputs: dict[str, list[Input]]
    outputs: dict[str, list[Output]]

    def inputs_of(self, port: str) -> list[Input]:
        """Raises JobError where nothing is bound to the port."""
        if not self.inputs.get(port):
            raise _unbound("input", port)
        return self.inputs[port]

    def outputs_of(self, port: str) -> list[Output]:
        """Raises JobError where nothing is bound to the port."""
        if not self.outputs.get(port):
            raise _unbound("output", port)
        return self.outputs[port]


def _unbound(direction: str, port: str) -> JobError:
    return JobError(f"no channel is bound to the {direction} port {port}; bind it in the workflow")
