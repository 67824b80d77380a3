"""What is counted of pull requests and of the forge, for metrics."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """`planned` by what became of it, `calls` by the class of their status; `remaining` as the forge said last."""

    planned: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    remaining: int | None = None


class Counts:
    """Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._remaining: int | None = None

    def heard(self, status: int, remaining: int | None) -> None:
        """An answer of the forge, and how many more requests it allows for now, if it says so."""
        with self._lock:
            self._calls["304" if status == 304 else f"{status // 100}xx"] += 1
            self._remaining = self._remaining if remaining is None else remaining

    def planned(self, ending: str) -> None:
        """A pull request was planned, and is shown, or that failed."""
        with self._lock:
            self._planned[ending] += 1

    def __call__(self) -> Counted:
        with self._lock:
            return Counted(planned=dict(self._planned), calls=dict(self._calls), remaining=self._remaining)
