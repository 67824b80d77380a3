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
    """A package, or a single module, of pure Python as its wheel unpacks it.

    `left_out` are the modules and folders that nothing imports, `data` those files beside modules that are needed; each
    is the beginning of a path.
    """

    distribution: str
    name: str
    left_out: tuple[str, ...] = ()
    data: tuple[str, ...] = ()


_JMESPATH = _Package("jmespath", "jmespath")
_SIX = _Package("six", "six")

_LIBRARIES: Mapping[str, tuple[_Package, ...]] = {
    "nats": (
        _Package("nats_py", "nats", left_out=("micro/",)),
        _Package("ecdsa", "ecdsa", left_out=("test_",)),  # which signs with nkeys
        _SIX,
    ),
    "botocore": (
        _Package(
            "botocore",
            "botocore",
            data=(  # what a client for S3 reads, 1.5 of 29 MB
                "data/endpoints.json",
                "data/partitions.json",
                "data/sdk-default-configuration.json",
                "data/s3/2006-03-01/endpoint-rule-set-1.",
                "data/s3/2006-03-01/service-2.",
            ),
        ),
        _Package("python_dateutil", "dateutil", left_out=("zoneinfo/", "easter.py", "rrule.py")),
        _SIX,
        _Package("urllib3", "urllib3", left_out=("contrib/emscripten/",)),
    ),
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
    module = Path(spec.origin)
    if not spec.submodule_search_locations:
        yield module.name, module.read_bytes()
        yield f"{module.stem}-LICENSE", _licence(module.parent, package.distribution)
        return
    folder = module.parent
    yield f"{package.name}/LICENSE", _licence(folder.parent, package.distribution)
    for path, content in _sources(folder, package.data):
        if not path.startswith(package.left_out):
            yield f"{package.name}/{path}", content


def _licence(installed: Path, distribution: str) -> bytes:
    """Looked for where wheels are unpacked: importlib.metadata costs 10 ms of every plan."""
    for folder in installed.glob(f"{distribution}-*.dist-info"):
        names = ("LICENSE", "licenses/LICENSE", "LICENSE.txt", "licenses/LICENSE.txt")
        found = [folder / name for name in names if (folder / name).is_file()]
        if found:
            return found[0].read_bytes()
    # its terms ask for it, and a release id mustn't depend on how the package was installed
    raise RuntimeError(f"{distribution} is installed without its licence; install it from its wheel")


def _sources(directory: Path, data: tuple[str, ...] = (), prefix: str = "") -> Iterator[tuple[str, bytes]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _sources(directory / entry.name, data, f"{path}/")
            elif path.endswith(".py") or path.startswith(data):
                yield path, (directory / entry.name).read_bytes()
