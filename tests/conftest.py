from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

_HERE = Path(__file__).parent
_WAITING = ("soak", "crash", "e2e", "fleet")  # the longest first

settings.register_profile("gitopsd", deadline=None)  # how long an example takes is the machine's business
settings.load_profile("gitopsd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-golden",
        action="store_true",
        help="write what the compiler gives now into tests/golden and docs/diagnostics.md; review it as a diff",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that mostly wait for machines take turns with those that compute, and come to their end before them."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting = [path for path in files if path.relative_to(_HERE).parts[0] in _WAITING]
    computing = [path for path in files if path not in waiting]
    waiting.sort(key=lambda path: _WAITING.index(path.relative_to(_HERE).parts[0]))
    turn = {path: 0.7 * number / len(waiting) for number, path in enumerate(waiting)}
    turn.update((path, number / len(computing)) for number, path in enumerate(computing))
    items[:] = [item for path in sorted(files, key=turn.__getitem__) for item in files[path]]


@pytest.fixture
def refresh_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--refresh-golden", default=False))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What planning remembers is this run's: neither that of whoever runs the tests, nor left to them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("GITOPSD_CACHE", raising=False)
        yield
