"""Secrets on a worker: handed over, rotated, and whole whenever the agent is killed."""

from __future__ import annotations

import hashlib
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.releases import TestJob, activation, encoded, release_of
from tests.agent.test_crash import CRASH
from tests.agent.worker import Refused

if TYPE_CHECKING:
    from tests.agent.releases import TestRelease
    from tests.agent.worker import Worker

PLAIN, USES, BOTH = "orders.plain.0", "orders.uses.0", "orders.both.0"
KEY = "5a" * 32
STRIDE = 5


def release(version: str = "1", *, uses: tuple[str, ...] = ("token",), on_change: str = "restart") -> TestRelease:
    return release_of(
        TestJob(name=PLAIN),
        TestJob(name=USES, version=version, secrets=uses, on_change=on_change),
        TestJob(name=BOTH, secrets=("other", "token")),
    )


def activate(worker: Worker, wanted: TestRelease, token: str, other: str = "other", **more: Any) -> dict[str, Any]:
    values = {"token": token.encode(), "other": other.encode()}
    return worker.activate(wanted, credentials=encoded(values), fingerprint_key=KEY, **more)


def held(worker: Worker, job: str) -> dict[str, str]:
    """What a job found when it was started, as digests."""
    found: dict[str, str] = json.loads((worker.root / "state" / job / "held").read_text())
    return found


def digests(values: dict[str, str]) -> dict[str, str]:
    return {name: hashlib.sha256(value.encode()).hexdigest() for name, value in values.items()}


def test_a_rotation_restarts_the_jobs_that_use_the_secret(worker: Worker) -> None:
    assert sorted(activate(worker, release(), "1")["started"]) == sorted([PLAIN, USES, BOTH])
    assert held(worker, USES) == digests({"token": "1"})
    assert held(worker, BOTH) == digests({"token": "1", "other": "other"})
    assert activate(worker, release(), "1")["unchanged"] == sorted([BOTH, PLAIN, USES])
    assert activate(worker, release(), "1", "another")["restarted"] == [BOTH]
    answer = activate(worker, release(), "2", "another")
    assert answer["restarted"] == [BOTH, USES]
    assert held(worker, USES) == digests({"token": "2"})
    assert worker.starts(PLAIN) == ["1"]


def test_fingerprints_are_made_only_with_a_key_of_the_controller(worker: Worker) -> None:
    answer = activate(worker, release(), "1")
    assert answer["observation"]["credentials"].keys() == {USES, BOTH}
    assert "credentials" not in worker.observe()
    first, second = (
        worker.call("observe", {"owner": None, "fingerprint_key": key})["credentials"][USES]["token"]
        for key in (KEY, "a5" * 32)
    )
    assert answer["observation"]["credentials"][USES]["token"] == first != second


def test_what_asks_for_reloads_is_restarted_and_what_ignores_changes_is_left(worker: Worker) -> None:
    for on_change, restarted in (("reload", [BOTH, USES]), ("none", [BOTH])):
        wanted = release(on_change=on_change)
        activate(worker, wanted, "1")
        assert activate(worker, wanted, "2")["restarted"] == restarted
        activate(worker, wanted, "1")


def test_a_value_that_was_not_sent_is_asked_for_before_anything_is_touched(worker: Worker) -> None:
    activate(worker, release(), "1")
    body, payload = activation(release("2"), credentials=encoded({"other": b"x"}))
    with pytest.raises(Refused, match="bad-payload: the values of these secrets were not sent: token"):
        worker.call("activate", body, payload)
    assert worker.starts(USES) == ["1"]


@pytest.mark.parametrize(
    "request_part",
    [
        {"credentials": "hunter2"},
        {"credentials": ["hunter2"]},
        {"credentials": {"token": "hunter2!", "other": ""}},
        {"credentials": {"token": 7, "other": ""}},
        {"credentials": {"token": "é", "other": ""}},
        {"fingerprint_key": "hunter2"},
        {"fingerprint_key": "aa"},
        {"fingerprint_key": 7},
    ],
)
def test_a_request_that_makes_no_sense_is_answered_without_quoting_it(
    worker: Worker, request_part: dict[str, Any]
) -> None:
    body, payload = activation(release(), **{"credentials": encoded({"token": b"1", "other": b"2"}), **request_part})
    with pytest.raises(Refused) as refused:
        worker.call("activate", body, payload)
    assert refused.value.code == "protocol"
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("name", ["../token", "a/b", "", ".", "Token", "a" * 64, 7])
def test_names_of_secrets_lead_nowhere_else(worker: Worker, name: Any) -> None:
    wanted = release_of(TestJob(name=USES, secrets=(name,)))
    body, payload = activation(wanted, credentials=encoded({str(name): b"1"}))
    with pytest.raises(Refused, match=r"bad-payload: .*secrets is not a list of names"):
        worker.call("activate", body, payload)


def test_killed_anywhere_a_rotation_is_finished_by_the_next(worker: Worker) -> None:
    activate(worker, release("0"), "0")
    plain = worker.observe()["units"][f"gitopsd-{PLAIN}.service"]["main_pid"]
    point, killed = 1, 0
    while True:
        # a rotation alone, and one that comes together with another release and another set of names
        wanted = release("0") if killed % 2 else release(str(point), uses=("other", "token"))
        values = encoded({"token": str(point).encode(), "other": b"other"})
        body, payload = activation(wanted, credentials=values, fingerprint_key=KEY)
        done = worker.process("activate", worker.request(body, payload), ("-IB", CRASH, str(point)))
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            break
        current = worker.root / "credentials/current"
        running = json.loads((worker.root / "current/release.json").read_text())["jobs"]
        for job, entry in running.items():  # whatever is current finds all that it asks for
            assert all((current / job / name).is_file() for name in entry["secrets"])
        answer = activate(worker, wanted, str(point))
        assert answer["failed"] == {}
        assert answer["observation"]["applied"].keys() == {PLAIN, USES, BOTH}
        for job in (USES, BOTH):
            assert held(worker, job)["token"] == digests({"token": str(point)})["token"], (
                "what runs has the newest value"
            )
        assert answer["observation"]["units"][f"gitopsd-{PLAIN}.service"]["main_pid"] == plain
        assert activate(worker, wanted, str(point))["unchanged"] == sorted([PLAIN, USES, BOTH])
        assert len(list((worker.root / "credentials/sets").iterdir())) <= 2
        assert not (worker.root / "credentials/staging").exists()
        killed += 1
        point += STRIDE
    assert killed >= 10
