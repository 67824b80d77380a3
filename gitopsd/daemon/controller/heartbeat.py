"""Whether the threads of the controller get on: each says so, and how long it may be silent.

A process that lives but gets nowhere must not look healthy: the watchdog of systemd is put off only while no thread is
overdue. The clock is passed in, in seconds that only grow.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

Clock = Callable[[], float]


class Heartbeats:
    """Of all threads by name; safe to ask and to tell from any of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}

    @contextmanager
    def thread(self, name: str, *, silence: float) -> Iterator["Heart"]:
        """The heart of the thread `name` while its work lasts; it may be silent for `silence` seconds, as a rule.

        A thread that ends with an error is not forgotten: it becomes overdue, since nobody does its work any more.
        Raises ValueError where the name is taken.
        """
        heart = Heart(partial(self._told, name), silence)
        with self._lock:
            if name in self._due:
                raise ValueError(f"there is a thread `{name}` already")
            self._due[name] = self._clock() + silence
        yield heart
        with self._lock:
            del self._due[name]

    def overdue(self, now: float) -> tuple[str, ...]:
        """The threads that should have said something by now."""
        with self._lock:
            return tuple(sorted(name for name, due in self._due.items() if due < now))

    def _told(self, name: str, silence: float) -> None:
        with self._lock:
            self._due[name] = self._clock() + silence


class Heart:
    """What one thread says of itself; only that thread uses it."""

    def __init__(self, tell: Callable[[float], None], silence: float) -> None:
        self._tell = tell
        self._silence = silence

    def beat(self) -> None:
        """I go on: the time that I may be silent for begins anew."""
        self._tell(self._silence)

    @contextmanager
    def allowed(self, seconds: float) -> Iterator[None]:
        """What is inside may take that long without a word, such as a fetch with a deadline of its own.

        A `beat` inside begins these seconds anew. Afterwards the usual time counts again.
        """
        usual = self._silence
        self._silence = seconds
        self.beat()
        try:
            yield
        finally:
            self._silence = usual
            self.beat()
