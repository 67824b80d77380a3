"""The built-in worker: the same agent as everywhere, run on this machine without SSH."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from gitopsd.agent.bundle import AgentScript, agent_script
from gitopsd.fleet.connection import OBSERVE_SECONDS
from gitopsd.fleet.errors import WorkerRefused, WorkerUnreachable
from gitopsd.fleet.layout import Layout, layout_of
from gitopsd.fleet.stream import ProcessStream, log_lines
from gitopsd.fleet.wire import decode_answer, encode_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from threading import Event
    from types import TracebackType

    from gitopsd.fleet.target import Target

_SYSTEM_PYTHON = "/usr/bin/python3"


class LocalWorker:
    """A WorkerConnection to this machine. The agent has a session of its own: Ctrl-C in the terminal is not for it."""

    def __init__(self, target: Target, layout: Layout | None = None, *, only_looks: bool = False) -> None:
        """only_looks: where nothing of gitopsd is there, that stays so."""
        self._target = target
        self._only_looks = only_looks
        self._layout = layout_of(target) if layout is None else layout

    @property
    def target(self) -> Target:
        return self._target

    @property
    def layout(self) -> Layout:
        return self._layout

    def call(
        self, verb: str, request: Mapping[str, Any], payload: bytes = b"", timeout: float = OBSERVE_SECONDS
    ) -> dict[str, Any]:
        if self._only_looks and not self._agents.exists():
            with TemporaryDirectory(prefix="gitopsd-") as passing:
                return self._call(self._command(verb, Path(passing)), verb, request, payload, timeout)
        return self._call(self._command(verb, self._agents), verb, request, payload, timeout)

    def _call(
        self, command: list[str], verb: str, request: Mapping[str, Any], payload: bytes, timeout: float
    ) -> dict[str, Any]:
        name = self._target.name
        stdin = encode_request(self._layout, request) + payload
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, timeout=timeout, check=False, start_new_session=True
            )
        except subprocess.TimeoutExpired:
            raise WorkerUnreachable(
                name, "read", f"{name}: the agent on this machine gave no answer to `{verb}` within {timeout:.0f} s"
            ) from None
        except OSError as error:
            raise WorkerUnreachable(name, "exec", f"{name}: {command[0]} can't be run: {error.strerror}") from None
        return decode_answer(name, verb, done.returncode, done.stdout, done.stderr)

    def follow(self, job: str, lines: int, stop: Event) -> Iterator[str]:
        request = encode_request(self._layout, {"job": job, "lines": lines})
        yield from log_lines(self._target.name, ProcessStream(self._command("follow", self._agents), request), stop)

    def close(self) -> None:
        """Nothing stays open between calls."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _agents(self) -> Path:
        return Path(self._layout.root) / "agent"

    def _command(self, verb: str, agents: Path) -> list[str]:
        """What runs the agent, which is there by then."""
        name = self._target.name
        try:
            agent = _place(agents, agent_script())
        except PermissionError as error:
            raise WorkerRefused(
                name, "not-root", f"{name}: this user may not write {error.filename}: run gitopsd as root"
            ) from None
        except OSError as error:
            raise WorkerRefused(
                name, "io", f"{name}: {error.filename}: {error.strerror}: the agent can't be put there"
            ) from None
        return [self._python(), "-IB", str(agent), verb]

    def _python(self) -> str:
        # units run with the system's Python, so that is the one to try; supervisor is installed in ours
        if self._layout.service_manager == "systemd" and Path(_SYSTEM_PYTHON).exists():
            return _SYSTEM_PYTHON
        return sys.executable


def _place(directory: Path, script: AgentScript) -> Path:
    """Put the agent where workers keep theirs, aside first; one that is there is whole."""
    path = directory / f"{script.sha256}.py"
    if not path.exists():
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        aside = directory / f".{script.sha256}.{secrets.token_hex(4)}"
        aside.write_bytes(script.content)
        aside.replace(path)
    return path
