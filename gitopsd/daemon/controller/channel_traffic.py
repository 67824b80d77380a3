"""What jobs said last of the events that pass them, as far as it is worth keeping: the newest of each worker."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gitopsd.model.facts import InputTraffic, JobTraffic, OutputTraffic

MOST_JOBS = 2000
"""How many jobs have metrics of their own, by name: Prometheus has to hold some ten series for each."""

_GONE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _Said:
    jobs: Mapping[str, JobTraffic]
    at: float


class ChannelTraffic:
    """Of all environments; safe to use from any thread. A worker that nobody asked for an hour is forgotten."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str], _Said] = {}

    def tell(self, environment: str, worker: str, jobs: Mapping[str, JobTraffic]) -> None:
        now = self._clock()
        with self._lock:
            self._said[environment, worker] = _Said(jobs, now)
            gone = [key for key, said in self._said.items() if said.at < now - _GONE_SECONDS]
            for key in gone:
                del self._said[key]

    def metrics(self) -> Iterator[Metric]:
        with self._lock:
            said = sorted(
                (environment, job, traffic)
                for (environment, _), one in self._said.items()
                for job, traffic in one.jobs.items()
            )
        shown = said[:MOST_JOBS]
        yield GaugeMetricFamily(
            "gitopsd_jobs_without_metrics", "Jobs beyond those that have some.", value=len(said) - len(shown)
        )
        yield from _of_jobs(shown)


def _of_jobs(said: list[tuple[str, str, JobTraffic]]) -> list[Metric]:
    job_labels, end_labels = ["environment", "job"], ["environment", "job", "port", "channel", "direction"]
    done = CounterMetricFamily("gitopsd_job_events_done", "Events of a job that are safe.", labels=job_labels)
    failed = CounterMetricFamily("gitopsd_job_events_failed", "Events it could not handle.", labels=job_labels)
    events = CounterMetricFamily("gitopsd_channel_events", "Events that passed an end.", labels=end_labels)
    size = CounterMetricFamily("gitopsd_channel_bytes", "Their bytes.", labels=end_labels)
    waiting = GaugeMetricFamily("gitopsd_channel_waiting", "What lies in a channel for a step.", labels=end_labels)
    stalled = GaugeMetricFamily(
        "gitopsd_channel_stalled_seconds",
        "For how long nothing that waits was taken in, or nothing could be handed on.",
        labels=end_labels,
    )
    for environment, job, traffic in said:
        done.add_metric([environment, job], traffic.done)
        failed.add_metric([environment, job], traffic.failed)
        ends: tuple[InputTraffic | OutputTraffic, ...] = (*traffic.inputs, *traffic.outputs)
        for end in ends:
            labels = [environment, job, end.port, end.channel, "in" if isinstance(end, InputTraffic) else "out"]
            events.add_metric(labels, end.events)
            size.add_metric(labels, end.bytes)
            if isinstance(end, InputTraffic) and end.waiting is not None:
                waiting.add_metric(labels, end.waiting)
            stalled.add_metric(labels, end.stalled if isinstance(end, InputTraffic) else end.blocked)
    return [done, failed, events, size, waiting, stalled]
