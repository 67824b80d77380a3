from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from gitopsd.forge.client import Pace
from gitopsd.forge.connect import connect
from gitopsd.forge.forge import Forge, ForgeKind
from tests.forge.standin import Standin, forge_standin

KINDS: tuple[ForgeKind, ...] = ("github", "gitlab", "gitea", "forgejo")
AT_ONCE = Pace(pause=lambda _seconds: None)


@pytest.fixture(params=KINDS)
def standin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Standin]:
    with forge_standin(cast("ForgeKind", request.param), tmp_path) as forge:
        yield forge


@pytest.fixture
def forge(standin: Standin) -> Iterator[Forge]:
    """What gitopsd has of the stand-in; it doesn't wait between attempts."""
    with closing(connect(standin.kind, standin.name, standin.url, standin.token, AT_ONCE)) as forge:
        yield forge
