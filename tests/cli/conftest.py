from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operator import Operator, local_operator


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    """Somebody with a new repository whose only worker is this machine; what was started there is stopped."""
    operator = local_operator(tmp_path)
    yield operator
    if operator.git("branch", "--list", "rendered/local"):
        operator.git("checkout", "--quiet", "--force", "main")
        operator.run("worker", "teardown", "local-1", "--yes", "--with-copies", expect=None)
