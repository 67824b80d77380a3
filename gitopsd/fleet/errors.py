"""Failures of the world, one exception each: which worker, what was tried, what came back, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Stage = Literal["resolve", "jump", "refused", "connect", "host-key", "banner", "auth", "exec", "read"]


class WorkerError(Exception):
    """Anything that went wrong with one worker; `worker` is its name, str() the whole message."""

    def __init__(self, worker: str, message: str) -> None:
        super().__init__(message)
        self.worker = worker
        self.message = message


class WorkerUnreachable(WorkerError):  # noqa: N818 -- says what happened; WorkerError is the family
    """No answer came: the worker may be away, and catches up when it returns. `stage` is how far we got."""

    def __init__(self, worker: str, stage: Stage, message: str) -> None:
        super().__init__(worker, message)
        self.stage = stage


class Stopped(WorkerUnreachable):
    """Somebody stopped the whole before this worker had ended; `begun` says whether anything was asked of it."""

    def __init__(self, worker: str, *, begun: bool) -> None:
        state = "had not ended when it was stopped, and may still end by itself" if begun else "was not begun"
        super().__init__(worker, "read", f"{worker}: {state}: run again for the rest")
        self.begun = begun


class HostKeyMismatch(WorkerUnreachable):
    """The host key is unknown or another than the fleet file's; nothing was sent. Fingerprints as `SHA256:…`.

    offered_key is the whole key that was offered, as a fleet file has it; empty when it didn't come to that.
    """

    def __init__(
        self, worker: str, message: str, *, expected: str | None, offered: str | None, offered_key: str = ""
    ) -> None:
        super().__init__(worker, "host-key", message)
        self.expected = expected
        self.offered = offered
        self.offered_key = offered_key


class WorkerRefused(WorkerError):  # noqa: N818
    """The worker answered, and said no; `code` is the agent's (`busy`, `owned-by-another`, …) or one of ours.

    Ours: `protocol` (an answer that makes no sense), `no-python`, `no-sudo`. details holds the rest of the
    agent's error: `missing`, blob ids, with `bad-payload`.
    """

    def __init__(self, worker: str, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(worker, message)
        self.code = code
        self.details: Mapping[str, Any] = details or {}
