from __future__ import annotations

import shutil
import subprocess
from functools import cache

VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")


@cache
def interpreter(version: str) -> str | None:
    """The Python of this version on PATH, by its name; None when there is none that runs."""
    found = shutil.which(f"python{version}")
    if found is None:
        return None
    done = subprocess.run([found, "-c", "pass"], capture_output=True, check=False)
    return found if done.returncode == 0 else None
