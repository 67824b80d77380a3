"""What the controller does, as Prometheus metrics: a Listener, and values that are asked for when they are scraped.

Labels have few values: environments, triggers, outcomes, kinds. Workers are counted and not named, since a fleet has a
thousand of them and more over time; the journal and `gitopsd status` name them. Only jobs are named
(channel_traffic.py), and not more than some.
"""

import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gitopsd import __version__
from gitopsd.daemon.controller import events as told
from gitopsd.daemon.controller.onlookers.worker_states import WorkerStates
from gitopsd.daemon.controller.outcome import outcome_of
from gitopsd.daemon.controller.pull_requests.counts import Counted

disable_created_metrics()  # type: ignore[no-untyped-call] # a series more of each counter, which nobody asks for

MOST_ENVIRONMENTS = 100
OTHERS = "(others)"
"""The environments beyond that, together: the repository has as many as its authors like."""

ELSEWHERE = "elsewhere"
"""What made a deployment that this controller did not commit: a person's `gitopsd apply`, say."""

_PLAN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROLLOUT_SECONDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for at each scrape: requests that no cycle has taken yet, by environment; connections to workers;
    threads that are stuck; what is counted of pull requests; the events that pass the jobs' channels.
    """

    waiting: Callable[[], Mapping[str, int]] = dict
    connections: Callable[[], int] = int
    overdue: Callable[[], int] = int
    forge: Callable[[], Counted] = Counted
    traffic: Callable[[], Iterable[Metric]] = tuple


@dataclass(slots=True, kw_only=True)
class _Environment:
    workers: WorkerStates = field(default_factory=WorkerStates)
    looked: float | None = None
    deployment: int | None = None
    held: bool = False
    new: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Deployments whose first rollout has not ended: what made them, and when."""


