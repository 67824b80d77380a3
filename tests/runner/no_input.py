from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gitopsd.runner.flow import Batch


class NoInput:
    """An input that is never asked: the test hands events over itself."""

    async def open(self) -> None:
        return

    def stop(self) -> None:
        return

    async def backlog(self) -> None:
        return

    async def close(self) -> None:
        return

    async def batches(self) -> AsyncIterator[Batch]:
        return
        yield
