"""The commands of a page, run as its reader would: one shell, from top to bottom, in an empty home."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path

from tests.docs.markdown import fences

DEADLINE = 240.0
HOME = "/home/you"
ANY_LINES = "…"

_END = "\x1e"
_REPORT = f"__code=$?; printf '{_END}%d{_END}' $__code; (exit $__code)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`shown` is what the page prints below it, or None where it prints nothing of it (a block without prompts)."""

    line: int
    text: str
    shown: str | None
    may_fail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    printed: str
    code: int


def commands(page: Path) -> list[Command]:
    """Those of `console` blocks, which begin with `$ `, and `sh` blocks as a whole.

    A command may fail where the page asks for its exit code right after it.
    """
    found = [command for fence in fences(page) for command in _commands(fence.language, fence.content, fence.line)]
    asked = {command.line for command, after in pairwise(found) if after.text == "echo $?"}
    return [
        Command(line=one.line, text=one.text, shown=one.shown, may_fail=one.line in asked) for one in found
    ]  # fmt: skip


def _commands(language: str, content: str, line: int) -> Iterator[Command]:
    if language == "sh":
        yield Command(line=line, text=content.rstrip("\n"), shown=None)
    if language != "console":
        return
    lines = content.splitlines()
    starts = [number for number, text in enumerate(lines) if text.startswith("$ ")]
    assert starts[:1] == [0], f"the block at line {line} begins with a command"
    for start, end in pairwise([*starts, len(lines)]):
        yield Command(line=line + start, text=lines[start].removeprefix("$ "), shown="\n".join(lines[start + 1 : end]))


def run(page: list[Command], home: Path) -> list[Outcome]:
    """One outcome for each command that was reached before the deadline."""
    script = home / ".page.sh"
    script.write_text("".join(f"{text}\n{_REPORT}\n" for text in _patiently(page)))
    with subprocess.Popen(
        ["bash", script], cwd=home, env=environment(home), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as shell:  # fmt: skip
        try:
            printed, _ = shell.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            printed, _ = shell.communicate()
    parts = printed.split(_END)
    return [Outcome(printed=text, code=int(code)) for text, code in zip(parts[0::2], parts[1::2], strict=False)]


def _patiently(page: list[Command]) -> Iterator[str]:
    """The commands; one that sleeps waits, however busy this machine is, for the next one to print what it should."""
    for one, after in zip_longest(page, page[1:]):
        if re.fullmatch(r"sleep \d+", one.text) and after is not None and after.shown is not None:
            is_printed = f'[ "$({after.text} 2>&1)" = {shlex.quote(after.shown)} ]'
            yield f"for _ in $(seq 200); do sleep 0.5; {is_printed} && break; done; true"
        else:
            yield one.text


def environment(home: Path) -> dict[str, str]:
    """Nothing of the user's own, and the `gitopsd` under test first on PATH."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "GIT_", "GITOPSD_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "HOME": str(home), "PATH": path, "XDG_STATE_HOME": str(home / ".local/state"), "LC_ALL": "C.UTF-8"}


class Normaliser:
    """What differs from run to run as placeholders, numbered by first appearance: the same id or process twice in a
    page must be the same twice in a run."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._names: dict[str, str] = {}

    def lines(self, text: str) -> list[str]:
        return [self._line(line) for line in text.rstrip("\n").split("\n")]

    def _line(self, line: str) -> str:
        line = re.sub(" +", " ", line.replace(self._home, HOME)).rstrip()
        line = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+00:00|Z)", "<time>", line)
        line = re.sub(r"\b[0-9a-f]{7,40}\b", lambda found: self._name("id", found[0][:7]), line)
        return re.sub(r" running (\d+) (\d+) \d+[smhd] (\w+) [\d,]+", self._workload, line)

    def _workload(self, found: re.Match[str]) -> str:
        """State, process, restarts, age, version and events in a row of `gitopsd workloads`."""
        return f" running {self._name('process', found[1])} {found[2]} <age> {found[3]} <events>"

    def _name(self, kind: str, value: str) -> str:
        known = sum(name.startswith(f"<{kind} ") for name in self._names.values())
        return self._names.setdefault(f"{kind} {value}", f"<{kind} {known + 1}>")


def matches(shown: list[str], printed: list[str]) -> bool:
    """Whether the lines are those shown; a line `…` stands for any lines."""
    if not shown:
        return not printed
    if shown[0].strip() == ANY_LINES:
        return any(matches(shown[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    return bool(printed) and shown[0] == printed[0] and matches(shown[1:], printed[1:])
