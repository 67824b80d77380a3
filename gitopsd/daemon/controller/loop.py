"""A thread that goes round: waits until it is asked, or its time has come, and does what there is to do."""

import logging
import threading
from collections.abc import Callable

from gitopsd.daemon.controller.heartbeat import Heart, Heartbeats
from gitopsd.daemon.controller.requests import Requests, Taken

_AFTER_A_DEFECT = 30.0
_TICK_SECONDS = 5.0
SILENCE = 30.0
"""Seconds without a word after which a thread counts as stuck, unless it said that it takes longer."""

SEE_LOG = "the controller's log has more, and it is tried again soon"

Cycle = Callable[[Taken, Heart], float]
"""One round; gives the seconds until the next one that nobody asks for."""


class Loop:
    """Runs `cycle` on a thread of its own until `end`. A round that raises is logged, and the next one comes later.

    `failed` is told of such a round: what it was about, and in a few words why, without what an error may quote.
    """

    def __init__(
        self,
        name: str,
        cycle: Cycle,
        requests: Requests,
        hearts: Heartbeats,
        *,
        failed: Callable[[Taken, str], None] = lambda _, __: None,
    ) -> None:
        self._cycle = cycle
        self._failed = failed
        self._requests = requests
        self._hearts = hearts
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Asks it to end; `join` waits for that."""
        self._requests.end()

    def join(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with self._hearts.thread(self._thread.name, silence=SILENCE) as heart:
            wait = 0.0
            while True:
                taken = self._requests.take(min(wait, _TICK_SECONDS))
                if taken is None:
                    return
                heart.beat()
                wait -= _TICK_SECONDS
                if taken.asked or wait <= 0:
                    wait = self._round(taken, heart)

    def _round(self, taken: Taken, heart: Heart) -> float:
        try:
            return self._cycle(taken, heart)
        except Exception as error:  # the one catch-all of a cycle: whatever happens in it, the loop goes on
            logging.getLogger(__name__).exception("a cycle of %s failed", self._thread.name)
            self._failed(taken, error.strerror if isinstance(error, OSError) and error.strerror else _kind(error))
            return _AFTER_A_DEFECT


def _kind(error: Exception) -> str:
    return f"something that nobody thought of ({type(error).__name__})"
