"""The launcher of every job: `launch.py JOB`. It ships as runtime/launch.py, and units name it through `current`.

It resolves the release once, so a job never sees two releases, but for one that reloads: its files are those of
`current`, whatever that is by then. It sets GITOPSD_JOB, GITOPSD_FILES, GITOPSD_RUN and STATE_DIRECTORY; and becomes
the job. Jobs of kind `once`, and those that signal, it runs as a child: to mark them completed, and to signal, when
they ended well. A job of kind `message` becomes the runner that waits for its message, which starts each run by
`launch.py JOB run`. `launch.py JOB check` runs the command that checks the job's files instead.

A job that drains is of kind `once`, with a deadline that holds from its first start on: GITOPSD_DRAIN_UNTIL. The runner
ends by itself; any other program that hasn't ended by then is told to (SIGTERM), and counts as completed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from types import FrameType

NAME = re.compile(r"[a-z0-9_][a-z0-9._-]*")
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
FORWARDED_SIGNALS = (*ENDING_SIGNALS, signal.SIGHUP)
RUNNER = ["python3", "-IB", "../../runtime/runner"]
RUNNER_SECONDS = 15.0
"""What the runner has after the deadline of a job that drains, to end what is under way and say what is left."""
# where packages of engines put theirs, as a probe of the worker's features knows
ENGINES_PATH = "/opt/tenzir/bin:/opt/fluent-bit/bin"


class Ending(NamedTuple):
    """What is done when the job's program has ended well."""

    once: bool
    signals: bool
    drain_seconds: float | None
    """Of a job that drains: what it has from its first start on."""


def main() -> int:
    if len(sys.argv) < 2 or not NAME.fullmatch(sys.argv[1]) or sys.argv[2:] not in ([], ["run"], ["check"]):
        sys.stderr.write("usage: launch.py JOB [run|check]\n")
        return 64
    job, checks = sys.argv[1], sys.argv[2:] == ["check"]
    release = Path(__file__).resolve().parent.parent
    directory = release / "jobs" / job
    try:
        description = json.loads((directory / "job.json").read_text(encoding="utf-8"))
        command = [str(argument) for argument in description["validate" if checks else "exec"]]
        waits = description["kind"] == "message" and not sys.argv[2:]
        drain = float(description["drain"]["deadline_seconds"]) if "drain" in description and not checks else None
        ending = Ending(
            once=description["kind"] == "once" and not checks,
            signals="signals" in description and not checks and drain is None,
            drain_seconds=drain,
        )
        os.chdir(directory)
    except OSError as error:
        return _fail(job, f"cannot read {error.filename}: {error.strerror}; apply the release again")
    except (ValueError, KeyError, TypeError):
        return _fail(job, f"{directory / 'job.json'} is damaged; apply the release again")
    # absolute either way: a job that runs in its state directory finds them all the same
    files = Path(__file__).absolute().parent.parent / "jobs" / job if description.get("reloads") else directory
    state = Path(os.environ.get("STATE_DIRECTORY") or release.parent.parent / "state" / job)
    os.environ.update(GITOPSD_JOB=job, GITOPSD_FILES=str(files / "files"), STATE_DIRECTORY=str(state))
    os.environ.setdefault("GITOPSD_RUN", "/run/gitopsd")
    os.environ["PATH"] = f"{os.environ.get('PATH') or os.defpath}:{ENGINES_PATH}"
    program = _program([*RUNNER, "wait"] if waits else command)
    if program is None:
        return _fail(job, f"{command[0] if command else 'an empty command'} was not found; install it on this worker")
    try:
        state.mkdir(parents=True, exist_ok=True)
        if waits:
            _become(program, [*RUNNER, "wait"])
        if ending.drain_seconds is None and not checks:
            (state / "draining").unlink(missing_ok=True)
        command = [command[0], *(_absolute(word, files) for word in command[1:])]
        if description.get("directory") == "state" and (checks or "runner" not in description):
            program = str(directory / program)
            os.chdir(state)
        if any(ending):
            return _run(job, program, command, state, ending)
        _become(program, command)
    except OSError as error:
        return _fail(job, f"cannot start {error.filename or program}: {error.strerror}")


