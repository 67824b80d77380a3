"""Have jobs' own programs check the files of a staged release, before anything of what runs is touched."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from .accounts import JOB_USER, find_account, make_job_user
from .commands import run
from .deadline import Deadline
from .errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .layout import Layout
    from .release import Job, Release

MOST_SECONDS = 30.0  # a program that checks its configuration does so in one or two
_MOST_LINES = 12
_LONGEST_LINE = 300
_SHORTEST_SECRET = 4  # a shorter one would black out half of what is said


class Checked(NamedTuple):
    """passed: None where there was no answer in time."""

    passed: bool | None
    output: str


def validate(
    layout: Layout,
    release: Release,
    jobs: Sequence[Job],
    *,
    credentials: str | None,
    values: Mapping[str, bytes],
    deadline: Deadline,
) -> None:
    """Raise AgentError `invalid` with what the checkers say, secrets masked; return when all of them agree.

    credentials: the set of secrets that is staged, None where the current one stays. values: those to mask.
    """
    patience = Deadline.after(min(MOST_SECONDS, deadline.remaining()))
    if layout.service_manager == "systemd":
        from .validate_unit import check_in_units  # noqa: PLC0415 -- only where there is systemd

        _require_users(jobs)
        answers = check_in_units(layout, release, jobs, credentials, patience)
    else:
        answers = {job.name: _check_here(layout, release, job, patience) for job in jobs}
    refused = {job: answer for job, answer in answers.items() if not answer.passed}
    if refused:
        said = [_told(layout, release, job, answer, values) for job, answer in refused.items()]
        raise AgentError("invalid", "\n".join([*said, "nothing that runs was touched"]), jobs=sorted(refused))


def launch_command(layout: Layout, release: Release, job: Job) -> list[str]:
    """The launcher of the staged release, told to check."""
    return ["-IB", str(layout.releases / release.id / "runtime/launch.py"), job.name, "check"]


def _require_users(jobs: Sequence[Job]) -> None:
    make_job_user()
    for job in jobs:
        if job.user != JOB_USER and find_account(job.user) is None:
            raise AgentError("invalid", f"{job.name}: its user {job.user} does not exist on this worker: make it there")


def _check_here(layout: Layout, release: Release, job: Job, patience: Deadline) -> Checked:
    """As supervisor's jobs run: as ourselves, in no sandbox."""
    with tempfile.TemporaryDirectory(prefix="gitopsd-check-") as scratch:
        environment = {**os.environ, "STATE_DIRECTORY": scratch, "GITOPSD_RUN": scratch}
        python = layout.supervisor_python or "python3"
        try:
            done = run([python, *launch_command(layout, release, job)], patience.remaining(), environment)
        except TimeoutError:
            return Checked(None, "")
        except OSError as error:
            return Checked(False, f"{error.filename}: {error.strerror}")
    return Checked(done.code == 0, f"{done.stdout}\n{done.stderr}")


def _told(layout: Layout, release: Release, job: str, answer: Checked, values: Mapping[str, bytes]) -> str:
    directory = layout.releases / release.id / "jobs" / job
    command = _command(directory / "job.json")
    if answer.passed is None:
        return f"{job}: `{command}` gave no answer in time about its files"
    output = masked(answer.output, values).replace(f"{directory}/", "")  # files/NAME, as the blueprint has it
    lines = [line[:_LONGEST_LINE] for line in output.splitlines() if line.strip()]
    if len(lines) > _MOST_LINES:
        half = _MOST_LINES // 2
        lines = [*lines[:half], "…", *lines[-half:]]
    said = "\n".join(f"  {line}" for line in lines) or "  (and says nothing)"
    return f"{job}: `{command}` refuses its files:\n{said}"


def masked(text: str, values: Mapping[str, bytes]) -> str:
    """The text without the values of secrets, nor any line of one."""
    parts = {part for value in values.values() for part in value.decode("utf-8", "replace").splitlines()}
    for part in sorted((part for part in parts if len(part.strip()) >= _SHORTEST_SECRET), key=len, reverse=True):
        text = text.replace(part.strip(), "[secret]")
    return "".join(character for character in text if character.isprintable() or character in "\n\t")


def _command(document: Path) -> str:
    return " ".join(json.loads(document.read_bytes()).get("validate", []))
