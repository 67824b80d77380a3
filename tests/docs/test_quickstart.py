"""docs/quickstart.md, typed in."""

import difflib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import DOCS
from tests.docs.shell import HOME, Command, Normaliser, Outcome, commands, environment, matches, run

PAGE = DOCS / "quickstart.md"


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home, its path as short as people's for the sockets in it; what the page left running is stopped."""
    with tempfile.TemporaryDirectory(prefix="you-", dir="/tmp") as folder:
        home = Path(folder)
        yield home
        teardown = ["gitopsd", "--repo", str(home / "fleet"), "worker", "teardown", "local-1", "--yes"]
        subprocess.run(teardown, env=environment(home), capture_output=True, timeout=60, check=False)
        for pid_file in home.glob(".local/state/gitopsd/*/supervisor/supervisord.pid"):
            os.killpg(int(pid_file.read_text()), signal.SIGTERM)


def test_every_command_of_the_quickstart_works_and_prints_what_the_page_shows(home: Path) -> None:
    page = commands(PAGE)
    assert len(page) > 20
    outcomes = run(page, home)
    on_page, on_screen = Normaliser(HOME), Normaliser(str(home))
    for command, outcome in zip(page, outcomes, strict=False):
        assert outcome.code == 0 or command.may_fail, f"{_where(command)} gave {outcome.code}:\n{outcome.printed}"
        if command.shown is not None:
            _compare(command, outcome, on_page.lines(command.shown), on_screen.lines(outcome.printed))
    assert len(outcomes) == len(page), f"{_where(page[len(outcomes)])} did not end"
    assert not list(home.glob(".local/state/gitopsd/local-1-*")), "the page tears its worker down"


def _compare(command: Command, outcome: Outcome, shown: list[str], printed: list[str]) -> None:
    if not matches(shown, printed):
        difference = "\n".join(difflib.unified_diff(shown, printed, "page", "screen", lineterm=""))
        message = f"{_where(command)} prints something else:\n{difference}\n\nall of it:\n{outcome.printed}"
        pytest.fail(message, pytrace=False)


def _where(command: Command) -> str:
    return f"{PAGE.name}:{command.line}: `{command.text.splitlines()[0]}`"
