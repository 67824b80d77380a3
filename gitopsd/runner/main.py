from __future__ import annotations

import asyncio
import os
import sys
import traceback
from pathlib import Path

from gitopsd.runner import job, lifecycle
from gitopsd.runner.errors import JobError


def main() -> int:
    """Run the job whose directory is the current one; the exit code is 0 when it ended or was stopped.

    An argument, `wait` or `signal`, names the part of it that this process does.
    """
    name = os.environ.get("GITOPSD_JOB", Path.cwd().name)
    try:
        asyncio.run(lifecycle.run(job.load(Path(), *sys.argv[1:2])))
    except JobError as error:
        _explain(f"{name}: {error.message}")
        return error.exit_code
    except KeyboardInterrupt:  # before the loop took over the signal
        return 130
    except Exception as error:  # noqa: BLE001 -- the one catch-all of this program
        _explain(f"{name}: internal error: {type(error).__name__}: {error}; GITOPSD_DEBUG=1 shows where")
        return 1
    return 0


def _explain(message: str) -> None:
    if os.environ.get("GITOPSD_DEBUG"):
        traceback.print_exc()
    sys.stderr.write(" ".join(message.splitlines()) + "\n")
