"""What comes back from a worker is checked before it is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitopsd.fleet.errors import WorkerRefused
from gitopsd.fleet.protocol import Activation, decode
from gitopsd.fleet.wire import decode_answer
from gitopsd.model.facts import Observation

UNIT = {"active": "active", "sub": "running", "result": "success", "main_pid": 1, "restarts": 0, "enabled": True}
OBSERVATION: dict[str, Any] = {
    "owner": {"root_commit": "a" * 40, "environment": "production"},
    "release": "b" * 40,
    "tree": "c" * 40,
    "files": [["release.json", "100644", "d" * 40]],
    "units": {"gitopsd-orders.a.0.service": {**UNIT, "since": 1.5, "blob": None}},
    "applied": {"orders.a.0": "e" * 40},
    "completed": [],
    "releases": ["b" * 40],
    "interrupted": False,
}


def refused(stdout: bytes, stderr: bytes = b"", status: int | None = 0) -> WorkerRefused:
    with pytest.raises(WorkerRefused) as caught:
        decode_answer("edge-1", "observe", status, stdout, stderr)
    assert "edge-1" in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("stdout", "stderr", "status"),
    [
        (b"", b"", 0),
        (b"", b"Killed", None),
        (b"", b"Traceback (most recent call last):", 1),
        (b"Welcome to edge-1!\n", b"", 0),
        (b'motd\n{"ok": true}\n', b"", 0),
        (b'{"ok": true', b"", 0),
        (b'{"ok": true, "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", b"", 0),
        (b'{"ok": true, "x": "\xff"}', b"", 0),
        (b"[1, 2]", b"", 0),
        (b"null", b"", 0),
        (b"{}", b"", 0),
        (b'{"ok": "yes"}', b"", 0),
        (b'{"ok": false}', b"", 0),
        (b'{"ok": false, "error": "no"}', b"", 0),
        (b'{"ok": false, "error": {"code": 1, "message": 2}}', b"", 0),
        (b"\xff\xfe\x00", b"\x1b[31m", 1),
        (b"x" * 10_000, b"", 0),
    ],
)
def test_an_answer_that_makes_no_sense_is_named_with_an_excerpt(
    stdout: bytes, stderr: bytes, status: int | None
) -> None:
    error = refused(stdout, stderr, status)
    assert error.code == "protocol"
    assert error.message.isprintable()
    assert len(error.message) < 700


def test_what_the_agent_refuses_keeps_its_code_and_details() -> None:
    answer = {"ok": False, "error": {"code": "bad-payload", "message": "2 files", "missing": ["a" * 40]}}
    error = refused(json.dumps(answer).encode())
    assert (error.code, error.details) == ("bad-payload", {"missing": ["a" * 40]})


def test_an_observation_is_typed_and_fields_of_a_newer_agent_are_ignored() -> None:
    state = decode("edge-1", "observe", {**OBSERVATION, "weather": "fine"}, Observation)
    assert state.owner is not None
    assert state.owner.environment == "production"
    assert state.files[0].path == "release.json"
    assert state.units["gitopsd-orders.a.0.service"].main_pid == 1
    assert state.busy is False


@pytest.mark.parametrize(
    "change",
    [
        {"release": 7},
        {"units": []},
        {"units": {"u": {"active": "active"}}},
        {"files": [["only a path"]]},
        {"applied": {"a": 1}},
        {"interrupted": "no"},
        {"rolled_back": {"release": "b" * 40, "to": None, "at": 1e308, "reason": ""}},
        {"units": {"gitopsd-orders.a.0.service": {**UNIT, "since": -1e12}}},
        {"owner": "me"},
    ],
)
def test_an_observation_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WorkerRefused, match="edge-1: the answer to `observe` does not fit") as caught:
        decode("edge-1", "observe", {**OBSERVATION, **change}, Observation)
    assert caught.value.code == "protocol"


def test_an_activation_holds_its_observation() -> None:
    lists: dict[str, Any] = {key: [] for key in ("started", "restarted", "reloaded", "stopped", "unchanged")}
    answer = {
        **lists,
        "failed": {"orders.a.0": {"message": "it ended", "log": ["last words"]}},
        "daemon_reload": False,
        "seconds": {"stage": 0.1},
        "observation": OBSERVATION,
    }
    result = decode("edge-1", "activate", answer, Activation)
    assert result.failed["orders.a.0"].log == ("last words",)
    assert result.observation.tree == "c" * 40
