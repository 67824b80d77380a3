"""How a channel moves events: one module or folder a kind, each with `make_input` and `make_outputs`.

What they return speaks the protocols of flow.py; nothing else in the runner knows one transport from another.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from gitopsd.runner.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitopsd.runner.flow import Input, Output
    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings

# Named here and imported where chosen: a job compiles its modules at every start, since releases hold no byte code.
_MODULES: Mapping[str, str] = {
    "file-store": "gitopsd.runner.transports.file_store",
    "nats": "gitopsd.runner.transports.nats",
    "object-store": "gitopsd.runner.transports.object_store",
    "worker": "gitopsd.runner.transports.worker",
}
TRANSPORTS = frozenset(_MODULES)


class Transport(Protocol):
    """What the module of a transport offers."""

    def make_input(self, endpoint: Settings, context: Context) -> Input: ...

    def make_outputs(self, endpoint: Settings, context: Context) -> list[Output]:
        """Every one of them takes every event."""


def make_input(endpoint: Settings, context: Context) -> Input:
    """The input that an endpoint of job.json describes. Raises JobError."""
    return _transport(endpoint).make_input(endpoint, context)


def make_outputs(endpoint: Settings, context: Context) -> list[Output]:
    """The outputs that an endpoint of job.json describes; each of them takes every event. Raises JobError."""
    return _transport(endpoint).make_outputs(endpoint, context)


def _transport(endpoint: Settings) -> Transport:
    name = endpoint.text("transport")
    if name not in _MODULES:
        raise JobError(
            f"{endpoint.where} names the transport {name}, which this runtime doesn't have; apply the release again"
        )
    return cast("Transport", import_module(_MODULES[name]))
