"""The forge's webhook as the configuration has it: who is believed, where it is served, whom it wakes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from msgspec import UnsetType

from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.controller.onlookers.metrics import Metrics
from gitopsd.daemon.controller.onlookers.web import serving
from gitopsd.daemon.controller.onlookers.webhook import Looks, Outcome, Receiver, receiving
from gitopsd.daemon.secrets.resolve import value_on_this_machine


@contextmanager
def webhook(
    configuration: Configuration, metrics: Metrics, *, looks: Looks, warn: Callable[[str], None]
) -> Iterator[None]:
    """Served for the length of a `with`."""
    forge = configuration.forge
    if isinstance(forge, UnsetType) or isinstance(forge.webhook_secret, UnsetType):
        raise TypeError("a configuration that was read has a secret where it has a webhook")

    def count(outcome: Outcome) -> None:
        metrics.deliveries.labels(outcome).inc()

    receiver = Receiver(
        kind=forge.kind,
        repository=forge.repository,
        secret=partial(value_on_this_machine, forge.webhook_secret),
        count=count,
        warn=warn,
    )
    with (
        receiving(receiver, looks) as routes,
        serving(configuration.listen.webhook, routes, problem=warn),
    ):
        yield
