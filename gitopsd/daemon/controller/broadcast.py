"""Events to whoever wants them: to listeners at once, to followers through queues that never hold anybody up."""

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue

from gitopsd.daemon.controller.events import Event, Listener, Planning, Refused

_MOST_WAITING = 20_000
_MOST_REMEMBERED = 5_000


class Subscription:
    """Events as they come. One that isn't read in time loses events, and `lost` says so.

    `remembered`: the environments of which it begins with what happened before.
    """

    def __init__(self) -> None:
        self._events: Queue[Event] = Queue(_MOST_WAITING)
        self.lost = False
        self.remembered: set[str] = set()

    def next(self, seconds: float) -> Event | None:
        """The next event; None when none comes in time."""
        try:
            return self._events.get(timeout=max(0.0, seconds))
        except Empty:
            return None

    def put(self, event: Event) -> None:
        try:
            self._events.put_nowait(event)
        except Full:
            self.lost = True


class Broadcast:
    """Safe to use from any thread.

    Of each environment the events since its newest version was begun to be planned are remembered, so that somebody who
    pushed, and asks a moment later, misses none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._subscriptions: set[Subscription] = set()
        self._recent: dict[str, deque[Event]] = {}

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def tell(self, event: Event) -> None:
        with self._lock:
            recent = self._recent.setdefault(event.environment, deque(maxlen=_MOST_REMEMBERED))
            if isinstance(event, Planning) and not _is_about(recent, event.source):
                recent.clear()
            recent.append(event)
            for subscription in self._subscriptions:
                subscription.put(event)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # a listener's trouble is its own: what it watches goes on
                logging.getLogger(__name__).exception("a listener failed on %s", type(event).__name__)

    @contextmanager
    def subscribe(self, *, since: str = "") -> Iterator[Subscription]:
        """Everything from now on, and what is remembered of the version `since`, in every environment."""
        subscription = Subscription()
        with self._lock:
            for recent in self._recent.values() if since else ():
                if not _is_about(recent, since):
                    continue
                for event in recent:
                    subscription.put(event)
                    subscription.remembered.add(event.environment)
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.discard(subscription)


def _is_about(recent: Iterable[Event], source: str) -> bool:
    """Whether the version was the one to be deployed then."""
    return any(isinstance(one, Planning | Refused) and one.source == source for one in recent)
