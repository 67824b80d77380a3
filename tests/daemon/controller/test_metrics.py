import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gitopsd.daemon.controller import events as told
from gitopsd.daemon.controller.channel_traffic import MOST_JOBS, ChannelTraffic
from gitopsd.daemon.controller.onlookers.metrics import ELSEWHERE, MOST_ENVIRONMENTS, OTHERS, Asked, Metrics
from gitopsd.daemon.controller.outcome import outcome_of
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.planner.drift import Drift
from tests.daemon.controller import samples


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"gitopsd_{name}", labels)


def of(metrics: Metrics, name: str, **labels: str) -> float | None:
    return value(metrics, name, environment="production", **labels)


def told_to(*events: told.Event) -> Metrics:
    metrics = Metrics()
    for event in events:
        metrics(event)
    return metrics


def test_nothing_says_when_a_counter_was_made() -> None:
    metrics = told_to()
    metrics.notifications.labels("sent").inc()
    text = generate_latest(metrics.registry).decode()
    assert 'gitopsd_notifications_total{outcome="sent"} 1.0' in text
    assert "_created" not in text


@pytest.mark.parametrize("event", samples.EVERY, ids=lambda event: type(event).__name__)
def test_every_event_leaves_metrics_that_prometheus_can_read(event: told.Event) -> None:
    text = generate_latest(told_to(event).registry).decode()
    assert "gitopsd_build_info" in {family.name for family in text_string_to_metric_families(text)}


def test_the_last_successful_look_stays_while_looks_fail() -> None:
    metrics = told_to(samples.looked(at=100.0), samples.look_failed(at=130.0), samples.look_failed(at=160.0))
    assert of(metrics, "last_look_timestamp_seconds") == 100.0
    assert value(metrics, "looks_failed_total") == 2


def test_a_deployment_counts_once_by_what_its_first_rollout_came_to() -> None:
    metrics = told_to(
        samples.committed(trigger="push", skipped=("a", "b")),
        samples.began(),
        samples.ended(samples.result(state="failed", error="no"), failed=("edge-1",)),
        samples.began(),
        samples.ended(samples.result(state="converged")),
    )
    assert of(metrics, "deployments_total", trigger="push", outcome="failed") == 1
    assert of(metrics, "deployments_total", trigger="push", outcome="converged") is None
    assert of(metrics, "versions_superseded_total") == 2
    assert of(metrics, "rollout_duration_seconds_count") == 2
    assert of(metrics, "deployment_duration_seconds_count") == 1
    assert of(metrics, "deployment_number") == 7


def test_a_deployment_that_was_overtaken_is_superseded() -> None:
    metrics = told_to(samples.committed(7), samples.committed(8), samples.began(8), samples.ended(deployment=8))
    assert of(metrics, "deployments_total", trigger="push", outcome="superseded") == 1
    assert of(metrics, "deployments_total", trigger="push", outcome="converged") == 1


def test_a_deployment_that_was_committed_by_another_counts_too() -> None:
    metrics = told_to(samples.began(7), samples.ended(samples.result("edge-1", "in-sync")))
    assert of(metrics, "deployments_total", trigger=ELSEWHERE, outcome="converged") is None
    for event in (samples.began(8), samples.ended(samples.result(), deployment=8)):
        metrics(event)
    assert of(metrics, "deployments_total", trigger=ELSEWHERE, outcome="converged") == 1
    for later in (samples.reverted(), samples.began(8), samples.ended(samples.result(), deployment=8)):
        metrics(later)
    assert of(metrics, "deployments_total", trigger="auto-revert", outcome="converged") == 1


def test_drift_is_what_nobody_deployed() -> None:
    swapped = Drift(kind="out-of-sync", subject="", detail="it holds an earlier one")
    metrics = told_to(samples.committed(), samples.changing(swapped), samples.ended(samples.result()))
    assert of(metrics, "drift_found_total", kind="out-of-sync") is None
    metrics(samples.changing())
    assert of(metrics, "drift_found_total", kind="changed-file") == 1


def test_each_worker_is_counted_under_the_newest_fact_and_never_named() -> None:
    metrics = told_to(
        samples.worker_ended("edge-1", "unreachable", "no answer"),
        samples.worker_ended("edge-2", "in-sync"),
        samples.worker_ended("edge-3", "rolled-back", "no"),
        samples.worker_ended("edge-1", "converged"),
        samples.left_out("edge-4"),
    )
    counts = {state: of(metrics, "workers", state=state) for state in ("in_sync", "drifted", "failed", "unreachable")}
    assert counts == {"in_sync": 2, "drifted": 0, "failed": 1, "unreachable": 0}
    assert of(metrics, "workers", state="left_out") == 1
    assert b"edge-" not in generate_latest(metrics.registry)


