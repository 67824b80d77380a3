"""Run an agent and kill it with SIGKILL just before its n-th change to the world: `crash.py N AGENT VERB`.

Changes are what Python's audit hooks report of files, processes and sockets, and fsync; standard library only,
since it also runs on workers. An agent that ends before its n-th change answers as always.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from typing import Any

CHANGES = ("os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir", "os.chmod", "os.kill", "socket.connect")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Countdown:
    def __init__(self, left: int) -> None:
        self.left = left

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.left <= 0:
            return
        if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES):
            self.step()


def main() -> None:
    countdown = Countdown(int(sys.argv[1]))
    sys.argv = sys.argv[2:]
    fsync = os.fsync

    def counted_fsync(descriptor: int) -> None:
        countdown.step()
        fsync(descriptor)

    class CountedPopen(subprocess.Popen[bytes]):
        def communicate(self, *arguments: Any, **options: Any) -> tuple[bytes, bytes]:
            countdown.step()  # the command runs by now
            output, errors = super().communicate(*arguments, **options)
            countdown.step()
            return output, errors

    setattr(os, "fsync", counted_fsync)  # noqa: B010 -- replaced for the agent, whatever its type
    setattr(subprocess, "Popen", CountedPopen)  # noqa: B010
    sys.addaudithook(countdown.hook)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
