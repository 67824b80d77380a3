"""What jobs say of their events, as the agent reads it: files that a job may have filled with anything."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.releases import TestJob, activation, release_of
from tests.agent.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = "orders.a.0"
INPUT = {"port": "default", "channel": "c", "events": 7, "bytes": 70, "done": 5, "waiting": None, "stalled": 1.5}
AWAY = {"message": "waiting for the consumer of d at /run/x", "seconds": 9.5}
OUTPUT = {"port": "default", "channel": "d", "events": 5, "bytes": 50, "blocked": 0.0, "away": AWAY}
SAID: dict[str, Any] = {
    "format": 1, "pid": 42, "read": 7, "done": 5, "failed": 1, "error": "it has none", "inputs": [INPUT],
    "outputs": [OUTPUT, {**OUTPUT, "consumers": {"keep": 7, "archive.pack": None}}],
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(tmp_path_factory.mktemp("worker"))
    worker.call("activate", *activation(release_of(TestJob(name=JOB))))
    file_of(worker).parent.mkdir(parents=True, exist_ok=True)
    yield worker
    worker.close()


@pytest.fixture
def deployed(running: Worker) -> Worker:
    """Whose job has said nothing yet."""
    file_of(running).unlink(missing_ok=True)
    return running


def file_of(worker: Worker) -> Path:
    return worker.run / "s" / f"{JOB}.json"


def traffic(worker: Worker, **request: Any) -> dict[str, Any]:
    found: dict[str, Any] = worker.call("observe", {"owner": None, "traffic": True, **request})["traffic"]
    return found


def test_what_a_job_says_comes_with_an_observation_that_asks_for_it(deployed: Worker) -> None:
    file_of(deployed).write_text(json.dumps(SAID))
    (job, said), = traffic(deployed).items()  # fmt: skip
    assert job == JOB
    assert 0 <= said.pop("age") < 60
    assert said == {key: value for key, value in SAID.items() if key != "format"}
    assert "traffic" not in deployed.call("observe", {"owner": None})


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", "[" * 50_000, " " * 600_000, '{"format": 2}',
        json.dumps({**SAID, "pid": "42"}), json.dumps({**SAID, "read": 2**70}), json.dumps({**SAID, "failed": -1}),
        json.dumps({**SAID, "inputs": [{**INPUT, "channel": "a\nb"}]}), json.dumps({**SAID, "inputs": 3}),
        json.dumps({**SAID, "inputs": [{**INPUT, "stalled": float("nan")}]}), json.dumps({**SAID, "outputs": [{}]}),
        json.dumps({**SAID, "outputs": [{**OUTPUT, "port": "x" * 10_000}]}),
        json.dumps({**SAID, "outputs": [{**OUTPUT, "away": {**AWAY, "message": "a\x1b[31m"}}]}),
        json.dumps({**SAID, "outputs": [{**OUTPUT, "away": {**AWAY, "message": "x" * 301}}]}),
        json.dumps({**SAID, "outputs": [{**OUTPUT, "consumers": {"a\nb": 1}}]}),
        json.dumps({**SAID, "outputs": [{**OUTPUT, "consumers": {"a": -1}}]}),
        json.dumps({**SAID, "outputs": [{**OUTPUT, "consumers": ["a"]}]}),
        json.dumps({**SAID, "error": "a\nb"}), json.dumps({**SAID, "error": 7}),
        json.dumps({**SAID, "outputs": [{**OUTPUT, "away": "x"}]}), json.dumps({**SAID, "outputs": ["x"]}),
    ],
)  # fmt: skip
def test_nonsense_is_left_out(deployed: Worker, content: str) -> None:
    file_of(deployed).write_text(content)
    assert traffic(deployed) == {}


def test_neither_links_nor_pipes_are_read(deployed: Worker, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps(SAID))
    file_of(deployed).symlink_to(elsewhere)
    assert traffic(deployed) == {}
    file_of(deployed).unlink()
    os.mkfifo(file_of(deployed))
    assert traffic(deployed) == {}
