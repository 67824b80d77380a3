"""Jobs that don't notify are asked whether they are ready."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.ports import free_port
from tests.agent.releases import TestJob, release_of

if TYPE_CHECKING:
    from tests.agent.worker import Worker

A, B, C = "orders.a.0", "orders.b.0", "orders.c.0"


def tcp(name: str, port: int, **settings: Any) -> TestJob:
    return TestJob(name=name, ready={"kind": "tcp", "port": port}, settings=settings)


def http(name: str, port: int, **settings: Any) -> TestJob:
    url = f"http://127.0.0.1:{port}/ready?now=1"
    return TestJob(name=name, ready={"kind": "http", "url": url}, settings=settings)


def test_a_port_is_waited_for_and_one_that_stays_silent_fails_its_job_alone(worker: Worker) -> None:
    silent, late = free_port(), free_port()
    release = release_of(tcp(A, silent), tcp(B, late, listen=late, ready_after=2.5), TestJob(name=C))
    answer = worker.activate(release, deadline=6)
    assert answer["started"] == [B, C]
    assert answer["failed"][A]["message"] == f"it does not answer on 127.0.0.1:{silent}"
    assert f"starting {A} 1" in answer["failed"][A]["log"]
    assert answer["observation"]["applied"].keys() == {B, C}
    again = worker.activate(release, deadline=2)
    assert (again["unchanged"], list(again["failed"])) == ([B, C], [A])


def test_a_job_that_ended_is_not_waited_for(worker: Worker) -> None:
    start = time.monotonic()
    answer = worker.activate(release_of(tcp(A, free_port(), exit=3)), deadline=60)
    assert "ended soon" in answer["failed"][A]["message"]
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "399 Odd"])
def test_an_address_is_ready_when_it_answers_well(worker: Worker, status: str) -> None:
    port = free_port()
    assert worker.activate(release_of(http(A, port, listen=port, answer=status)))["started"] == [A]


@pytest.mark.parametrize("status", ["503 Busy", "404 Not Found"])
def test_an_address_that_answers_otherwise_is_not_ready(worker: Worker, status: str) -> None:
    port = free_port()
    answer = worker.activate(release_of(http(A, port, listen=port, answer=status)), deadline=2)
    assert answer["failed"][A]["message"].endswith(f"/ready?now=1 with status {status[:3]}")
    assert answer["observation"]["applied"] == {}


@pytest.mark.parametrize("settings", [{}, {"answer": "nonsense\0"}])
def test_a_port_without_http_is_not_ready(worker: Worker, settings: dict[str, Any]) -> None:
    port = free_port()
    answer = worker.activate(release_of(http(A, port, listen=port, **settings)), deadline=2)
    assert f"127.0.0.1:{port}" in answer["failed"][A]["message"]


def test_a_redirect_counts_and_is_not_followed(worker: Worker) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        target = f"302 Found\r\nLocation: http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        assert worker.activate(release_of(http(A, port, listen=port, answer=target)))["started"] == [A]
        elsewhere.settimeout(0.2)
        with pytest.raises(TimeoutError):
            elsewhere.accept()
