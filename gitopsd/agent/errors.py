from __future__ import annotations

import errno
from typing import Any


class AgentError(Exception):
    """What the controller is told instead of a result; `details` are added to the error's JSON object."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


def from_os_error(error: OSError) -> AgentError:
    """Name the file and the system's reason; never what is in the file."""
    where = f"{error.filename}: " if error.filename is not None else ""
    reason = error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return AgentError("no-space", f"{where}{reason}: free some space on this worker, then apply again")
    return AgentError("io", f"{where}{reason}")