def _absolute(word: str, files: Path) -> str:
    return str(files / word) if word.startswith("files/") else word


def _program(command: list[str]) -> str | None:
    """A path as it stands (relative to the job's directory), `python3` as this interpreter, else what PATH has."""
    if not command or command[0] == "python3":
        return sys.executable if command else None
    return command[0] if "/" in command[0] else shutil.which(command[0])


def _become(program: str, command: list[str]) -> NoReturn:
    sys.stderr.flush()
    os.execv(program, [program, *command[1:]])  # noqa: S606 -- an argument list; no shell is wanted


def _drain_until(state: Path, seconds: float) -> float:
    """When draining ends, in seconds since the epoch: by the first start, which is remembered."""
    path = state / "draining"
    try:
        return float(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        ends_at = time.time() + seconds
        _write(path, f"{ends_at:.3f}")
        return ends_at


def _drain(job: str, command: list[str], state: Path, seconds: float) -> int:
    """Run a job that drains, and mark it completed when it has ended well, or when its time is over."""
    ends_at = _drain_until(state, seconds)
    os.environ["GITOPSD_DRAIN_UNTIL"] = f"{ends_at:.3f}"
    if command[1:] == RUNNER[1:]:
        ends_at += RUNNER_SECONDS
    child = _Child()
    if time.time() >= ends_at:
        sys.stderr.write(f"{job}: its time to drain was over before it could start; what is left for it stays\n")
        _mark_completed(job, state)
        return 0
    child.end_at(ends_at)
    code = child.run(command)
    if child.overdue and not child.told_to_end:
        sys.stderr.write(f"{job}: told to end, since its time to drain is over; what is left for it stays\n")
        code = 0
    if code == 0 and not child.told_to_end:
        _mark_completed(job, state)
    return code


def _run(job: str, program: str, command: list[str], state: Path, ending: Ending) -> int:
    """Run the job as a child and pass its exit code on; 128 + N where signal N ended it.

    A job that was told to end isn't completed, even if it then ended well: what it left undone is for the next start.
    Nor is one whose signal hasn't been taken in: it runs again.
    """
    if ending.drain_seconds is not None:
        return _drain(job, [program, *command[1:]], state, ending.drain_seconds)
    child = _Child()
    if ending.signals:
        payload = state / "payload.json"
        payload.unlink(missing_ok=True)
        os.environ["GITOPSD_PAYLOAD"] = str(payload)
    code = child.run([program, *command[1:]])
    if code == 0 and not child.told_to_end and ending.signals:
        code = child.run([sys.executable, *RUNNER[1:], "signal"])
    if code == 0 and not child.told_to_end and ending.once:
        _mark_completed(job, state)
    return code


class _Child:
    """One process after the other; the signals that this one is sent go to whichever runs."""

    def __init__(self) -> None:
        self.told_to_end = self.overdue = False
        self._process: subprocess.Popen[bytes] | None = None
        self._pending: list[int] = []
        for number in FORWARDED_SIGNALS:
            signal.signal(number, self._forward)

    def end_at(self, moment: float) -> None:
        """Tell whichever runs then to end, in seconds since the epoch, and again every second."""
        signal.signal(signal.SIGALRM, self._end)
        signal.setitimer(signal.ITIMER_REAL, max(0.001, moment - time.time()), 1.0)

    def run(self, command: list[str]) -> int:
        self._process = subprocess.Popen(command)
        for early in self._pending:
            self._process.send_signal(early)
        self._pending.clear()
        code = self._process.wait()
        self._process = None
        return code if code >= 0 else 128 - code

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self.overdue = True
        if self._process is None:
            self._pending.append(signal.SIGTERM)
        else:
            self._process.terminate()

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        self.told_to_end = self.told_to_end or number in ENDING_SIGNALS
        if self._process is None:
            self._pending.append(number)  # between two lines of this class; the child gets it once it is there
        else:
            self._process.send_signal(number)


def _mark_completed(job: str, state: Path) -> None:
    _write(state / "completed", job)
    (state / "draining").unlink(missing_ok=True)


def _write(path: Path, content: str) -> None:
    aside = path.with_name(f".{path.name}.writing")
    with aside.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fail(job: str, message: str) -> int:
    sys.stderr.write(f"{job}: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
