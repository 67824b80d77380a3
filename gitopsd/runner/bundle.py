"""What ships below `runtime/` of a release. The controller's; not shipped itself."""

from __future__ import annotations

from functools import cache
from importlib import resources
from importlib.metadata import distribution
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

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
    package = resources.files("gitopsd.runner")
    return {
        "launch.py": package.joinpath("launch.py").read_bytes(),
        "runner/__main__.py": package.joinpath("__main__.py").read_bytes(),
        "runner/gitopsd/__init__.py": b"",
        **{f"runner/gitopsd/runner/{path}": content for path, content in _sources(package) if path not in _ELSEWHERE},
    }


def _jmespath_files() -> dict[str, bytes]:
    installed = distribution("jmespath")
    licences = [path for path in installed.files or [] if path.name == "LICENSE"]
    if len(licences) != 1:  # its terms ask for it, and a release id mustn't depend on how jmespath was installed
        raise RuntimeError("jmespath is installed without its licence; install it from its wheel")
    return {
        "runner/jmespath/LICENSE": licences[0].read_binary(),
        **{f"runner/jmespath/{path}": content for path, content in _sources(resources.files("jmespath"))},
    }


def _sources(directory: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in directory.iterdir():
        if entry.is_dir():
            yield from _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield prefix + entry.name, entry.read_bytes()
