"""Private keys, read once for many connections."""

from __future__ import annotations

import threading
from pathlib import Path

import paramiko


class Identities:
    """Shared by all threads; a file that was replaced is read again."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[tuple[int, int], paramiko.PKey | None]] = {}
        self._lock = threading.Lock()

    def load(self, path: str) -> paramiko.PKey | None:
        """The key, with the certificate beside it; None where Paramiko has to say itself what is wrong with it."""
        try:
            status = Path(path).stat()
        except OSError:
            return None
        mark = (status.st_mtime_ns, status.st_size)
        with self._lock:
            known = self._keys.get(path)
            if known is None or known[0] != mark:
                known = self._keys[path] = (mark, _load(path))
        return known[1]


def _load(path: str) -> paramiko.PKey | None:
    try:
        return paramiko.PKey.from_path(path)
    except (OSError, ValueError, TypeError, paramiko.SSHException, paramiko.pkey.UnknownKeyType):
        return None  # one with a passphrase, or of a kind that nobody knows
