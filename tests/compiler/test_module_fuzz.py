"""Whatever modules use each other, compiling them gives diagnostics and no exception, in bounded time."""

import pytest
from hypothesis import HealthCheck, given, settings

from gitopsd.compiler.front import compile_front
from tests.compiler.module_graphs import GRAPHS, Files, chain, linked_graphs
from tests.compiler.test_loader_fuzz import never_raises
from tests.contents import in_memory


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(files=GRAPHS)
def test_any_graph_of_modules(files: Files) -> None:
    never_raises(files)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(files=linked_graphs())
def test_any_graph_of_modules_without_a_circle(files: Files) -> None:
    never_raises(files)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("length", "width"), [(400, 1), (150, 2), (5, 60)])
def test_modules_that_multiply_end_in_bounded_time(length: int, width: int) -> None:
    diagnostics = compile_front(in_memory(chain(length, width=width)), None).diagnostics
    assert diagnostics
    assert len(diagnostics) <= 1_000
