from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.settings import Settings

if TYPE_CHECKING:
    from gitopsd.runner.flow import Spawn
    from gitopsd.runner.report import Reporter


_SECTIONS = {"runner": "runner", "wait": "on", "signal": "signals"}


class Job(NamedTuple):
    """What job.json says about a job that this runtime runs, and where its things lie on this worker."""

    name: str
    role: str
    settings: Settings
    inputs: dict[str, list[Settings]]
    outputs: dict[str, list[Settings]]
    state: Path
    """The job's own directory: survives releases."""
    sockets: Path
    """Where the sockets of `worker` channels lie."""
    drain_until: float | None = None
    """Of a job that drains: when it ends at the latest, in seconds since the epoch."""
    files: Path = Path("files")
    """What its blueprint ships; of a job that reloads by a path that leads to another release later on."""
    runs_in_state: bool = False
    """Whether its own program runs in `state`, not in its directory of the release."""
    is_trial: bool = False
    """Whether it is tried out where nobody waits for it and nothing is delivered again: then it holds back by no clock,
    only until its input ends.
    """

    @property
    def is_told_of(self) -> bool:
        """Whether this process is the one whose traffic is the job's: not a run that another one waits for, nor the
        one that signals.
        """
        return self.role != "signal" and "GITOPSD_MESSAGE" not in os.environ


class Context(NamedTuple):
    """What an endpoint needs of the job around it."""

    job: Job
    spawn: Spawn
    reporter: Reporter


def load(directory: Path, part: str = "runner") -> Job:
    """Read `directory`/job.json and the environment. Raises JobError.

    `part` is what of the job this process does: its `runner` role, to `wait` for the message that starts its runs, or
    to `signal` that one has ended well.
    """
    path = directory / "job.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise failed("read", path.absolute(), error) from error
    except ValueError as error:
        raise JobError(f"{path.absolute()} is damaged ({error}); apply the release again") from error
    document = Settings(content, "job.json")
    if document.integer("format") != 1:
        raise JobError(f"{path.absolute()} has a format that this runtime doesn't know; apply the release again")
    runner = document.section(_SECTIONS[part])
    return Job(
        name=document.text("job"),
        role=runner.text("role") if part == "runner" else part,
        settings=runner.section("with") if part == "runner" else runner,
        inputs=_endpoints(runner, "inputs"),
        outputs=_endpoints(runner, "outputs"),
        state=Path(_environment("STATE_DIRECTORY")),
        sockets=Path(os.environ.get("GITOPSD_RUN", "/run/gitopsd")) / "s",
        drain_until=_drain_until() if "drain" in document.names() else None,
        files=Path(os.environ.get("GITOPSD_FILES", path.absolute().parent / "files")),
        runs_in_state=document.text("directory", "release") == "state",
        is_trial="GITOPSD_TRIAL" in os.environ,
    )


def _endpoints(part: Settings, side: str) -> dict[str, list[Settings]]:
    """By port; what a message is joined to has no ports, and is there as `default`."""
    if part.has_list(side):
        return {"default": part.sections(side)}
    ports = part.section(side)
    return {port: ports.sections(port) for port in ports.names()}


def _drain_until() -> float:
    value = _environment("GITOPSD_DRAIN_UNTIL")
    try:
        return float(value)
    except ValueError:
        raise JobError(f"GITOPSD_DRAIN_UNTIL must be seconds since the epoch, not {value!r}") from None


def _environment(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise JobError(f"{name} isn't set; start the job by its launcher: launch.py JOB")
    return value
