"""The text of a parameter from a file of the repository: `with: {config: {from: files/orders.conf}}`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gitopsd.compiler.expressions.values import ExpressionError
from gitopsd.compiler.load import missing_path
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.source import Files
from gitopsd.model.workflow import InnerStep, Step

FROM = "from"


def file_named(value: Any) -> str | None:
    """The path that a value under `with:` names in this way; whether the parameter is text is for others to know."""
    path = value[FROM] if isinstance(value, Mapping) and value.keys() == {FROM} else None
    return path if isinstance(path, str) else None


def files_named(steps: Iterable[Step | InnerStep]) -> Iterator[tuple[str, str]]:
    """Each parameter of a step that may come from a file, and the file's path."""
    for step in steps:
        for key, value in step.with_.items():
            path = file_named(value)
            if path is not None:
                yield key, path


def read_text(path: str, shipped: Files, location: Location) -> tuple[str, Diagnostic | None]:
    """`shipped` are the files below `files/` of the library that names it at `location`."""
    if path not in shipped:
        return "", missing_path("the file", path, location, shipped)
    try:
        return shipped[path].data.decode("utf-8"), None
    except UnicodeDecodeError:
        hint = "a parameter is text: save it as UTF-8, or have a blueprint ship the file as it is, under `job.files`"
        return "", Diagnostic(code="not-utf8", message=f"`{path[:200]}` is not UTF-8", location=location, hint=hint)


def expression_mistake(error: ExpressionError, path: str, text: str, key: str) -> Diagnostic:
    """An error of an expression in the file itself; `path` is from the root of the repository."""
    line = text.count("\n", 0, error.start) + 1
    column = error.start - (text.rfind("\n", 0, error.start) + 1) + 1
    width = max(1, len(text[error.start : error.end].partition("\n")[0]))
    location = Location(path=path, line=line, column=column, end_line=line, end_column=column + width)
    return Diagnostic(code="bad-expression", message=f"`{key}`: {error.message}", location=location, hint=error.hint)
