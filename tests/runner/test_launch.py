from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.runner.station import until

if TYPE_CHECKING:
    from tests.runner.station import Station

TELL = "import json, os, sys; print(json.dumps([dict(os.environ), os.getcwd(), sys.argv, sys.executable, os.getpid()]))"


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_a_job_runs_in_its_directory_with_its_environment(every_python: Station) -> None:
    station = every_python
    station.describe("o.tell.0", command=["python3", "-c", TELL, "argument"])
    process = station.start("o.tell.0")
    assert process.finish() == 0
    environment, directory, arguments, executable, pid = json.loads(process.said())
    assert directory == str(station.directory("o.tell.0"))
    assert arguments == ["-c", "argument"]
    assert os.path.samefile(executable, _which(station.interpreter))  # noqa: PTH121
    assert pid == process.pid  # it became the job, so the service manager knows it
    assert environment["GITOPSD_JOB"] == "o.tell.0"
    assert environment["GITOPSD_FILES"] == directory + "/files"
    assert environment["GITOPSD_RUN"] == str(station.run)
    assert environment["STATE_DIRECTORY"] == str(station.state("o.tell.0"))
    assert station.state("o.tell.0").is_dir()


def _which(interpreter: str) -> str:
    found = shutil.which(interpreter)
    assert found is not None
    return found


def test_what_the_service_manager_set_stays(station: Station) -> None:
    station.describe("o.tell.0", command=["python3", "-c", TELL])
    process = station.start("o.tell.0", STATE_DIRECTORY=str(station.root / "elsewhere"))
    assert process.finish() == 0
    assert json.loads(process.said())[0]["STATE_DIRECTORY"] == str(station.root / "elsewhere")


def test_the_release_is_resolved_once(station: Station) -> None:
    """`current` may be moved on while the job starts: it must not see two releases."""
    current = station.root / "current"
    current.symlink_to("releases/r1")
    station.describe("o.tell.0", command=["python3", "-c", TELL])
    station.release.rename(station.root / "releases" / "real")
    (station.root / "releases" / "r1").symlink_to("real")
    process = station.start("o.tell.0")
    assert process.finish() == 0
    assert json.loads(process.said())[1] == str(station.root / "releases" / "real" / "jobs" / "o.tell.0")


def test_a_program_of_the_job_is_found_in_its_files(station: Station) -> None:
    station.describe("o.own.0", command=["files/own", "word"])
    script = station.directory("o.own.0") / "files" / "own"
    script.write_text('#!/bin/sh\necho "own $1"\n', encoding="utf-8")
    script.chmod(0o755)
    process = station.start("o.own.0")
    assert process.finish() == 0
    assert process.said() == "own word\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["no-such-program"], "no-such-program was not found; install it on this worker"),
        (["files/none"], "cannot start files/none: No such file or directory"),
        ([], "an empty command was not found"),
    ],
)
def test_a_program_that_is_not_there_is_named(station: Station, command: list[str], said: str) -> None:
    station.describe("o.own.0", command=command)
    process = station.start("o.own.0")
    assert process.finish() == 1
    assert said in process.said()
    assert process.said().startswith("o.own.0: ")
    assert process.said().count("\n") == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"exec": ["true"]}', '{"exec": "true"}'])
def test_a_damaged_description_is_named(station: Station, content: str) -> None:
    station.describe("o.own.0")
    (station.directory("o.own.0") / "job.json").write_text(content, encoding="utf-8")
    process = station.start("o.own.0")
    assert process.finish() == 1
    assert "job.json is damaged; apply the release again" in process.said()


@pytest.mark.parametrize("name", ["../o", "o/../o", "", ".", "..", "O", "-o"])
def test_a_name_that_is_no_job_is_refused(station: Station, name: str) -> None:
    launcher = station.release / "runtime" / "launch.py"
    ended = subprocess.run([station.interpreter, "-IB", launcher, name], capture_output=True, check=False)
    assert ended.returncode == 64
    assert ended.stderr == b"usage: launch.py JOB [run|check]\n"


def test_an_unknown_job_is_named(station: Station) -> None:
    process = station.start("o.none.0")
    assert process.finish() == 1
    assert "jobs/o.none.0/job.json: No such file or directory; apply the release again" in process.said()


