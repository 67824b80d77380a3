"""The `fleet` fixture and marker; a conftest.py anywhere in `tests` imports all of `__all__`."""

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from tests.fleet.machines import Fleet
from tests.fleet.requirements import missing

__all__ = ["fleet", "pytest_collection_modifyitems", "pytest_runtest_setup"]

REQUIRE = "GITOPSD_REQUIRE_FLEET"


class StartFleet(Protocol):
    """`Fleet.start`, whose fleet is taken down after the last test of the module."""

    def __call__(
        self,
        count: int = 1,
        *,
        names: Sequence[str] = (),
        shared: Mapping[str, Path] | None = None,
        data_size: str | None = None,
        suite: str | None = None,
        controllers: Collection[str] = (),
    ) -> Fleet: ...


@pytest.fixture(scope="module")
def fleet() -> Iterator[StartFleet]:
    require_fleet()
    with contextlib.ExitStack() as started:

        def start(
            count: int = 1,
            *,
            names: Sequence[str] = (),
            shared: Mapping[str, Path] | None = None,
            data_size: str | None = None,
            suite: str | None = None,
            controllers: Collection[str] = (),
        ) -> Fleet:
            machines = Fleet.start(
                count, names=names, shared=shared, data_size=data_size, suite=suite, controllers=controllers
            )
            return started.enter_context(machines)

        yield start


def require_fleet() -> None:
    """Skip where no machines can be booted; fail there instead when the environment says that they must be."""
    reason = missing()
    if reason is None:
        return
    if os.environ.get(REQUIRE, "") == "1":
        pytest.fail(f"{REQUIRE}=1, but: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever uses the fixture, so that `-m "not fleet"` never misses one."""
    for item in items:
        if isinstance(item, pytest.Function) and "fleet" in item.fixturenames:
            item.add_marker("fleet")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("fleet"):
        require_fleet()
