"""What a loop is asked to do: a number that only grows, so that a request which comes during a cycle is never lost."""

import threading
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The requests up to `number`, taken together. `workers` empty means all of them; `asked` that somebody did ask."""

    number: int
    asked: bool
    workers: frozenset[str] = field(default=frozenset())
    at_once: bool = False


class Requests:
    """Level-triggered: many requests that wait are answered by one cycle. Safe to use from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asked = 0
        self._taken = 0
        self._workers: frozenset[str] | None = frozenset()
        self._at_once = False
        self._ended = False

    def ask(self, *, workers: frozenset[str] = frozenset(), at_once: bool = False) -> int:
        """The number of this request; the cycle that takes it or a later one answers it."""
        with self._changed:
            if not workers or self._workers is None:
                self._workers = None  # all of them
            else:
                self._workers |= workers
            self._at_once = self._at_once or at_once
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def end(self) -> None:
        """Nobody waits any more, from now on."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many requests no cycle has taken yet."""
        with self._changed:
            return self._asked - self._taken

    def take(self, seconds: float) -> Taken | None:
        """All that was asked, as soon as something is, else nothing in particular after `seconds`; None at the end."""
        end = time.monotonic() + seconds
        with self._changed:
            while not self._ended and self._asked == self._taken:
                left = end - time.monotonic()
                if left <= 0:
                    return Taken(number=self._asked, asked=False)
                self._changed.wait(left)
            if self._ended:
                return None
            taken = Taken(number=self._asked, asked=True, workers=self._workers or frozenset(), at_once=self._at_once)
            self._taken, self._workers, self._at_once = self._asked, frozenset(), False
            return taken
