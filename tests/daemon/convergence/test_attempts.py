"""What is remembered of attempts: across commands and processes, and without it nothing but patience is lost."""

import multiprocessing
import os
import sqlite3
import stat
from collections.abc import Generator
from pathlib import Path

import pytest
from msgspec.structs import replace

from gitopsd.daemon.convergence.attempts import Attempts, Remembered, after_attempt, instant_now, remembering
from gitopsd.daemon.convergence.result import State, WorkerResult
from gitopsd.daemon.memory.state_file import state_folder
from gitopsd.model.release import DesiredRelease, ReleaseRecord
from gitopsd.planner.backoff import FIRST_SECONDS, Version
from gitopsd.planner.drift import Drift
from gitopsd.planner.lost import Instant

ONE = Version(1, "a" * 40)
DESIRED = {
    name: DesiredRelease(
        worker=name, id="a" * 40, record=ReleaseRecord(format=1, worker=name, environment="production"), files={}
    )
    for name in ("w1", "w2")
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "controller" / "attempts.sqlite"


def open_at(path: Path, environment: str = "production") -> Attempts:
    return Attempts("file:///srv/fleet", environment, path=path, draw=lambda: 1.0)


def result(state: State = "failed", stage: str = "", error: str = "no space left", worker: str = "w1") -> WorkerResult:
    return WorkerResult(worker=worker, state=state, stage=stage, error=error)


def at(seconds: float) -> Instant:
    return Instant(wall=1000.0 + seconds, steady=seconds, boot="one")


def attempt(attempts: Attempts, tried: WorkerResult, seconds: float = 0.0) -> Remembered:
    attempts.record({tried.worker: (tried, ONE, at(seconds))})
    return attempts.known()[tried.worker]


def test_the_next_command_knows_what_was_tried_and_waits_for_longer_each_time(path: Path) -> None:
    for count in (1, 2, 3):
        failed = attempt(open_at(path), result(error=f"error {count}"), seconds=count * 100.0).backoff.failed
        assert failed is not None
        assert (failed.attempts, failed.error, failed.wait) == (
            count,
            f"error {count}",
            FIRST_SECONDS * 2 ** (count - 1),
        )
        assert (failed.version, failed.at) == (ONE, 1000.0 + count * 100)
    assert attempt(open_at(path), result("converged"), 400) == Remembered(seen=1400.0)


def test_environments_and_repositories_are_apart(path: Path) -> None:
    attempt(open_at(path), result())
    assert open_at(path, "staging").known() == {}
    assert Attempts("file:///srv/other", "production", path=path).known() == {}
    assert set(open_at(path).known()) == {"w1"}


@pytest.mark.parametrize(
    ("state", "stage", "seen", "away"),
    [
        ("in-sync", "", True, False),
        ("failed", "", True, False),
        ("rolled-back", "", True, False),
        ("drift", "", True, False),
        ("failed", "host-key", False, False),
        ("failed", "auth", False, False),
        ("failed", "unexpected", False, True),
        ("unreachable", "read", False, False),
        ("unreachable", "resolve", False, False),
        ("unreachable", "jump", False, False),
        ("unreachable", "refused", False, False),
        ("unreachable", "connect", False, True),
        ("unreachable", "banner", False, True),
    ],
)
def test_only_silence_goes_on_as_absence_and_only_an_answer_is_being_seen(
    state: State, stage: str, *, seen: bool, away: bool
) -> None:
    before = after_attempt(Remembered(seen=5.0), result("unreachable", "connect"), ONE, now=at(0), draw=lambda: 0.0)
    assert before.absence is not None
    after = after_attempt(before, result(state, stage), ONE, now=at(10), draw=lambda: 0.0)
    assert after.seen == (1010.0 if seen else 5.0)
    assert (after.absence is not None) == away


def test_an_interrupted_run_remembers_those_that_ended(path: Path) -> None:
    def results() -> Generator[WorkerResult, None, str]:
        yield result("converged")
        yield result("unreachable", "connect", worker="w2")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(remembering(open_at(path), 1, DESIRED, results()))
    known = open_at(path).known()
    assert known["w1"].seen
    assert known["w2"].absence is not None
    assert known["w2"].backoff.unreachable is not None
    assert known["w2"].backoff.unreachable.version == ONE


def test_what_the_rollout_came_to_is_handed_on_and_a_reader_that_goes_away_ends_it(path: Path) -> None:
    ended: list[str] = []

    def results() -> Generator[WorkerResult, None, str]:
        try:
            yield result("converged")
            yield result("converged", worker="w2")
        finally:
            ended.append("over")
        return "the rollout"

    def whole() -> Generator[WorkerResult, None, None]:
        ended.append((yield from remembering(open_at(path), 1, DESIRED, results())))

    assert [one.worker for one in whole()] == ["w1", "w2"]
    assert ended == ["over", "the rollout"]
    half = remembering(open_at(path, "other"), 1, DESIRED, results())
    next(half)
    half.close()
    assert ended == ["over", "the rollout", "over"]
    assert set(open_at(path, "other").known()) == {"w1"}


def test_a_worker_that_is_gone_is_forgotten(path: Path) -> None:
    attempt(open_at(path), result())
    attempt(open_at(path), result(worker="w2"))
    open_at(path).keep_only({"w2"})
    assert set(open_at(path).known()) == {"w2"}


@pytest.mark.parametrize("damage", ["garbage", "empty", "another table", "another form", "removed"])
def test_a_damaged_file_is_no_memory_and_works_again(path: Path, damage: str) -> None:
    attempt(open_at(path), result())
    match damage:
        case "garbage":
            path.write_bytes(b"no database" * 1000)
        case "empty":
            path.write_bytes(b"")
        case "another table" | "another form":
            connection = sqlite3.connect(path)
            if damage == "another table":
                connection.execute("DROP TABLE attempts")
                connection.execute("CREATE TABLE attempts (x TEXT)")
            else:
                connection.execute("UPDATE attempts SET remembered = '{\"backoff\": 7}'")
            connection.commit()
            connection.close()
        case _:
            path.unlink()
    attempts = open_at(path)
    assert attempts.known() == {}
    failed = attempt(attempts, result()).backoff.failed
    assert failed is not None
    assert failed.attempts == 1
    assert not attempts.problem


def test_where_nothing_can_be_kept_it_is_said_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    attempts = open_at(tmp_path / "file" / "attempts.sqlite")
    attempts.record({"w1": (result(), ONE, at(0))})
    assert attempts.known() == {}
    assert "can't be remembered" in attempts.problem


def test_the_file_is_its_users_alone(path: Path) -> None:
    attempt(open_at(path), result())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_is_kept_with_the_users_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "gitopsd/controller"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local/state/gitopsd/controller"


def _fail_often(path: Path, times: int) -> None:
    for _ in range(times):
        open_at(path).record({"w1": (result(), ONE, at(0))})


def test_several_processes_count_together(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_fail_often, args=(path, 10)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    failed = open_at(path).known()["w1"].backoff.failed
    assert failed is not None
    assert failed.attempts == 30


def test_the_clocks_of_one_boot_can_be_compared_between_processes() -> None:
    ours = instant_now()
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        theirs = instant_now()
        os.write(writer, f"{theirs.steady} {theirs.boot}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    steady, boot = os.read(reader, 200).decode().split()
    assert boot == ours.boot
    assert ours.steady <= float(steady) <= instant_now().steady


def test_what_a_worker_was_left_with_is_known_until_it_is_well(path: Path) -> None:
    found = (
        Drift(kind="not-running", subject="a.b.0", detail="it is inactive"),
        Drift(kind="interrupted", subject="", detail="cut short"),
    )
    failed = WorkerResult(worker="w1", state="failed", drift=found, error="no")
    assert open_at(path).drift() is None, "nobody has looked"
    attempt(open_at(path), failed)
    assert open_at(path).drift() == {"w1": ("a.b.0: it is inactive", "cut short")}
    attempt(open_at(path), result("unreachable", stage="connect"))
    assert open_at(path).drift() == {"w1": ("a.b.0: it is inactive", "cut short")}, "it was not seen since"
    attempt(open_at(path), result("converged"))
    assert open_at(path).drift() == {}


def test_a_look_tells_what_differs_and_changes_nothing_about_attempts(path: Path) -> None:
    before = attempt(open_at(path), result("unreachable", stage="connect"))
    drift = Drift(kind="changed-file", subject="jobs/a", detail="the file was edited on the worker")
    open_at(path).record_drift({"w1": WorkerResult(worker="w1", state="drift", drift=(drift,) * 2)})
    assert open_at(path).known()["w1"] == replace(before, drift=("jobs/a: the file was edited on the worker",))
    open_at(path).record_drift({"w1": result("in-sync"), "w2": result("unreachable", stage="connect")})
    assert open_at(path).known() == {"w1": before}
