"""Answers that a forge may confirm with a few bytes: kept with their ETags, the ones used last, up to a size."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

ALL_BYTES = 16 * 1024 * 1024
ONE_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The body of an answer, `more`: the forge says that another page follows, `total`: how many on all, if said."""

    content: bytes
    more: bool = False
    total: int | None = None


class Remembered:
    """By address, query included. Safe to use from any thread."""

    def __init__(self, *, all_bytes: int = ALL_BYTES, one_bytes: int = ONE_BYTES) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, Answer]] = OrderedDict()
        self._size = 0
        self._all_bytes = all_bytes
        self._one_bytes = one_bytes

    def etag(self, address: str) -> str:
        """Empty where nothing is kept."""
        with self._lock:
            return self._kept[address][0] if address in self._kept else ""

    def confirmed(self, address: str, etag: str) -> Answer | None:
        """What is kept with that tag; None if it has gone meanwhile."""
        with self._lock:
            kept = self._kept.get(address)
            if kept is None or kept[0] != etag:
                return None
            self._kept.move_to_end(address)
            return kept[1]

    def keep(self, address: str, etag: str, answer: Answer) -> None:
        with self._lock:
            earlier = self._kept.pop(address, None)
            self._size -= len(earlier[1].content) if earlier else 0
            if not etag or len(answer.content) > self._one_bytes:
                return
            self._kept[address] = (etag, answer)
            self._size += len(answer.content)
            while self._size > self._all_bytes:
                _, (_, oldest) = self._kept.popitem(last=False)
                self._size -= len(oldest.content)
