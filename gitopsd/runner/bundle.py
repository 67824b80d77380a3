"""What of gitopsd ships in releases: `runtime/`, and `libraries/` for the jobs that need them. Not shipped itself."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Files = dict[str, "tuple[bytes, bool]"]
"""Path -> (content, executable), in the order of the paths; the same bytes each time."""

_ELSEWHERE = {"bundle.py", "launch.py", "__main__.py"}


class _Package(NamedTuple):
    """A package of pure Python as its wheel unpacks it; `left_out` are the modules and folders that nothing imports."""

    distribution: str
    name: str
    left_out: frozenset[str] = frozenset()


_JMESPATH = _Package("jmespath", "jmespath")

_LIBRARIES: Mapping[str, tuple[_Package, ...]] = {
    "nats": (_Package("nats_py", "nats", frozenset({"micro/"})),),
}
"""By the name of their folder. A transport of the compiler says which ones its ends need."""


def runtime_files() -> Files:
    """Every file below `runtime/`, which all jobs that the runner runs have in common, by its path there.

    The runner keeps its full package name, below a directory that Python can run, so that its modules import each
    other by the same words in a release as in the source tree.
    """
    return dict(_runtime())


def library_files(name: str) -> Files:
    """Every file below `libraries/NAME/`, by its path there. Raises LookupError for a library that isn't known."""
    return dict(_library(name))


@cache
def _runtime() -> tuple[tuple[str, tuple[bytes, bool]], ...]:
    shared = {f"runner/{path}": content for path, content in _package_files(_JMESPATH)}
    return _ordered({**_own_files(), **shared})


@cache
def _library(name: str) -> tuple[tuple[str, tuple[bytes, bool]], ...]:
    return _ordered({path: content for package in _LIBRARIES[name] for path, content in _package_files(package)})


def _ordered(files: Mapping[str, bytes]) -> tuple[tuple[str, tuple[bytes, bool]], ...]:
    return tuple((path, (content, False)) for path, content in sorted(files.items()))


def _own_files() -> dict[str, bytes]:
    package = Path(__file__).parent
    return {
        "launch.py": (package / "launch.py").read_bytes(),
        "runner/__main__.py": (package / "__main__.py").read_bytes(),
        "runner/gitopsd/__init__.py": b"",
        **{f"runner/gitopsd/runner/{path}": content for path, content in _sources(package) if path not in _ELSEWHERE},
    }


def _package_files(package: _Package) -> Iterator[tuple[str, bytes]]:
    spec = find_spec(package.name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{package.distribution} is not installed; install what gitopsd's metadata asks for")
    folder = Path(spec.origin).parent
    yield f"{package.name}/LICENSE", _licence(folder, package.distribution)
    left_out = tuple(package.left_out)
    for path, content in _sources(folder):
        if not left_out or not path.startswith(left_out):
            yield f"{package.name}/{path}", content


def _licence(package: Path, distribution: str) -> bytes:
    """Looked for beside the package, where wheels are unpacked: importlib.metadata costs 10 ms of every plan."""
    for folder in package.parent.glob(f"{distribution}-*.dist-info"):
        found = [path for path in (folder / "LICENSE", folder / "licenses" / "LICENSE") if path.is_file()]
        if found:
            return found[0].read_bytes()
    # its terms ask for it, and a release id mustn't depend on how the package was installed
    raise RuntimeError(f"{distribution} is installed without its licence; install it from its wheel")


def _sources(directory: Path, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _sources(directory / entry.name, f"{prefix}{entry.name}/")
            elif entry.name.endswith(".py"):
                yield prefix + entry.name, (directory / entry.name).read_bytes()
