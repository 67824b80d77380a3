from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from threading import Event
    from types import TracebackType

    from gitopsd.fleet.target import Target

OBSERVE_SECONDS = 30.0


class WorkerConnection(Protocol):
    """One worker that answers requests, over SSH or on this machine. Belongs to one thread at a time."""

    @property
    def target(self) -> Target: ...

    def call(
        self, verb: str, request: Mapping[str, Any], payload: bytes = b"", timeout: float = OBSERVE_SECONDS
    ) -> dict[str, Any]:
        """Ask the worker's agent for one verb; the layout and the protocol's number are added to the request.

        timeout: seconds for the whole call, sending the agent included. Connects when it has to.
        Raises WorkerUnreachable, HostKeyMismatch or WorkerRefused.
        """

    def follow(self, job: str, lines: int, stop: Event) -> Iterator[str]:
        """The last lines of a job's log and then each new one, until `stop` is set. Raises as `call` does."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
