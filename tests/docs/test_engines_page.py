"""The workflows on the page about engines are those that a golden case renders."""

from pathlib import Path

import pytest

from tests.docs.markdown import DOCS, fences

PAGE = DOCS / "reference/engines.md"
WORKFLOWS = sorted((Path(__file__).parents[1] / "golden/engines/source/workflows").glob("*.yaml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_page_shows_the_workflow_that_is_rendered(path: Path) -> None:
    shown = [fence.content for fence in fences(PAGE) if fence.language == "yaml"]
    assert f"# workflows/{path.name}\n{path.read_text()}" in [f"{text.rstrip()}\n" for text in shown]
