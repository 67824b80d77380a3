"""The agent that stays: many requests to one process, each answered, whatever becomes of the one before."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.agent.serve import NOTHING_BEGUN
from tests.agent.interpreters import VERSIONS, interpreter
from tests.agent.releases import OWNER, TestJob, activation, release_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agent.worker import Worker

JOB = "orders.a.0"
SECONDS = 120.0


class Serving:
    def __init__(self, worker: Worker, python: str | None = None) -> None:
        self._worker = worker
        self.process = subprocess.Popen(
            [python or worker.python, "-IB", str(worker.agent), "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def line(self) -> bytes:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        assert ready, "no answer"
        return self.process.stdout.readline()

    def ask(self, verb: str, body: dict[str, Any] | None = None, payload: bytes = b"") -> dict[str, Any]:
        head = {"verb": verb, "size": len(payload), "protocol": 1, "layout": self._worker.layout, **(body or {})}
        self.send(json.dumps(head).encode() + b"\n" + payload)
        answer: dict[str, Any] = json.loads(self.line())
        return answer

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(SECONDS)


@pytest.fixture
def serving(worker: Worker) -> Iterator[Serving]:
    started = Serving(worker)
    yield started
    started.process.kill()
    started.process.wait()


def children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split()]


def test_all_verbs_are_answered_by_one_process(worker: Worker, serving: Serving) -> None:
    release = release_of(TestJob(name=JOB))
    assert serving.ask("observe", {"owner": None})["release"] is None
    assert serving.ask("activate", *activation(release))["started"] == [JOB]
    assert serving.ask("activate", *activation(release, release))["unchanged"] == [JOB]
    state = serving.ask("observe", {"owner": None})
    assert (state["release"], state["tree"]) == (release.id, release.id)
    assert serving.ask("logs", {"job": JOB, "lines": 5})["ok"]
    assert serving.ask("prune", {"keep": [release.id]})["removed"] == []
    assert worker.observe()["units"][f"gitopsd-{JOB}.service"]["active"] == "active"
    assert serving.ask("teardown", {"owner": OWNER["root_commit"]})["ok"]
    assert serving.end() == NOTHING_BEGUN


def test_an_error_is_an_answer_and_the_next_request_is_served(serving: Serving) -> None:
    assert serving.ask("explode")["error"]["code"] == "unsupported"
    assert serving.ask("observe", {"protocol": 7})["error"]["code"] == "protocol"
    assert serving.ask("observe", {"layout": None})["error"]["code"] == "protocol"
    assert serving.ask("activate", {}, b"x" * 1000)["error"]["code"] == "protocol"
    assert serving.ask("prune", {"keep": 3})["error"]["code"] == "protocol"
    assert serving.ask("observe", {"owner": None})["ok"]
    assert serving.ask("ping")["ok"]


@pytest.mark.parametrize("request_line", [b"not json\n", b"[]\n", b'{"verb":"observe","size":-1}\n', b'{"size":0}\n'])
def test_a_request_whose_end_cannot_be_told_is_answered_and_ends_it(serving: Serving, request_line: bytes) -> None:
    serving.send(request_line)
    assert json.loads(serving.line())["error"]["code"] == "protocol"
    assert serving.process.wait(SECONDS) == 0


def test_a_request_that_did_not_arrive_as_a_whole_is_not_begun(worker: Worker, serving: Serving) -> None:
    body, payload = activation(release_of(TestJob(name=JOB)))
    head = {"verb": "activate", "size": len(payload) + 1, "protocol": 1, "layout": worker.layout, **body}
    serving.send(json.dumps(head).encode() + b"\n" + payload)
    assert serving.end() == NOTHING_BEGUN
    assert worker.observe()["release"] is None


def test_a_request_that_kills_its_process_is_answered_and_the_next_is_served(worker: Worker, serving: Serving) -> None:
    release = release_of(TestJob(name=JOB, settings={"ready_after": 20}))
    body, payload = activation(release)
    head = {"verb": "activate", "size": len(payload), "protocol": 1, "layout": worker.layout, **body}
    serving.send(json.dumps(head).encode() + b"\n" + payload)
    end = time.monotonic() + SECONDS
    while not (worker.root / "activating").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    (child,) = children(serving.process.pid)
    os.kill(child, signal.SIGKILL)
    error = json.loads(serving.line())["error"]
    assert error["code"] == "internal"
    assert "killed by signal 9" in error["message"]
    state = serving.ask("observe", {"owner": None})
    assert state["interrupted"] is True


def test_what_is_under_way_goes_on_when_nobody_listens_any_more(worker: Worker, serving: Serving) -> None:
    release = release_of(TestJob(name=JOB))
    body, payload = activation(release)
    head = {"verb": "activate", "size": len(payload), "protocol": 1, "layout": worker.layout, **body}
    serving.ask("ping")
    serving.send(json.dumps(head).encode() + b"\n" + payload)
    serving.process.send_signal(signal.SIGHUP)
    assert serving.process.stdout is not None
    serving.process.stdout.close()
    assert serving.end() in (1, NOTHING_BEGUN)
    state = worker.observe()
    assert (state["release"], state["interrupted"]) == (release.id, False)


def test_it_ends_when_its_file_is_gone(worker: Worker, serving: Serving) -> None:
    assert serving.ask("observe", {"owner": None})["ok"]
    content = worker.agent.read_bytes()
    worker.agent.unlink()
    serving.send(json.dumps({"verb": "ping"}).encode() + b"\n")
    assert serving.process.wait(SECONDS) == NOTHING_BEGUN
    assert serving.line() == b""
    worker.agent.write_bytes(content)


def test_what_a_request_brought_along_is_not_kept(serving: Serving) -> None:
    def resident() -> int:
        status = open(f"/proc/{serving.process.pid}/status").read()  # noqa: PTH123, SIM115 -- of procfs
        return int(status.partition("VmRSS:")[2].split()[0])

    serving.ask("observe", {"owner": None})
    before = resident()
    assert serving.ask("activate", {}, bytes(200_000_000))["error"]["code"] == "protocol"
    serving.ask("observe", {"owner": None})
    assert resident() < before + 20_000, "in kB"


def test_known_is_answered_with_same_until_anything_changes(worker: Worker, serving: Serving) -> None:
    release = release_of(TestJob(name=JOB), extra={f"jobs/{JOB}/files/data": b"one"})
    serving.ask("activate", *activation(release))
    first = serving.ask("observe", {"owner": None, "known": ""})
    assert first["tree"] == release.id
    known = {"owner": None, "known": first["etag"]}
    assert serving.ask("observe", known) == {"ok": True, "same": True}
    path = worker.root / f"releases/{release.id}/jobs/{JOB}/files/data"
    path.write_bytes(b"two")  # of the same size, at once
    changed = serving.ask("observe", known)
    assert changed["tree"] != release.id
    assert [f"jobs/{JOB}/files/data"] == [
        entry[0] for entry in changed["files"] if entry not in [list(one) for one in release.entries]
    ]
    path.write_bytes(b"one")
    assert serving.ask("observe", known)["same"] is True
    (worker.root / "activating").write_text("x")
    assert serving.ask("observe", known)["interrupted"] is True


def test_fingerprints_come_along_with_same(serving: Serving) -> None:
    first = serving.ask("observe", {"owner": None, "known": "", "fingerprint_key": "ab" * 32})
    again = serving.ask("observe", {"owner": None, "known": first["etag"], "fingerprint_key": "cd" * 32})
    assert again == {"ok": True, "same": True, "credentials": {}}


@pytest.mark.parametrize("version", VERSIONS)
def test_it_runs_on_every_python_that_a_worker_may_have(worker: Worker, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    serving = Serving(worker, python)
    release = release_of(TestJob(name=JOB))
    assert serving.ask("activate", *activation(release))["started"] == [JOB]
    assert serving.ask("observe", {"owner": None, "known": ""})["tree"] == release.id
    assert serving.end() == NOTHING_BEGUN
