"""The process boundary: one line of JSON whatever comes in."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.releases import TestJob, activation, release_of

if TYPE_CHECKING:
    from tests.agent.worker import Worker

JOB = "orders.a.0"


def error(worker: Worker, verb: str, stdin: bytes) -> dict[str, Any]:
    done = worker.process(verb, stdin)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"\n") == 1
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    found: dict[str, Any] = answer["error"]
    return found


@pytest.mark.parametrize(
    "stdin",
    [
        b"",
        b"\n",
        b"not json\n",
        b"[]\n",
        b"{}\n",
        b'{"protocol": 2}\n',
        b'{"protocol": 1}\n',
        b"\xff\xfe\n",
        b"[" * 5000,
    ],
)
def test_a_request_that_makes_no_sense_is_answered(worker: Worker, stdin: bytes) -> None:
    assert error(worker, "observe", stdin)["code"] in ("protocol", "internal")


def test_an_unknown_verb_is_answered(worker: Worker) -> None:
    found = error(worker, "explode", worker.request({}))
    assert found["code"] == "unsupported"
    assert "observe" in found["message"]


@pytest.mark.parametrize(
    ("layout", "code"),
    [
        ({"root": "relative"}, "protocol"),
        ({"root": "/"}, "protocol"),
        ({"root": "/var"}, "protocol"),
        ({"root": "/var/lib/../../etc"}, "protocol"),
        ({"root": "/var/lib/x\n[program:evil]"}, "protocol"),
        ({"root": 3}, "protocol"),
        ({"run": None}, "protocol"),
        ({"service_manager": "runit"}, "unsupported"),
        ({"supervisor": None}, "protocol"),
    ],
)
def test_a_layout_that_is_not_safe_is_refused(worker: Worker, layout: dict[str, Any], code: str) -> None:
    stdin = json.dumps({"protocol": 1, "layout": {**worker.layout, **layout}, "owner": None}).encode() + b"\n"
    assert error(worker, "observe", stdin)["code"] == code


@pytest.mark.parametrize("root", ["/tmp/a #b/c", "/tmp/x ;y/c", "/tmp/end ", '/tmp/"q/c', "/tmp/line\u2028/c"])
def test_a_path_that_supervisord_would_misread_is_refused(worker: Worker, root: str) -> None:
    body, payload = activation(release_of(TestJob(name=JOB)))
    stdin = json.dumps({"protocol": 1, "layout": {**worker.layout, "root": root}, **body}).encode() + b"\n" + payload
    assert error(worker, "activate", stdin)["code"] == "unsupported"


def test_a_run_directory_too_long_for_sockets_is_refused(worker: Worker) -> None:
    body, payload = activation(release_of(TestJob(name=JOB)))
    layout = {**worker.layout, "run": "/tmp/" + "r" * 90}
    stdin = json.dumps({"protocol": 1, "layout": layout, **body}).encode() + b"\n" + payload
    assert "too long" in error(worker, "activate", stdin)["message"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": 2}, "unsupported"),
        ({"jobs": []}, "bad-payload"),
        ({"jobs": {"../evil": {}}}, "bad-payload"),
        ({"jobs": {JOB: []}}, "bad-payload"),
        ({"kind": "schedule"}, "unsupported"),
        ({"on_change": "explode"}, "unsupported"),
        ({"unit": "ssh.service"}, "bad-payload"),
        ({"unit": "gitopsd-other.b.0.service"}, "bad-payload"),
        ({"ready": {"kind": "rumour"}}, "unsupported"),
        ({"ready": "tcp"}, "unsupported"),
        ({"ready": {"kind": "tcp", "port": 0}}, "bad-payload"),
        ({"ready": {"kind": "tcp", "port": True}}, "bad-payload"),
        ({"ready": {"kind": "http", "url": "http://10.0.0.1:80/"}}, "bad-payload"),
        ({"ready": {"kind": "http", "url": "http://127.0.0.1:80@evil.example/"}}, "bad-payload"),
        ({"ready": {"kind": "http", "url": "http://127.0.0.1:99999/"}}, "bad-payload"),
        ({"ready": {"kind": "http", "url": "http://127.0.0.1/a b"}}, "bad-payload"),
        ({"user": "root; rm"}, "bad-payload"),
        ({"directories": "x"}, "bad-payload"),
        ({"digest": None}, "bad-payload"),
    ],
)
def test_a_release_that_asks_for_what_cannot_be_is_refused(worker: Worker, change: dict[str, Any], code: str) -> None:
    release = release_of(TestJob(name=JOB))
    head = json.loads(release.files["release.json"][1])
    if "format" in change or "jobs" in change:
        head.update(change)
    else:
        head["jobs"][JOB].update(change)
    body, payload = activation(release.with_file("release.json", json.dumps(head).encode()))
    assert error(worker, "activate", worker.request(body, payload))["code"] == code
    assert worker.observe()["release"] is None


def test_a_unit_of_no_job_is_refused(worker: Worker) -> None:
    release = release_of(TestJob(name=JOB)).with_file("units/ssh.service", b"[Service]\n")
    body, payload = activation(release)
    assert "ssh.service" in error(worker, "activate", worker.request(body, payload))["message"]


def test_an_error_never_shows_what_is_in_a_file(worker: Worker) -> None:
    canary = b"canary-3f1c"
    release = release_of(TestJob(name=JOB)).with_file("release.json", b'{"format": 1, "jobs": ' + canary)
    body, payload = activation(release)
    done = worker.process("activate", worker.request(body, payload))
    assert b"not JSON" in done.stdout
    assert canary not in done.stdout + done.stderr


def test_whoever_hangs_up_does_not_stop_an_activation(worker: Worker) -> None:
    body, payload = activation(release_of(TestJob(name=JOB)))
    process = subprocess.Popen(
        [worker.python, "-IB", str(worker.agent), "activate"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdin.write(worker.request(body, payload))
    process.stdin.close()
    assert process.wait(60) == 1
    assert worker.observe()["units"][f"gitopsd-{JOB}.service"]["active"] == "active"