def test_a_worker_that_nobody_speaks_of_any_more_is_not_counted() -> None:
    metrics = told_to(samples.worker_ended("gone", "in-sync"))
    late = told.WorkerEnded(
        environment="production", at=samples.AT + 3601, deployment=8, result=samples.result("edge-1", "in-sync")
    )
    metrics(late)
    assert of(metrics, "workers", state="in_sync") == 1


def test_a_version_is_held_until_the_next_one_is_planned() -> None:
    metrics = told_to(samples.held())
    assert of(metrics, "version_held") == 1
    metrics(samples.EVERY[3])
    assert of(metrics, "version_held") == 0


def test_who_leads_shows() -> None:
    metrics = Metrics()
    assert value(metrics, "leader") == 0
    metrics(told.Leading(environment="", at=samples.AT))
    assert value(metrics, "leader") == 1
    metrics(told.Stopping(environment="", at=samples.AT))
    assert value(metrics, "leader") == 0


def test_what_is_so_now_is_asked_for_at_each_scrape() -> None:
    connections = [3]
    metrics = Metrics(Asked(waiting=lambda: {"production": 2}, connections=lambda: connections[0], overdue=lambda: 1))
    assert (of(metrics, "requests_waiting"), value(metrics, "threads_overdue")) == (2, 1)
    assert value(metrics, "connections") == 3
    connections[0] = 4
    assert value(metrics, "connections") == 4
    assert (value(metrics, "threads") or 0) >= 1
    assert (metrics.registry.get_sample_value("process_resident_memory_bytes") or 0) > 1_000_000


def test_a_repository_with_any_number_of_environments_makes_no_end_of_labels() -> None:
    metrics = Metrics()
    for number in range(MOST_ENVIRONMENTS + 50):
        metrics(samples.looked(f"e{number}"))
    shown = [
        sample.labels["environment"]
        for family in metrics.registry.collect()
        if family.name == "gitopsd_last_look_timestamp_seconds"
        for sample in family.samples
    ]
    assert len(shown) == MOST_ENVIRONMENTS + 1
    assert OTHERS in shown


@pytest.mark.parametrize(
    ("rollout", "outcome"),
    [
        (Rollout(results=(samples.result(),)), "converged"),
        (Rollout(results=(samples.result(state="in-sync"),)), "converged"),
        (Rollout(results=(samples.result(), samples.result(state="unreachable"))), "unreachable"),
        (Rollout(results=(samples.result(state="unreachable"), samples.result(state="failed"))), "failed"),
        (Rollout(results=(samples.result(state="rolled-back"),), superseded_by=8), "failed"),
        (Rollout(results=(samples.result(),), not_attempted=("b",), superseded_by=8), "superseded"),
        (Rollout(results=(), not_attempted=("b",), interrupted=True), "interrupted"),
        (Rollout(results=(samples.result(),), not_attempted=("b",), paused="Ann: enough"), "paused"),
        (Rollout(results=(), unfinished=("b",)), "incomplete"),
    ],
)
def test_the_outcome_of_a_rollout_is_the_worst_that_happened(rollout: Rollout, outcome: str) -> None:
    assert outcome_of(rollout) == outcome


def test_what_passes_channels_is_told_by_job_and_channel() -> None:
    now = [0.0]
    traffic = ChannelTraffic(lambda: now[0])
    metrics = Metrics(Asked(traffic=traffic.metrics))
    traffic.tell("production", "edge-1", {"orders.write.0": samples.traffic(events=7, done=5, waiting=3)})
    ends = {"job": "orders.write.0", "port": "default", "channel": "production.orders.raw", "direction": "in"}
    assert of(metrics, "job_events_done_total", job="orders.write.0") == 5
    assert of(metrics, "channel_events_total", **ends) == 7
    assert of(metrics, "channel_waiting", **ends) == 3
    traffic.tell("production", "edge-1", {})
    assert of(metrics, "channel_waiting", **ends) is None
    traffic.tell("production", "edge-1", {"orders.write.0": samples.traffic(waiting=3)})
    now[0] = 4000.0
    traffic.tell("production", "edge-2", {})
    assert of(metrics, "channel_waiting", **ends) is None, "nobody has asked edge-1 for an hour"


def test_only_so_many_jobs_have_metrics_of_their_own() -> None:
    traffic = ChannelTraffic(lambda: 0.0)
    metrics = Metrics(Asked(traffic=traffic.metrics))
    traffic.tell("production", "edge-1", {f"o.a.{number}": samples.traffic() for number in range(MOST_JOBS + 3)})
    assert value(metrics, "jobs_without_metrics") == 3
    assert generate_latest(metrics.registry).decode().count("gitopsd_job_events_done_total{") == MOST_JOBS
