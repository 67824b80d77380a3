"""`notify`: tells people by webhooks what changed. A Listener for the length of a `with`."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal

from gitopsd.compiler.expressions.values import ExpressionError
from gitopsd.daemon.configuration.configuration import NotifyConfiguration
from gitopsd.daemon.controller.events import Event, Looked, LookFailed
from gitopsd.daemon.controller.notifications.changes import Changes, Notification
from gitopsd.daemon.controller.notifications.memory import ToldMemory
from gitopsd.daemon.controller.notifications.message import body
from gitopsd.daemon.controller.notifications.sender import Message, Sender, new_sender
from gitopsd.daemon.secrets.resolve import value_on_this_machine

Ending = Literal["sent", "failed", "dropped"]

_STOP_SECONDS = 3.0


class Notifier:
    """`warn` is told of messages that nobody took, `count` how each one ended."""

    def __init__(
        self,
        receivers: Sequence[NotifyConfiguration],
        memory: ToldMemory,
        sender: Sender,
        *,
        warn: Callable[[str], None],
        count: Callable[[Ending], None],
    ) -> None:
        self._receivers = receivers
        self._memory = memory
        self._sender = sender
        self._warn = warn
        self._count = count
        self._lock = threading.RLock()  # what `warn` says may come back as an event
        self._known = memory.known()
        self._changes: dict[str, Changes] = {}

    def __call__(self, event: Event) -> None:
        # a look is at all environments at once
        environment = "" if isinstance(event, Looked | LookFailed) else event.environment
        with self._lock:
            for notification in self._of(environment).news(event):
                self._send(notification)

    def _of(self, environment: str) -> Changes:
        if environment not in self._changes:
            forget = partial(self._forget, environment)
            self._changes[environment] = Changes(environment, self._known.pop(environment, {}), forget)
        return self._changes[environment]

    def _forget(self, environment: str, subject: str) -> None:
        self._memory.remember(environment, {subject: ""})

    def _send(self, notification: Notification) -> None:
        told = _Told(notification, self._memory)
        for number, receiver in enumerate(self._receivers, 1):
            if not _wants(receiver, notification):
                continue
            name = f"`notify`, entry {number}"
            message = Message(
                receiver=name,
                address=partial(value_on_this_machine, receiver.url),
                content=self._body(name, receiver, notification),
                done=partial(self._done, told, name),
            )
            told.expect()
            if not self._sender.put(message):
                self._count("dropped")  # and never remembered: after a restart it is told again
                self._warn(f"{name}: too many messages wait; not told: {notification.title}")
        told.ended()

    def _body(self, name: str, receiver: NotifyConfiguration, notification: Notification) -> bytes:
        try:
            return body(notification, receiver.template)
        except ExpressionError as error:
            self._warn(f"{name}: the template can't be used, so this is told without it: {error}")
            return body(notification, NotifyConfiguration(url=receiver.url).template)

    def _done(self, told: "_Told", name: str, problem: str) -> None:
        self._count("failed" if problem else "sent")
        if problem:
            self._warn(f"{name} did not take a message, which is given up: {problem}")
        told.ended()


class _Told:
    """Remembers what a notification told once all who want it had their chance: until then a restart tells it again."""

    def __init__(self, notification: Notification, memory: ToldMemory) -> None:
        self._notification = notification
        self._memory = memory
        self._lock = threading.Lock()
        self._open = 1  # for whoever hands out the messages

    def expect(self) -> None:
        with self._lock:
            self._open += 1

    def ended(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0:
                self._memory.remember(self._notification.environment, self._notification.conditions)


def _wants(receiver: NotifyConfiguration, notification: Notification) -> bool:
    return (not receiver.on or notification.occasion in receiver.on) and (
        not receiver.environments or notification.environment in {"", *receiver.environments}
    )


@contextmanager
def notifying(
    receivers: Sequence[NotifyConfiguration],
    repository: str,
    *,
    warn: Callable[[str], None],
    count: Callable[[Ending], None],
) -> Iterator[Notifier]:
    """A Listener that tells these receivers. At the end, what waits has a few seconds to be told."""
    sender, post = new_sender()
    notifier = Notifier(receivers, ToldMemory(repository), sender, warn=warn, count=count)
    sender.start()
    try:
        yield notifier
    finally:
        sender.stop(_STOP_SECONDS)
        post.close()
