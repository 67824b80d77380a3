"""Showing managed files: what is in them, and nothing that lies elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.agent.show import without_values
from tests.agent.releases import TestJob, activation, release_of
from tests.agent.worker import Refused, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = "orders.a.0"
FILE = f"jobs/{JOB}/job.json"
RELEASE = release_of(TestJob(name=JOB))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(tmp_path_factory.mktemp("worker"))
    yield worker
    worker.close()


@pytest.fixture
def deployed(running: Worker) -> Worker:
    """As the release has it, whatever was done to its files before."""
    running.call("activate", *activation(RELEASE))
    return running


def shown(worker: Worker, *files: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = worker.call("show", {"owner": None, "files": list(files), "units": []})["shown"]
    return found


def file_of(worker: Worker, path: str = FILE) -> Path:
    return worker.root / "current" / path


def test_the_text_of_a_file_of_the_release_is_shown(deployed: Worker) -> None:
    file_of(deployed).write_text("edited\n")
    assert shown(deployed, FILE) == [{"path": FILE, "text": "edited\n"}]


@pytest.mark.parametrize("path", ["/etc/passwd", "../../owner.json", "jobs/../../../owner.json", "a//b", "", "a\0b"])
def test_a_path_that_leads_out_of_the_release_is_refused(deployed: Worker, path: str) -> None:
    with pytest.raises(Refused, match="not a path in a release"):
        shown(deployed, path)


@pytest.mark.parametrize("unit", ["ssh.service", "../ssh.service", "gitopsd-backup.service", ""])
def test_a_unit_that_is_not_a_job_s_is_refused(deployed: Worker, unit: str) -> None:
    with pytest.raises(Refused, match="not a job's unit"):
        deployed.call("show", {"owner": None, "files": [], "units": [unit]})


def test_links_are_named_and_not_followed(deployed: Worker, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    file_of(deployed).unlink()
    file_of(deployed).symlink_to(tmp_path / "secret")
    (one,) = shown(deployed, FILE)
    assert one == {"path": FILE, "problem": f"it is a link to {tmp_path / 'secret'}"}
    file_of(deployed).unlink()
    os.link(tmp_path / "secret", file_of(deployed))
    assert "text" not in shown(deployed, FILE)[0]
    file_of(deployed).unlink()
    file_of(deployed).parent.rmdir()
    file_of(deployed).parent.symlink_to(tmp_path)
    assert "text" not in shown(deployed, f"jobs/{JOB}/secret")[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"\xff\xfe", "not text"), (b"a\0b", "not text"), (b"x" * 300_000, "too long")],
)
def test_what_is_no_text_or_too_long_is_only_said_to_be(deployed: Worker, content: bytes, problem: str) -> None:
    file_of(deployed).write_bytes(content)
    (one,) = shown(deployed, FILE)
    assert problem in one["problem"]
    assert "text" not in one


def test_a_pipe_is_not_waited_for(deployed: Worker) -> None:
    file_of(deployed).unlink()
    os.mkfifo(file_of(deployed))
    assert "plain file" in shown(deployed, FILE)[0]["problem"]


def test_values_that_may_be_passwords_stay_on_the_worker() -> None:
    text = (
        "[Service]\nEnvironment=A=hunter2 \\\n  B=hunter3\nNice=5\n setcredential=x:hunter4\nEnvironmentFile=/etc/x\n"
    )
    assert without_values(text) == (
        "[Service]\nEnvironment=(not shown)\nNice=5\nsetcredential=(not shown)\nEnvironmentFile=/etc/x\n"
    )
