import shutil
from pathlib import Path

import pytest

from tests.compiler.cases import GOLDEN, Case, Files, cases, compile_with, read_rendered, rendered_files

TEMPLATE = Path(__file__).parents[2] / "workflow-repo-template"


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.path.name)
def test_a_source_compiles_to_what_was_reviewed(case: Case, *, refresh_golden: bool) -> None:
    compiled = case.compile()
    diagnostics = case.diagnostics(compiled)
    rendered = rendered_files(compiled) if compiled.rendering else {}
    if refresh_golden:
        refresh(case.path, diagnostics, rendered)
    expected = case.path / "diagnostics.txt"
    assert diagnostics == (expected.read_text() if expected.exists() else "")
    assert rendered == read_rendered(case.path / "rendered")
    assert diagnostics or rendered


def test_the_template_compiles_to_what_was_reviewed(*, refresh_golden: bool) -> None:
    """Its source is the template itself, so that the two can't drift apart."""
    paths = [path for path in TEMPLATE.rglob("*.yaml") if path.is_file()]
    compiled = compile_with({str(path.relative_to(TEMPLATE)): path.read_bytes() for path in paths})
    assert compiled.diagnostics == ()
    rendered = rendered_files(compiled)
    if refresh_golden:
        refresh(GOLDEN / "template", "", rendered)
    assert rendered == read_rendered(GOLDEN / "template" / "rendered")


def refresh(folder: Path, diagnostics: str, rendered: Files) -> None:
    text = folder / "diagnostics.txt"
    text.unlink(missing_ok=True)
    if diagnostics:
        text.write_text(diagnostics)
    shutil.rmtree(folder / "rendered", ignore_errors=True)
    for path, (content, executable) in rendered.items():
        file = folder / "rendered" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if executable else 0o644)
