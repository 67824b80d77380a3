"""Diagnostics for other programs: JSON, GitHub's workflow commands, SARIF 2.1.0."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal
from urllib.parse import quote

from gitopsd import __version__
from gitopsd.cli.json_text import json_text
from gitopsd.model.diagnostic import Diagnostic, Location, Severity
from gitopsd.model.excerpt import printable

Format = Literal["json", "github", "sarif"]


def encode_diagnostics(diagnostics: Sequence[Diagnostic], style: Format) -> str:
    """The whole output, ending in a newline where it isn't empty."""
    match style:
        case "json":
            return json_text([asdict(diagnostic) for diagnostic in diagnostics])
        case "github":
            return "".join(f"{_github(diagnostic)}\n" for diagnostic in diagnostics)
        case "sarif":
            return json_text(_sarif(diagnostics))


def _github(diagnostic: Diagnostic) -> str:
    """An annotation, by the rules of GitHub's toolkit for escaping properties and data; no line acts on a terminal."""
    place = diagnostic.location
    properties = {
        "file": place.path,
        "line": place.line,
        "endLine": place.end_line,
        "col": place.column,
        "endColumn": place.end_column,
        "title": diagnostic.code,
    }
    shown = ",".join(f"{key}={_escaped(str(value), in_property=True)}" for key, value in properties.items())
    message = diagnostic.message + (f"\n{diagnostic.hint}" if diagnostic.hint else "")
    return f"::{diagnostic.severity.value} {shown}::{_escaped(message)}"


def _escaped(text: str, *, in_property: bool = False) -> str:
    escaped = "%0A".join(printable(line).replace("%", "%25") for line in text.split("\n"))
    return escaped.replace(":", "%3A").replace(",", "%2C") if in_property else escaped


def _sarif(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    codes = sorted({diagnostic.code for diagnostic in diagnostics})
    driver = {"name": "gitopsd", "version": __version__, "rules": [{"id": code} for code in codes]}
    return {
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(diagnostic) for diagnostic in diagnostics],
            }
        ],
    }


def _sarif_result(diagnostic: Diagnostic) -> dict[str, Any]:
    text = diagnostic.message + (f" ({diagnostic.hint})" if diagnostic.hint else "")
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "level": "error" if diagnostic.severity is Severity.ERROR else "warning",
        "message": {"text": text},
        "locations": [_sarif_location(diagnostic.location)],
    }
    if diagnostic.related:
        result["relatedLocations"] = [
            {**_sarif_location(related.location), "message": {"text": related.message}}
            for related in diagnostic.related
        ]
    return result


def _sarif_location(place: Location) -> dict[str, Any]:
    region = {
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }
    return {"physicalLocation": {"artifactLocation": {"uri": quote(place.path)}, "region": region}}
