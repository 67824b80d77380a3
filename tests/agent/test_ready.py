"""Jobs that don't notify are asked whether they are ready."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.releases import TestJob, release_of
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.agent.worker import Worker

A, B, C = "orders.a.0", "orders.b.0", "orders.c.0"


def tcp(name: str, port: int, **settings: Any) -> TestJob:
    return TestJob(name=name, ready={"kind": "tcp", "port": port}, settings=settings)


def http(name: str, port: int, **settings: Any) -> TestJob:
    url = f"http://127.0.0.1:{port}/ready?now=1"
    return TestJob(name=name, ready={"kind": "http", "url": url}, settings=settings)


def test_a_port_is_waited_for_and_one_that_stays_silent_keeps_its_job_pending(worker: Worker) -> None:
    silent, late = free_port(), free_port()
    release = release_of(tcp(A, silent), tcp(B, late, listen=late, held=True), TestJob(name=C))
    answer = worker.activate(release)
    assert (answer["started"], answer["pending"], answer["failed"]) == ([A, B, C], [A, B], {})
    assert answer["observation"]["applied"].keys() == {A, B, C}
    threading.Timer(1.0, (worker.root / "state" / B / "let-go").touch).start()
    found = worker.health(release, wait=6)
    assert (found["healthy"], found["pending"], found["failed"]) == ([B, C], [A], {})
    assert found["reasons"] == {A: f"it does not answer on 127.0.0.1:{silent}"}
    assert "observation" not in found
    assert worker.activate(release)["unchanged"] == [A, B, C]


def test_a_job_that_ended_is_not_waited_for(worker: Worker) -> None:
    release = release_of(tcp(A, free_port(), exit=3))
    start = time.monotonic()
    assert "ended soon" in worker.activate(release)["failed"][A]["message"]
    found = worker.health(release, wait=60)
    assert list(found["failed"]) == [A]
    assert f"starting {A} 1" in found["failed"][A]["log"]
    assert time.monotonic() - start < 50


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "399 Odd"])
def test_an_address_is_ready_when_it_answers_well(worker: Worker, status: str) -> None:
    port = free_port()
    release = release_of(http(A, port, listen=port, answer=status))
    assert worker.activate(release)["pending"] == [A]
    found = worker.health(release)
    assert (found["healthy"], found["pending"], found["failed"]) == ([A], [], {})
    assert found["observation"]["release"] == release.id


@pytest.mark.parametrize("status", ["503 Busy", "404 Not Found"])
def test_an_address_that_answers_otherwise_is_not_ready(worker: Worker, status: str) -> None:
    port = free_port()
    release = release_of(http(A, port, listen=port, answer=status))
    worker.activate(release)
    assert worker.health(release, wait=2)["reasons"][A].endswith(f"/ready?now=1 with status {status[:3]}")


@pytest.mark.parametrize("settings", [{}, {"answer": "nonsense\0"}])
def test_a_port_without_http_is_not_ready(worker: Worker, settings: dict[str, Any]) -> None:
    port = free_port()
    release = release_of(http(A, port, listen=port, **settings))
    worker.activate(release)
    assert f"127.0.0.1:{port}" in worker.health(release, wait=2)["reasons"][A]


def test_a_redirect_counts_and_is_not_followed(worker: Worker) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        target = f"302 Found\r\nLocation: http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        release = release_of(http(A, port, listen=port, answer=target))
        worker.activate(release)
        assert worker.health(release)["healthy"] == [A]
        elsewhere.settimeout(0.2)
        with pytest.raises(TimeoutError):
            elsewhere.accept()
