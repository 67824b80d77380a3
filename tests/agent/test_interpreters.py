from __future__ import annotations

from typing import TYPE_CHECKING

from tests.agent.interpreters import interpreter

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def script(path: Path, line: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


def test_an_interpreter_is_found_where_pyenv_keeps_them_and_its_stand_in_on_path_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin/python3.9", "exit 127")
    script(tmp_path / ".pyenv/versions/3.9.1/bin/python3.9", "exit 1")
    real = script(tmp_path / ".pyenv/versions/3.9.2/bin/python3.9", "echo Python 3.9.2")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert interpreter.__wrapped__("3.9") == str(real)
    assert interpreter.__wrapped__("3.10") is None


def test_an_interpreter_is_found_where_uv_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = script(tmp_path / "uv-keeps/python3.9", "echo Python 3.9.2")
    script(tmp_path / "bin/uv", f"echo {real}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert interpreter.__wrapped__("3.9") == str(real)
    assert interpreter.__wrapped__("3.10") is None, "another version than was asked for"
