"""What ships below `runtime/` of a release. The controller's; not shipped itself."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ELSEWHERE = {"bundle.py", "launch.py", "__main__.py"}


def runtime_files() -> dict[str, tuple[bytes, bool]]:
    """Every file below `runtime/`, by its path there, as (content, executable); the same bytes each time, in order.

    The runner keeps its full package name, below a directory that Python can run, so that its modules import each
    other by the same words in a release as in the source tree.
    """
    return {path: (content, False) for path, content in _contents()}


@cache
def _contents() -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted({**_own_files(), **_jmespath_files()}.items()))


def _own_files() -> dict[str, bytes]:
    package = Path(__file__).parent
    return {
        "launch.py": (package / "launch.py").read_bytes(),
        "runner/__main__.py": (package / "__main__.py").read_bytes(),
        "runner/gitopsd/__init__.py": b"",
        **{f"runner/gitopsd/runner/{path}": content for path, content in _sources(package) if path not in _ELSEWHERE},
    }


def _jmespath_files() -> dict[str, bytes]:
    spec = find_spec("jmespath")
    if spec is None or spec.origin is None:
        raise RuntimeError("jmespath is not installed; install what gitopsd's metadata asks for")
    package = Path(spec.origin).parent
    return {
        "runner/jmespath/LICENSE": _licence(package),
        **{f"runner/jmespath/{path}": content for path, content in _sources(package)},
    }


def _licence(package: Path) -> bytes:
    """Looked for beside the package, where wheels are unpacked: importlib.metadata costs 10 ms of every plan."""
    for folder in package.parent.glob("jmespath-*.dist-info"):
        found = [path for path in (folder / "LICENSE", folder / "licenses" / "LICENSE") if path.is_file()]
        if found:
            return found[0].read_bytes()
    # its terms ask for it, and a release id mustn't depend on how jmespath was installed
    raise RuntimeError("jmespath is installed without its licence; install it from its wheel")


def _sources(directory: Path, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _sources(directory / entry.name, f"{prefix}{entry.name}/")
            elif entry.name.endswith(".py"):
                yield prefix + entry.name, (directory / entry.name).read_bytes()
