"""Diagnostics for other programs, whose logs people look at in terminals."""

import json

import pytest

from gitopsd.cli.diagnostic_formats import Format, encode_diagnostics
from gitopsd.model.diagnostic import Diagnostic, Location, Related

HOSTILE = "a\x1b[2Jb\x7fc\x9b31md\u202ee\u2066f\u200bg\rh\U000e0001i\udc80j%k\nl"
"""ESC, DEL, C1, bidi, an invisible one, a carriage return, a tag, half a surrogate."""

DIAGNOSTIC = Diagnostic(
    code="unknown-key",
    message=f"message {HOSTILE}",
    location=Location(path="workflows/caf\u00e9\u202e.yaml", line=3, column=5, end_line=3, end_column=9),
    related=(Related(message=HOSTILE, location=Location(path="gitopsd.yaml")),),
    hint=f"hint {HOSTILE}",
)


@pytest.mark.parametrize("style", ["json", "github", "sarif"])
def test_nothing_in_any_format_acts_on_a_terminal(style: Format) -> None:
    text = encode_diagnostics([DIAGNOSTIC], style)
    assert text.replace("\n", "").isprintable()
    assert style == "sarif" or "caf\u00e9" in text  # SARIF has URIs
    text.encode()


def test_json_and_sarif_still_hold_the_very_text() -> None:
    (read,) = json.loads(encode_diagnostics([DIAGNOSTIC], "json"))
    assert (read["message"], read["hint"]) == (DIAGNOSTIC.message, DIAGNOSTIC.hint)
    (result,) = json.loads(encode_diagnostics([DIAGNOSTIC], "sarif"))["runs"][0]["results"]
    assert result["message"]["text"] == f"{DIAGNOSTIC.message} ({DIAGNOSTIC.hint})"


def test_an_annotation_of_github_is_one_line_that_no_text_can_end() -> None:
    (line,) = encode_diagnostics([DIAGNOSTIC], "github").splitlines()
    assert line.startswith(
        "::error file=workflows/caf\u00e9\\u202e.yaml,line=3,endLine=3,col=5,endColumn=9,title=unknown-key::"
    )
    assert r"a\x1b[2Jb\x7fc\x9b31md\u202ee\u2066f\u200bg\rh" in line
    assert "j%25k%0Al%0Ahint" in line
    assert encode_diagnostics([], "github") == ""
