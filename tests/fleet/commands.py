"""Running a process with a deadline, and saying everything when it fails."""

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class CommandFailedError(Exception):
    """A command came back with another exit code than 0; the message carries all that it said."""

    def __init__(self, result: Result, where: str) -> None:
        self.result = result
        super().__init__(
            f"{where}: `{shlex.join(result.argv)}` exited with {result.returncode}\n"
            f"stdout: {result.stdout.strip() or '(empty)'}\nstderr: {result.stderr.strip() or '(empty)'}"
        )


class CommandTimeoutError(Exception):
    """A command outlived its deadline and was killed."""


def execute(
    argv: Sequence[str],
    *,
    input: str | bytes | None = None,  # noqa: A002  the word that subprocess uses
    timeout: float = 30.0,
    check: bool = True,
    shown_as: Sequence[str] | None = None,
    where: str = "this machine",
) -> Result:
    """Run `argv`, its output decoded as UTF-8 with undecodable bytes kept as surrogates.

    `shown_as` and `where` word the errors when `argv` carries a prefix that isn't the reader's business.
    """
    shown = tuple(shown_as or argv)
    stdin = input.encode(errors="surrogateescape") if isinstance(input, str) else input
    # A session of its own: a Ctrl-C is then ours to handle, and a deadline reaches the grandchildren too.
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            so_far = (error.output or b"").decode(errors="surrogateescape")
            message = f"{where}: `{shlex.join(shown)}` did not end within {timeout:g} s\nstdout so far: {so_far}"
            raise CommandTimeoutError(message) from None
        raise
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
    result = Result(
        argv=shown,
        returncode=process.returncode,
        stdout=stdout.decode(errors="surrogateescape"),
        stderr=stderr.decode(errors="surrogateescape"),
    )
    if check and result.returncode != 0:
        raise CommandFailedError(result, where)
    return result
