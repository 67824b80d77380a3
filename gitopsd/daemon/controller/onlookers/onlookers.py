"""All who watch a controller, as its configuration has them, and the forge that wakes it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.controller.events import Listener, Said
from gitopsd.daemon.controller.heartbeat import Heartbeats
from gitopsd.daemon.controller.onlookers.event_log import Sink, event_log
from gitopsd.daemon.controller.onlookers.health import Health
from gitopsd.daemon.controller.onlookers.metrics import Asked, Metrics


@contextmanager
def onlookers(
    configuration: Configuration,
    repository: str,
    *,
    hearts: Heartbeats,
    asked: Asked,
    say: Callable[[Said], None],
    log: Sink,
    look: Callable[[], object],
    look_at_pull_requests: Callable[[], object],
) -> Iterator[Sequence[Listener]]:
    """The listeners to tell every event, for the length of a `with`.

    `repository` is its identity; `hearts` go by the steady clock. `say` passes on what they have to say themselves,
    and `look` has the controller look where the branches are, `look_at_pull_requests` at those.
    """

    def warn(message: str) -> None:
        say(Said(environment="", at=time.time(), message=message, level="warning"))

    metrics, health = Metrics(asked), Health(hearts, clock=time.monotonic, wall=time.time)
    listeners: list[Listener] = [event_log(log), metrics, health]
    with ExitStack() as running:
        if configuration.listen.metrics:
            from gitopsd.daemon.controller.onlookers.observability import routes  # noqa: PLC0415 - 100 ms where it is wanted
            from gitopsd.daemon.controller.onlookers.web import serving  # noqa: PLC0415

            running.enter_context(serving(configuration.listen.metrics, routes(metrics, health), problem=warn))
        if configuration.listen.webhook:
            from gitopsd.daemon.controller.onlookers.forge_webhook import webhook  # noqa: PLC0415 - 100 ms as well
            from gitopsd.forge.webhook import Hint  # noqa: PLC0415

            looks = {Hint.BRANCHES: look, Hint.PULL_REQUESTS: look_at_pull_requests}
            running.enter_context(webhook(configuration, metrics, looks=looks, warn=warn))
        if configuration.notify:
            from gitopsd.daemon.controller.notifications.notifier import notifying  # noqa: PLC0415 - 100 ms too

            def count(ending: str) -> None:
                metrics.notifications.labels(ending).inc()

            listeners.append(running.enter_context(notifying(configuration.notify, repository, warn=warn, count=count)))
        yield listeners
