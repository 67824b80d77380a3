"""The parts of a page that tests hold against the code: fenced blocks, and tables by their heading."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

DOCS = Path(__file__).parents[2] / "docs"

_PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A fenced block; `line` is that of its first line of content, counted from 1."""

    language: str
    content: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, without its backticks, and the tables below it: rows of cells as they are written."""

    heading: str
    tables: tuple[tuple[tuple[str, ...], ...], ...]


def fences(page: Path) -> Iterator[Fence]:
    for token in _PARSER.parse(page.read_text()):
        if token.type == "fence" and token.map:
            yield Fence(language=token.info.strip(), content=token.content, line=token.map[0] + 2)


def sections(page: Path) -> dict[str, Section]:
    """By heading; the heading row of a table is its first."""
    tokens = _PARSER.parse(page.read_text())
    found: dict[str, list[list[list[str]]]] = {}
    tables: list[list[list[str]]] = []
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            tables = found.setdefault(_plain(tokens[position + 1]), [])
        elif token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in {"th_open", "td_open"}:
            tables[-1][-1].append(tokens[position + 1].content)
    return {
        heading: Section(heading=heading, tables=tuple(tuple(tuple(row) for row in table) for table in tables))
        for heading, tables in found.items()
    }


def table(page: Path, heading: str) -> list[dict[str, str]]:
    """The first table below a heading: rows by the titles of the columns, the first cell without its backticks."""
    known = sections(page)
    assert heading in known, f"{page.name} has no section `{heading}`; it has {sorted(known)}"
    assert known[heading].tables, f"the section `{heading}` of {page.name} has no table"
    titles, *rows = known[heading].tables[0]
    named = [dict(zip(titles, row, strict=True)) for row in rows]
    return [{**row, titles[0]: row[titles[0]].strip("`")} for row in named]


def _plain(token: Token) -> str:
    return token.content.replace("`", "")
