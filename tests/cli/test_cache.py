"""What one command worked out, the next one needn't; and what it says is the same."""

import sqlite3
from pathlib import Path

import pytest

from tests.operator import Operator


def cache(operator: Operator) -> Path:
    return operator.home / ".cache" / "gitopsd" / "plans.sqlite"


def keys(operator: Operator) -> set[str]:
    connection = sqlite3.connect(cache(operator))
    try:
        return {key for (key,) in connection.execute("SELECT key FROM memory")}
    finally:
        connection.close()


def test_a_plan_is_the_same_with_and_without_the_cache(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    first = operator.run("plan", "--json").stdout
    remembered = keys(operator)
    assert remembered
    assert operator.run("plan", "--json").stdout == first
    assert keys(operator) == remembered
    monkeypatch.setenv("GITOPSD_CACHE", "off")
    assert operator.run("plan", "--json").stdout == first


def test_nothing_is_kept_where_it_is_turned_off_or_not_needed(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache(operator).unlink(missing_ok=True)
    for arguments in (["--version"], ["--help"], ["plan", "--help"]):
        operator.run(*arguments)
    monkeypatch.setenv("GITOPSD_CACHE", "off")
    operator.run("plan")
    operator.run("check")
    assert not cache(operator).exists()


def test_a_command_that_fails_keeps_what_it_worked_out(operator: Operator) -> None:
    operator.write({"workflows/broken.yaml": "workflow: broken\nsteps: {}\n"})
    operator.run("check", expect=1)
    assert keys(operator)


def test_a_mistake_is_said_again_with_its_excerpt(operator: Operator) -> None:
    operator.write({"workflows/broken.yaml": "workflow: broken\nsteps: {a: {use: std/nothing, place: {group: x}}}\n"})
    first = operator.run("check", expect=1).stderr
    assert "std/nothing" in first
    assert "^" in first
    assert operator.run("check", expect=1).stderr == first


def test_a_cache_that_cannot_be_used_is_said_with_debug_only(operator: Operator) -> None:
    cache(operator).parent.mkdir(parents=True, exist_ok=True)
    cache(operator).unlink(missing_ok=True)
    cache(operator).mkdir()
    assert operator.run("plan").stderr == ""
    assert "plans.sqlite can't be used" in operator.run("--debug", "plan").stderr
