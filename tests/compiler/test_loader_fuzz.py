"""Whatever lies in a repository, compiling it gives diagnostics and no exception."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitopsd.compiler.declarations.mistakes import MAX_MISTAKES
from gitopsd.compiler.front import compile_front
from gitopsd.compiler.yaml.reader import read_yaml
from gitopsd.model.excerpt import format_diagnostics
from tests.compiler.cases import Case, cases, compile_with
from tests.contents import in_memory

SOURCES = [case.source() for case in cases() if not case.settings.get("repeat")]


def never_raises(files: dict[str, bytes]) -> None:
    compiled = compile_with(files)
    assert compiled.diagnostics or compiled.rendering
    format_diagnostics(compiled.diagnostics, files)


@given(
    files=st.dictionaries(
        st.sampled_from(
            ["gitopsd.yaml", "workflows/a.yaml", "blueprints/b.yaml", "fleets/f.yaml", "files/x", "workflows/", "x"]
        ),
        st.binary(max_size=80),
    )
)
def test_arbitrary_files(files: dict[str, bytes]) -> None:
    never_raises(files)


JUNK = st.sampled_from(
    [
        b"null",
        b"[]",
        b"{}",
        b"''",
        b"0",
        b"-1",
        b"1.5",
        b"true",
        b"[[[]]]",
        b"{a: {b: [c]}}",
        b"x" * 300,
        b"'${{ '",
        b"'${{ x }}'",
        b"'${{ params }}'",
        b"'${{ worker.labels }}'",
        b"'a\\nb'",
        b'"\\0"',
        b"/",
        b"/srv/../x",
        b"9223372036854775807",
        b"2001-01-01",
    ]
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(source=st.sampled_from(SOURCES), data=st.data())
def test_a_value_that_was_replaced_by_something_else(source: dict[str, bytes], data: st.DataObject) -> None:
    """Takes a repository that makes sense, and puts junk where some value or key stood."""
    path = data.draw(st.sampled_from(sorted(source)))
    words = source[path].replace(b"{", b"{ ").replace(b"}", b" }").split(b" ")
    position = data.draw(st.integers(0, len(words) - 1))
    words[position] = data.draw(JUNK)
    never_raises({**source, path: b" ".join(words)})


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(source=st.sampled_from(SOURCES), seed=st.integers(0, 10_000))
def test_lines_that_were_dropped_or_doubled(source: dict[str, bytes], seed: int) -> None:
    mixed = random.Random(seed)  # noqa: S311 - the same mutilation every time
    path = mixed.choice(sorted(source))
    lines = source[path].splitlines(keepends=True) or [b""]
    at = mixed.randrange(len(lines))
    lines[at : at + 1] = [] if mixed.random() < 0.5 else [lines[at], lines[at]]
    never_raises({**source, path: b"".join(lines)})


@pytest.mark.timeout(60)
def test_a_file_of_many_wrong_steps_is_told_in_bounded_time() -> None:
    base = Case(path=cases()[0].path).source()
    steps = "".join(f"  step-{n}: {{use: std/nothing-{n}, place: {{group: edge}}}}\n" for n in range(10_000))
    compiled = compile_with({**base, "workflows/orders.yaml": f"workflow: orders\nsteps:\n{steps}".encode()})
    assert len(compiled.diagnostics) == MAX_MISTAKES + 1


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(source=st.sampled_from([source for source in SOURCES if "gitopsd.yaml" in source]), data=st.data())
def test_keys_and_values_that_were_changed_where_they_stand(source: dict[str, bytes], data: st.DataObject) -> None:
    """Takes a repository that makes sense, and puts another key or value into the structure of one of its files."""
    path = data.draw(st.sampled_from(sorted(path for path in source if path.endswith(".yaml"))))
    value = read_yaml(path, source[path])[0].value
    for _ in range(data.draw(st.integers(1, 3))):
        value = changed(value, data)
    files = {**source, path: json.dumps(value).encode()}
    never_raises(files)
    again = compile_front(in_memory(dict(reversed(files.items()))), None)
    assert again.diagnostics == compile_front(in_memory(files), None).diagnostics


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 70_000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "x", "edge", "worker", "/srv/x", "/mnt/../x", "a.b", "${{ params.x }}", "${{ [1][2] }}", "é\n"]
    )
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab-_.", max_size=4), inner, max_size=3),
    max_leaves=6,
)


def changed(value: Any, data: st.DataObject) -> Any:
    """The value with one thing inside it replaced, removed, added or renamed."""
    if not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 9)) == 0:
        return data.draw(VALUES)
    if isinstance(value, list):
        index = data.draw(st.integers(0, len(value) - 1))
        return [*value[:index], changed(value[index], data), *value[index + 1 :]]
    key = data.draw(st.sampled_from(sorted(value)))
    others = {name: item for name, item in value.items() if name != key}
    match data.draw(st.sampled_from(["within", "within", "within", "remove", "add", "rename"])):
        case "remove":
            return others
        case "add":
            return {
                **value,
                data.draw(st.sampled_from(["use", "in", "with", "x", "A", "007", "\x1b"])): data.draw(VALUES),
            }
        case "rename":
            return {**others, data.draw(st.text(max_size=4)): value[key]}
        case _:
            return {**value, key: changed(value[key], data)}
