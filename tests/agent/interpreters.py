from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")


@cache
def interpreter(version: str) -> str | None:
    """A Python of this version: of PATH, of pyenv or of uv; None when none of them has one that runs."""
    return next((found for found in _candidates(version) if _is(found, version)), None)


def _candidates(version: str) -> Iterator[str]:
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield on_path
    for path in sorted((Path.home() / ".pyenv/versions").glob(f"*/bin/python{version}")):
        yield str(path)
    if shutil.which("uv") is not None:
        command = ["uv", "python", "find", "--offline", "--no-project", version]
        yield subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _is(python: str, version: str) -> bool:
    """pyenv puts commands on PATH that only say which versions there are."""
    try:
        done = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.startswith(f"Python {version}.")
