from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING, cast

import pytest

from gitopsd.fleet import shell
from gitopsd.fleet.shell import AGENT_MISSING, NO_AGENTS, Rights, agent_command, delivery_command, passing_command

if TYPE_CHECKING:
    from pathlib import Path

SHA = "0" * 64


@pytest.mark.parametrize("sha256", ["", "x" * 64, SHA + "\n", f"{SHA}; rm -rf /", "../" + SHA])
def test_nothing_but_a_hash_gets_into_a_command(sha256: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        agent_command(sha256, "observe", "root")
    with pytest.raises(ValueError, match="SHA-256"):
        delivery_command(sha256, "root")
    with pytest.raises(ValueError, match="SHA-256"):
        passing_command(sha256, 7, "observe", "root")


def test_nothing_but_a_known_verb_gets_into_a_command() -> None:
    with pytest.raises(ValueError, match="not a verb"):
        agent_command(SHA, "observe; reboot", "root")
    with pytest.raises(ValueError, match="not a verb"):
        passing_command(SHA, 7, "observe; reboot", "root")


@pytest.mark.parametrize("rights", ["root", "sudo"])
def test_commands_quote_nothing_twice(rights: str) -> None:
    for command in (
        agent_command(SHA, "observe", cast("Rights", rights)),
        delivery_command(SHA, cast("Rights", rights)),
        passing_command(SHA, 7, "observe", cast("Rights", rights)),
    ):
        assert command.count("'") == 2


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shell, "_AGENTS", str(tmp_path / "agent"))
    return tmp_path / "agent"


def run(command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh", "-c", command], input=stdin, capture_output=True, check=False)


def test_a_missing_agent_is_told_by_its_exit_code(agents: Path) -> None:
    assert run(agent_command(SHA, "observe", "root")).returncode == NO_AGENTS
    assert not agents.exists()
    agents.mkdir()
    assert run(agent_command(SHA, "observe", "root")).returncode == AGENT_MISSING


def test_an_agent_that_arrives_whole_is_put_in_place(agents: Path) -> None:
    content = b"print('hello')"
    sha256 = hashlib.sha256(content).hexdigest()
    assert run(delivery_command(sha256, "root"), content).returncode == 0
    assert [path.name for path in agents.iterdir()] == [f"{sha256}.py"]
    assert (agents / f"{sha256}.py").read_bytes() == content


def test_an_agent_that_was_cut_off_is_not(agents: Path) -> None:
    content = b"print('hello')"
    sha256 = hashlib.sha256(content).hexdigest()
    assert run(delivery_command(sha256, "root"), content[:-1]).returncode != 0
    assert list(agents.iterdir()) == []


def test_an_agent_that_comes_with_its_request_answers_it_and_is_gone(
    agents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    content = b"import sys; print(sys.argv[1], sys.stdin.read()); sys.exit(7)"
    sha256 = hashlib.sha256(content).hexdigest()
    command = passing_command(sha256, len(content), "observe", "root")
    done = run(command, content + b"the request")
    assert (done.returncode, done.stdout) == (7, b"observe the request\n")
    cut_off = run(command, content[:-1])
    assert (cut_off.returncode != 0, cut_off.stdout) == (True, b"")
    assert not agents.exists()
    assert list(tmp_path.iterdir()) == []
