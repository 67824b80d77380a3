"""docs/diagnostics.md has every code there is, each with an example as it is printed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.excerpt import format_diagnostic
from gitopsd.repo.source_rules import (
    ProblemCode,
    SourceProblem,
    check_content,
    check_name,
    find_collisions,
    limit_reached,
    refused_kind,
    too_large,
)
from tests.compiler.cases import GOLDEN, Case

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "diagnostics.md"
SECTION = re.compile(
    r"^## `([a-z0-9-]+)`\n\n(?P<meaning>.+?)\n\n```text\n(?P<example>.*?)```\n\n(?P<way>.+?)\n",
    re.MULTILINE | re.DOTALL,
)
CODE_POSITION = {"JobError": 0, "NoSubject": 0, "_report": 0, "_refusal": 1}
"""Where the code stands among the arguments of what makes a diagnostic; `Diagnostic` itself has a keyword for it."""


def codes_of_the_compiler() -> set[str]:
    return {code for path in (ROOT / "gitopsd" / "compiler").rglob("*.py") for code in codes_in(path)}


def codes_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        if name in CODE_POSITION:
            given += node.args[CODE_POSITION[name] : CODE_POSITION[name] + 1]
        for value in given:
            yield from (
                one.value for one in ast.walk(value) if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )


def codes_of_the_source_rules() -> set[str]:
    return set(get_args(ProblemCode))


def example_of(code: str) -> str:
    """The case that is named after the code, or one of the refusals that come before compiling."""
    if code in codes_of_the_source_rules():
        problem = next(one for one in source_problems() if one is not None and one.code == code)
        location = Location(path=problem.path)
        diagnostic = Diagnostic(code=code, message=problem.message, location=location, hint=problem.hint)
        return format_diagnostic(diagnostic, {}) + "\n"
    case = Case(path=GOLDEN / code)
    first = next(one for one in case.compile().diagnostics if one.code == code)
    return format_diagnostic(first, case.source()) + "\n"


def source_problems() -> list[SourceProblem | None]:
    return [
        refused_kind("files/current", "symlink"),
        refused_kind("modules/vendor", "submodule"),
        refused_kind("files/pipe", "special-file"),
        check_name("files/", b"..")[1],
        check_name("files/", b"caf\xe9.txt")[1],
        check_name("files/", "a\u202etxt.sh".encode())[1],
        *find_collisions("workflows/", ["Orders.yaml", "orders.yaml"]),
        too_large("workflows/orders.yaml", 3_000_000),
        limit_reached("files/model.bin", "source-too-large"),
        limit_reached("files/x", "too-many-files"),
        limit_reached("files/a/b", "too-deep"),
        check_content("files/model.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        SourceProblem(
            path="files/secret",
            code="unreadable-file",
            message="cannot be read: Permission denied",
            hint="check its mode",
        ),
    ]


def test_the_page_has_exactly_the_codes_that_there_are() -> None:
    listed = [match[1] for match in SECTION.finditer(PAGE.read_text())]
    assert listed == sorted(codes_of_the_compiler() | codes_of_the_source_rules())


@pytest.mark.parametrize("code", sorted(codes_of_the_compiler() | codes_of_the_source_rules()))
def test_the_example_is_what_is_printed(code: str, *, refresh_golden: bool) -> None:
    page = PAGE.read_text()
    section = next(match for match in SECTION.finditer(page) if match[1] == code)
    example = example_of(code)
    if refresh_golden:
        page = page[: section.start("example")] + example + page[section.end("example") :]
        PAGE.write_text(page)
        section = next(match for match in SECTION.finditer(page) if match[1] == code)
    assert section["example"] == example


def test_headings_are_all_sections() -> None:
    page = PAGE.read_text()
    assert len(re.findall(r"^## ", page, re.MULTILINE)) == len(list(SECTION.finditer(page)))
