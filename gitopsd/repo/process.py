"""Running a command to its end or to its deadline, with all that it started."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_ENDING_SECONDS = 2.0  # for what was told to end: git removes its locks then, and leaves them where it is killed
_KILLED_DEADLINE = 5.0  # seconds for what was killed to be gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a command left; `exit_code` is None where it was killed at its deadline."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes


def run_process(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    stdin: bytes = b"",
    cwd: Path | None = None,
    deadline: float,
) -> Finished:
    """`environment` is all that it has; `deadline` is in seconds. Raises FileNotFoundError where it isn't installed."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment,
        start_new_session=True,  # so that the deadline also reaches ssh and the remote helpers
    )
    try:
        stdout, stderr = process.communicate(stdin, timeout=deadline)
    except subprocess.TimeoutExpired:
        _end_group(process)
        return Finished(exit_code=None, stdout=b"", stderr=b"")
    except BaseException:  # Ctrl-C must not leave a push running behind our back
        _end_group(process)
        raise
    return Finished(exit_code=process.returncode, stdout=stdout, stderr=stderr)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    _signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_ENDING_SECONDS)
    _signal_group(process, signal.SIGKILL)  # whatever is left of it
    try:
        process.communicate(timeout=_KILLED_DEADLINE)
    except subprocess.TimeoutExpired:
        # a process that left the group (a shared ssh connection, say) may hold the pipes open; we are done with them
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