class Metrics(Collector):
    """All of one controller, in a registry of its own."""

    def __init__(self, asked: Asked | None = None) -> None:
        self.registry = CollectorRegistry()
        self._asked = asked or Asked()
        self._lock = threading.Lock()
        self._environments: dict[str, _Environment] = {}
        self._leads = False
        self._declare()
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def _declare(self) -> None:
        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(name, documentation, labels, "gitopsd", registry=self.registry)

        def histogram(name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, documentation, ("environment",), "gitopsd", registry=self.registry, buckets=buckets)

        of = "environment"
        self._looks_failed = counter("looks_failed", "Looks at the repository that failed.")
        self._refused = counter("versions_refused", "Attempts to deploy a version that was refused.", of)
        self._superseded = counter("versions_superseded", "Versions skipped since a newer one had come.", of)
        self._deployments = counter(
            "deployments", "Deployments by what made them, and by what their rollout came to.", of, "trigger", "outcome"
        )
        self._reverts = counter("reverts", "Deployments that failed, and were reverted.", of)
        self._drift = counter("drift_found", "Differences found on workers that nobody had deployed.", of, "kind")
        self._planned = histogram("plan_duration_seconds", "How long planning a version took.", _PLAN_SECONDS)
        self._rolled_out = histogram(
            "rollout_duration_seconds", "How long looking at workers, and changing them, took.", _ROLLOUT_SECONDS
        )
        self._deployed = histogram(
            "deployment_duration_seconds", "From the commit of a deployment to the end of its rollout.",
            _ROLLOUT_SECONDS,
        )  # fmt: skip
        self.notifications = counter("notifications", "Notifications by what became of them.", "outcome")
        self.deliveries = counter("webhook_deliveries", "Deliveries of the forge by what became of them.", "outcome")
        build = Gauge(
            "build_info", "This version of gitopsd.", ("version", "python"), "gitopsd", registry=self.registry
        )
        build.labels(__version__, platform.python_version()).set(1)

    def __call__(self, event: told.Event) -> None:
        with self._lock:
            match event:
                case told.LookFailed():  # a look is at all environments at once
                    self._looks_failed.inc()
                case told.Leading() | told.Stopping():
                    self._leads = isinstance(event, told.Leading)
                case _ if event.environment:
                    self._tell(event, *self._environment(event.environment))
                case _:
                    pass

    def _environment(self, name: str) -> tuple[str, _Environment]:
        """The environment, under the name that it is shown by."""
        shown = name if name in self._environments or len(self._environments) < MOST_ENVIRONMENTS else OTHERS
        return shown, self._environments.setdefault(shown, _Environment())

    def _tell(self, event: told.Event, name: str, environment: _Environment) -> None:
        environment.workers.tell(event)
        match event:
            case told.Looked():
                environment.looked = event.at
            case told.Planned() | told.Refused() | told.Held() | told.Settled() | told.Committed():
                self._tell_of_version(event, name, environment)
            case told.RolloutBegan():
                if environment.deployment is not None and event.deployment > environment.deployment:
                    environment.new.setdefault(event.deployment, (ELSEWHERE, event.at))
                environment.deployment = event.deployment
            case told.WorkerChanging() if event.deployment not in environment.new:
                for one in event.differences.drift:
                    self._drift.labels(name, one.kind).inc()
            case told.Reverted():
                self._reverts.labels(name).inc()
                environment.new[event.by] = ("auto-revert", event.at)
            case told.RolloutEnded():
                self._ended(event, name, environment)
            case _:
                pass

    def _tell_of_version(
        self,
        event: told.Planned | told.Refused | told.Held | told.Settled | told.Committed,
        name: str,
        environment: _Environment,
    ) -> None:
        environment.held = isinstance(event, told.Held)
        match event:
            case told.Planned():
                self._planned.labels(name).observe(event.seconds)
            case told.Refused():
                self._refused.labels(name).inc()
            case told.Settled():
                environment.deployment = event.deployment
            case told.Committed():
                environment.deployment = event.deployment
                environment.new[event.deployment] = (event.trigger, event.at)
                self._superseded.labels(name).inc(len(event.superseded))
            case told.Held():
                pass

    def _ended(self, event: told.RolloutEnded, name: str, environment: _Environment) -> None:
        self._rolled_out.labels(name).observe(event.seconds)
        if event.rollout.paused:
            return  # its deployments have come to nothing yet
        for number in sorted(one for one in environment.new if one <= event.deployment):
            trigger, committed = environment.new.pop(number)
            # one before it that never had a rollout of its own is part of it
            outcome = outcome_of(event.rollout) if number == event.deployment else "superseded"
            self._deployments.labels(name, trigger, outcome).inc()
            if number == event.deployment:
                self._deployed.labels(name).observe(max(0.0, event.at - committed))

    def collect(self) -> Iterator[Metric]:
        """What is so at this moment."""
        yield _gauge("leader", "Whether this controller leads, or stands by.", float(self._leads))
        yield _gauge("connections", "Connections to workers that are open.", self._asked.connections())
        yield _gauge("threads", "Threads of the controller.", threading.active_count())
        yield _gauge("threads_overdue", "Threads of the controller that are stuck.", self._asked.overdue())
        waiting = GaugeMetricFamily("gitopsd_requests_waiting", "Requests not begun yet.", labels=["environment"])
        for name, count in list(self._asked.waiting().items())[:MOST_ENVIRONMENTS]:
            waiting.add_metric([name], count)
        yield waiting
        yield from _of_forge(self._asked.forge())
        yield from self._asked.traffic()
        with self._lock:
            yield from self._of_environments()

    def _of_environments(self) -> list[Metric]:
        def family(name: str, documentation: str, *more: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"gitopsd_{name}", documentation, labels=["environment", *more])

        looked = family("last_look_timestamp_seconds", "When the repository was last looked at with success.")
        deployment = family("deployment_number", "The deployment that workers are made equal to.")
        held = family("version_held", "Whether the newest version waits for a person or for a time.")
        workers = family("workers", "Workers by what is known of them.", "state")
        for name, environment in self._environments.items():
            if environment.looked is not None:
                looked.add_metric([name], environment.looked)
            if environment.deployment is not None:
                deployment.add_metric([name], environment.deployment)
            held.add_metric([name], float(environment.held))
            for fact, count in environment.workers.counts().items():
                workers.add_metric([name, fact], count)
        return [looked, deployment, held, workers]


def _of_forge(counted: Counted) -> Iterator[Metric]:
    planned = CounterMetricFamily(
        "gitopsd_pull_requests_planned", "Pull requests planned, by what became of it.", labels=["outcome"]
    )
    calls = CounterMetricFamily(
        "gitopsd_forge_requests", "Requests to the forge's API by their answer; 304: nothing new.", labels=["status"]
    )
    for family, counts in ((planned, counted.planned), (calls, counted.calls)):
        for value, count in sorted(counts.items()):
            family.add_metric([value], count)
        yield family
    if counted.remaining is not None:
        yield _gauge("forge_requests_left", "Requests that the forge allows for now.", counted.remaining)


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"gitopsd_{name}", documentation, value=value)
