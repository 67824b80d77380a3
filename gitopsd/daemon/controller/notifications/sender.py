"""Posts messages on a thread of its own, again and again where they aren't taken, until each is done with."""

import heapq
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gitopsd.daemon.controller.notifications.post import Answer, Post
from gitopsd.model.secret import SecretValue

MOST_WAITING = 200
ATTEMPTS = 6

_FIRST_WAIT = 2.0
_LONGEST_WAIT = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`receiver` names it to people; `done` is told on the sender's thread how it ended: empty where it was taken."""

    receiver: str
    address: Callable[[], SecretValue] = field(repr=False)
    content: bytes
    done: Callable[[str], None] = field(repr=False)


@dataclass(order=True, slots=True)
class _Waiting:
    due: float
    number: int
    message: Message = field(compare=False)
    attempts: int = field(compare=False, default=0)


class Sender:
    """`put` never waits: beyond so many messages that wait, more are refused."""

    def __init__(
        self,
        post: Callable[[Callable[[], SecretValue], bytes], Answer],
        *,
        first_wait: float = _FIRST_WAIT,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._post = post
        self._first_wait = first_wait
        self._draw = draw
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._number = 0
        self._until: float | None = None  # when to end, on the steady clock
        self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, message: Message) -> bool:
        """Whether it will be posted."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING or self._until is not None:
                return False
            self._number += 1
            heapq.heappush(self._waiting, _Waiting(time.monotonic(), self._number, message))
            self._changed.notify_all()
            return True

    def stop(self, seconds: float) -> None:
        """What was never tried is, if that is possible within the time; the rest is left as if it had not been put."""
        with self._changed:
            self._until = time.monotonic() + seconds
            self._changed.notify_all()
        self._thread.join(seconds + 1.0)

    def _run(self) -> None:
        while (waiting := self._next()) is not None:
            answer = self._answer(waiting.message)
            waiting.attempts += 1
            if not answer.problem or not answer.again or waiting.attempts >= ATTEMPTS:
                waiting.message.done(answer.problem)
                continue
            waiting.due = time.monotonic() + max(answer.not_before, self._wait(waiting.attempts))
            with self._changed:
                heapq.heappush(self._waiting, waiting)

    def _answer(self, message: Message) -> Answer:
        try:
            return self._post(message.address, message.content)
        except Exception as error:  # the one catch-all of this thread: one message must not keep all others back
            logging.getLogger(__name__).exception("a message for %s could not be sent", message.receiver)
            return Answer(problem=f"something that nobody thought of ({type(error).__name__})")

    def _next(self) -> _Waiting | None:
        """Waits for one that is due; None at the end."""
        with self._changed:
            while True:
                now = time.monotonic()
                if self._until is not None:
                    untried = [one for one in self._waiting if not one.attempts]
                    if now >= self._until or not untried:
                        return None
                    self._waiting = untried
                    heapq.heapify(self._waiting)
                if self._waiting and self._waiting[0].due <= now:
                    return heapq.heappop(self._waiting)
                self._changed.wait(self._waiting[0].due - now if self._waiting else None)

    def _wait(self, attempts: int) -> float:
        """With jitter, so that controllers which lost a receiver together don't return together."""
        return float(min(_LONGEST_WAIT, self._first_wait * 2.0 ** (attempts - 1)) * (0.5 + self._draw()))


def new_sender() -> tuple[Sender, Post]:
    """A sender over the network; close the second once the first was stopped."""
    post = Post()
    return Sender(post), post
