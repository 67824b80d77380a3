"""The gitopsd that runs this command, as the service is to run it: by a path that any account can execute."""

import sys
from collections.abc import Iterator
from pathlib import Path

from gitopsd.daemon.service.account import NOBODY
from gitopsd.daemon.service.places import is_hidden

_ELSEWHERE = (
    "install it for all accounts: `pipx install --global …`; with a pipx before 1.5 "
    "`PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install …`; or "
    "`UV_TOOL_DIR=/opt/uv/tools UV_TOOL_BIN_DIR=/usr/local/bin UV_PYTHON_INSTALL_DIR=/opt/uv/python uv tool install …`"
)


def own_command() -> tuple[str, ...]:
    """Absolute, and as it was installed: a link in /usr/local/bin outlives the next version behind it."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return (sys.executable, "-m", "gitopsd")
    return (str(program.absolute()),)


def executable_problem(command: tuple[str, ...]) -> tuple[str, str]:
    """Why the service can't run it, and what to do; both empty where it can."""
    for path in _parts(Path(command[0])):
        if is_hidden(path):
            return f"gitopsd is installed in {path}, which services don't see", _ELSEWHERE
    try:
        done = NOBODY.run([*command, "--version"])
    except OSError:
        return f"{command[0]} can't be executed by other accounts than this one", _ELSEWHERE
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        return f"{command[0]} can't be executed by other accounts than this one: {last}", _ELSEWHERE
    return "", ""


def _parts(program: Path) -> Iterator[Path]:
    """The program, its virtual environment, and the Python below that."""
    yield program
    yield program.resolve()
    yield Path(sys.prefix)
    yield Path(sys.base_prefix)
