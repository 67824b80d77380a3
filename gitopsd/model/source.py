"""The files of a source tree as the compiler gets them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class Content(Protocol):
    """One file: its Git blob id, and its bytes, which are read only when they are asked for."""

    @property
    def blob(self) -> str: ...

    @property
    def executable(self) -> bool: ...

    @property
    def data(self) -> bytes: ...


Files = Mapping[str, Content]
"""By path from the root, in the order of the paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A file that is in memory already."""

    blob: str
    data: bytes
    executable: bool = False
