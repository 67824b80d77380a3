"""What a job's own program refuses isn't activated; on a built-in worker, so in no sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.agent.validate import masked
from tests.agent.releases import TestJob, encoded, release_of
from tests.agent.worker import Refused

if TYPE_CHECKING:
    from tests.agent.releases import TestRelease
    from tests.agent.worker import Worker

A, B = "orders.a.0", "orders.b.0"
GOOD: dict[str, Any] = {"says": "fine", "refuses": 0}


def release(version: str, **settings: Any) -> TestRelease:
    checked = TestJob(name=A, version=version, validates=True, settings={"validate": ["engine", "-N1"], **settings})
    return release_of(checked, TestJob(name=B, version=version))


def test_what_is_refused_touches_nothing_and_says_so_in_the_programs_words(worker: Worker) -> None:
    worker.activate(release("1", **GOOD))
    before = worker.observe()
    with pytest.raises(Refused) as refused:
        worker.activate(release("2", says="line 3: no such input", refuses=1))
    assert (refused.value.code, refused.value.details["jobs"]) == ("invalid", [A])
    assert f"{A}: `engine -N1` refuses its files:\n  line 3: no such input\n" in refused.value.message
    after = worker.observe()
    assert (after["release"], after["units"]) == (before["release"], before["units"])
    assert (worker.starts(A), worker.starts(B)) == (["1"], ["1"])


def test_a_first_release_is_checked_as_well_and_the_next_one_gets_through(worker: Worker) -> None:
    with pytest.raises(Refused, match="refuses its files"):
        worker.activate(release("1", says="no", refuses=1))
    assert worker.activate(release("2", **GOOD))["started"] == [A, B]


def test_only_a_job_that_would_run_with_other_files_is_checked(worker: Worker) -> None:
    """Its checker would refuse by now, as one does that looks at what is around it."""
    release_with_witness = release("1", says="{state}", refuses=0, writes_to=[str(worker.directory / "checked")])
    worker.activate(release_with_witness)
    (worker.directory / "checked").unlink()
    assert worker.activate(release_with_witness)["unchanged"] == [A, B]
    assert not (worker.directory / "checked").exists()


def test_a_checker_gets_a_state_directory_that_is_not_the_jobs(worker: Worker) -> None:
    with pytest.raises(Refused) as refused:
        worker.activate(release("1", says="state={state}", refuses=1))
    assert "state=/" in refused.value.message
    assert str(worker.root) not in refused.value.message


def test_a_checker_that_takes_too_long_is_ended_and_refuses_so(worker: Worker) -> None:
    with pytest.raises(Refused, match="gave no answer in time") as refused:
        worker.activate(release("1", says="", refuses=0, check_seconds=60), deadline=2)
    assert refused.value.code == "invalid"


def test_much_that_is_said_is_cut(worker: Worker) -> None:
    says = "\n".join(f"line {number} {'x' * 1000}" for number in range(1000))
    with pytest.raises(Refused) as refused:
        worker.activate(release("1", says=says, refuses=1))
    assert len(refused.value.message) < 5000
    assert "line 0 " in refused.value.message
    assert "line 999 " in refused.value.message


def test_a_job_that_would_be_started_in_another_way_is_restarted_rather_than_reloaded(worker: Worker) -> None:
    def reloading(version: str, process: str) -> TestRelease:
        settings = {"reloads": True}
        return release_of(TestJob(name=A, version=version, on_change="reload", process=process, settings=settings))

    worker.activate(reloading("1", "as before"))
    assert worker.activate(reloading("2", "as before"))["reloaded"] == [A]
    assert worker.activate(reloading("3", "with another argument"))["restarted"] == [A]


def test_secrets_are_masked_in_what_is_said(worker: Worker) -> None:
    checked = TestJob(
        name=A,
        validates=True,
        secrets=("token",),
        settings={"validate": ["engine"], "says": "bad: hunter22", "refuses": 1},
    )
    with pytest.raises(Refused) as refused:
        worker.activate(release_of(checked), credentials=encoded({"token": b"hunter22"}))
    assert "bad: [secret]" in refused.value.message
    assert "hunter22" not in refused.value.message
    assert list((worker.root / "credentials/sets").iterdir()) == []


def test_each_line_of_a_secret_is_masked_and_what_would_move_a_terminal_is_left_out() -> None:
    said = masked("a -----BEGIN KEY-----\nb MIIE\x1b[2Jfoo\nc x", {"key": b"-----BEGIN KEY-----\nMIIE\nx\n"})
    assert said == "a [secret]\nb [secret][2Jfoo\nc x"
