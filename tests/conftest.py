from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("gitopsd", deadline=None)  # how long an example takes is the machine's business
settings.load_profile("gitopsd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-golden",
        action="store_true",
        help="write what the compiler gives now into tests/golden and docs/diagnostics.md; review it as a diff",
    )


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
