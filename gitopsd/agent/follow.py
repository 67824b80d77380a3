"""A job's log as it grows: one line of JSON for each line, until whoever asked goes away."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEARTBEAT_SECONDS = 10.0
_CHUNK = 64 * 1024
_LONGEST_LINE = 64 * 1024  # a longer one comes in parts
_END_SECONDS = 2.0


def follow(command: Sequence[str], out: int) -> None:
    """Run a command that prints the log; ends, and ends it, when stdin is closed or nobody reads any more.

    Between lines a heartbeat, `{}`, tells that we are there, and finds out whether the other side is.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    try:
        with suppress(BrokenPipeError):
            _write(out, [{"ok": True}])
            _copy(child, out)
    finally:
        child.terminate()
        try:
            child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _copy(child: subprocess.Popen[bytes], out: int) -> None:
    assert child.stdout is not None  # noqa: S101 -- it was asked for
    log = child.stdout.fileno()
    stdin = sys.stdin.fileno()
    rest = b""
    while True:
        ready, _, _ = select.select([log, stdin], [], [], _HEARTBEAT_SECONDS)
        if not ready:
            _write(out, [{}])
        if stdin in ready and not os.read(stdin, _CHUNK):
            return
        if log in ready:
            read = os.read(log, _CHUNK)
            if not read:
                _write(out, [{"line": rest.decode("utf-8", "replace")}] if rest else [])
                return
            *lines, rest = (rest + read).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            _write(out, [{"line": line.decode("utf-8", "replace")} for line in lines])


def _write(out: int, answers: Sequence[dict[str, Any]]) -> None:
    text = "".join(json.dumps(answer, ensure_ascii=False, separators=(",", ":")) + "\n" for answer in answers)
    left = text.encode("utf-8", "replace")
    while left:
        left = left[os.write(out, left) :]
