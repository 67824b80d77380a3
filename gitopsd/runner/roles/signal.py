"""Signals that a run of the job has ended well: one event, then the end. The launcher starts it."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.flow import Assembly, Batch, Counts, Pump, to_every

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gitopsd.runner.job import Context
    from gitopsd.runner.roles.ports import Ports

PAYLOAD_BYTES = 1024 * 1024


def assemble(context: Context, ports: Ports, _counts: Counts) -> Assembly:
    """To every step that waits for the message. Raises JobError."""
    outputs = ports.outputs_of("default")
    return Assembly(outputs, [[Pump(_OneSignal(context), to_every(outputs))]])


class _OneSignal:
    def __init__(self, context: Context) -> None:
        self._job = context.job.name
        self._message = context.job.settings.text("message")
        self._event = b""
        self._stopped = self._taken = False

    async def open(self) -> None:
        event = {"job": self._job, "time": _now(), "payload": _payload(os.environ.get("GITOPSD_PAYLOAD", ""))}
        self._event = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    async def batches(self) -> AsyncIterator[Batch]:
        if not self._stopped:
            yield Batch(self._event, self._acknowledge)

    def stop(self) -> None:
        self._stopped = True

    async def backlog(self) -> None:
        """There is no channel before it."""

    async def close(self) -> None:
        if self._stopped and not self._taken:
            raise JobError(f"the message {self._message} was not taken in; the job runs again, and signals it then")

    def _acknowledge(self) -> None:
        self._taken = True


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def _payload(path: str) -> object:
    """What the job wrote for whoever it signals; None where it wrote nothing. Raises JobError."""
    if not path:
        return None
    try:
        with Path(path).open("rb") as file:
            content = file.read(PAYLOAD_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise failed("read", path, error) from error
    if len(content) > PAYLOAD_BYTES:
        raise JobError(f"the job wrote more than {PAYLOAD_BYTES >> 20} MiB to $GITOPSD_PAYLOAD; write where it lies")
    try:
        return json.loads(content)
    except ValueError as error:
        raise JobError(f"what the job wrote to $GITOPSD_PAYLOAD isn't JSON: {error}") from error