class TestOnce:
    def test_it_is_marked_completed_when_it_ends_well(self, every_python: Station) -> None:
        station = every_python
        station.describe("o.once.0", kind="once", command=shell("exit 0"))
        assert station.start("o.once.0").finish() == 0
        assert (station.state("o.once.0") / "completed").read_text() == "o.once.0"
        assert [path.name for path in station.state("o.once.0").iterdir()] == ["completed"]

    def test_its_exit_code_is_passed_on(self, station: Station) -> None:
        station.describe("o.once.0", kind="once", command=shell("exit 3"))
        assert station.start("o.once.0").finish() == 3
        assert not (station.state("o.once.0") / "completed").exists()

    def test_an_end_by_a_signal_is_passed_on_as_shells_do(self, station: Station) -> None:
        station.describe("o.once.0", kind="once", command=shell("kill -9 $$"))
        assert station.start("o.once.0").finish() == 128 + signal.SIGKILL

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_one_that_was_told_to_end_is_not_completed_even_if_it_ends_well(
        self, station: Station, number: signal.Signals
    ) -> None:
        script = f"trap 'echo told; exit 0' {number.name[3:]}; echo ready; while :; do sleep 0.05; done"
        station.describe("o.once.0", kind="once", command=shell(script))
        process = station.start("o.once.0")
        until(lambda: "ready" in process.said(), process)
        process.send_signal(number)
        assert process.finish() == 0
        assert "told" in process.said()
        assert not (station.state("o.once.0") / "completed").exists()

    def test_one_that_was_told_to_reload_may_still_complete(self, station: Station) -> None:
        script = "trap 'echo told; exit 0' HUP; echo ready; while :; do sleep 0.05; done"
        station.describe("o.once.0", kind="once", command=shell(script))
        process = station.start("o.once.0")
        until(lambda: "ready" in process.said(), process)
        process.send_signal(signal.SIGHUP)
        assert process.finish() == 0
        assert (station.state("o.once.0") / "completed").exists()


def test_a_job_that_runs_in_its_state_directory_is_given_its_files_by_their_whole_path(station: Station) -> None:
    command = ["python3", "-c", TELL, "files/engine.conf"]
    station.describe("o.tell.0", command=command, directory="state")
    process = station.start("o.tell.0")
    assert process.finish() == 0
    _, directory, arguments, *_ = json.loads(process.said())
    assert directory == str(station.state("o.tell.0"))
    assert arguments == ["-c", str(station.directory("o.tell.0") / "files/engine.conf")]


def test_a_job_that_reloads_finds_its_files_in_whatever_release_is_current(station: Station) -> None:
    (station.root / "current").symlink_to("releases/r1")
    station.describe("o.tell.0", command=["python3", "-c", TELL, "files/engine.conf"], reloads=True)
    launcher = [station.interpreter, "-IB", str(station.root / "current/runtime/launch.py"), "o.tell.0"]
    done = subprocess.run(launcher, capture_output=True, check=True, env={**os.environ, "STATE_DIRECTORY": "/tmp"})
    environment, _, arguments, *_ = json.loads(done.stdout)
    assert environment["GITOPSD_FILES"] == str(station.root / "current/jobs/o.tell.0/files")
    assert arguments[1] == str(station.root / "current/jobs/o.tell.0/files/engine.conf")


def test_what_checks_the_files_runs_instead_of_the_job_where_its_state_would_be(station: Station) -> None:
    validate = ["sh", "-c", 'pwd; cat "$1"; exit 3', "sh", "files/engine.conf"]
    station.describe("o.tell.0", kind="once", runner={}, directory="state", validate=validate)
    (station.directory("o.tell.0") / "files/engine.conf").write_text("no good\n")
    scratch = station.root / "scratch"
    launcher = [station.interpreter, "-IB", str(station.release / "runtime/launch.py"), "o.tell.0", "check"]
    done = subprocess.run(
        launcher, capture_output=True, text=True, check=False, env={**os.environ, "STATE_DIRECTORY": str(scratch)}
    )
    assert (done.returncode, done.stdout) == (3, f"{scratch}\nno good\n")
    assert not (scratch / "completed").exists()
