"""Plans a pull request in a process of its own, which is bounded, and knows no secret.

What a pull request holds is hostile. Nothing of it is run; but its size and its form are its author's choice, so that
process has a deadline, a limit of memory and of what it may say, and an environment without tokens. It never reaches a
remote or a worker: it has the repository as it is here.
"""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time

import msgspec

from gitopsd.daemon.pull_requests.child import CRASHED, OUT_OF_MEMORY
from gitopsd.daemon.pull_requests.exchange import Answer, Question

_CHILD = [sys.executable, "-P", "-m", "gitopsd.daemon.pull_requests.child"]
"""`-P`: no module is taken from the current folder, which in CI is the pull request's own."""

_KEPT_VARIABLES = frozenset(
    {"HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "TMPDIR", "TZ", "XDG_CACHE_HOME",
     "XDG_CONFIG_HOME"}
)  # fmt: skip
_MOST_BYTES = 64 << 20
"""Of an answer: some dozens of environments with comments as long as GitLab takes them."""

_PIECE = 1 << 16


def ask_bounded(question: Question) -> Answer:
    """The answer, or one with a `problem` where the process took too much of something or crashed."""
    with tempfile.TemporaryFile() as asked:
        asked.write(msgspec.json.encode(question))
        asked.seek(0)
        process = subprocess.Popen(
            _CHILD,
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES},
            start_new_session=True,
        )
    said: bytes | None = None
    try:
        said = _read(process, time.monotonic() + question.limits.deadline)
    finally:
        if said is None:
            os.killpg(process.pid, signal.SIGKILL)  # with whatever it started itself; it isn't waited for yet
        code = process.wait()
        if process.stdout:
            process.stdout.close()
    problem = _problem(question, said, code)
    if problem or said is None:
        return Answer(problem=problem)
    try:
        return msgspec.json.decode(said, type=Answer)
    except msgspec.DecodeError:
        return Answer(problem="planning crashed")


def _read(process: subprocess.Popen[bytes], end: float) -> bytes | None:
    """All that it says; None where the time is over, or it says too much."""
    if process.stdout is None:
        raise ValueError("its output isn't a pipe")
    pieces: list[bytes] = []
    size = 0
    while select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(process.stdout.fileno(), _PIECE)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            return None
    return None


def _problem(question: Question, said: bytes | None, code: int) -> str:
    limits = question.limits
    rules = (
        (said is None, f"planning took more than {limits.deadline:g} s, or said too much"),
        (code == OUT_OF_MEMORY, f"planning took more than {limits.memory >> 20} MiB of memory"),
        (code == CRASHED, "planning crashed: this is a defect of gitopsd, or of this machine"),
        (code < 0, f"planning was ended by signal {-code}"),
        (code > 0, f"planning ended with exit code {code}"),
    )
    return next((problem for applies, problem in rules if applies), "")
