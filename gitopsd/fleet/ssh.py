from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from gitopsd.agent.bundle import agent_script
from gitopsd.fleet.connection import OBSERVE_SECONDS
from gitopsd.fleet.errors import WorkerRefused, WorkerUnreachable
from gitopsd.fleet.exchange import CutOff, Exchanged, NotStarted, begin, exchange
from gitopsd.fleet.layout import layout_of
from gitopsd.fleet.shell import AGENT_MISSING, Rights, agent_command, delivery_command
from gitopsd.fleet.stream import ChannelStream, log_lines
from gitopsd.fleet.wire import decode_answer, encode_request, excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from threading import Event
    from types import TracebackType

    from gitopsd.fleet.connector import Connector
    from gitopsd.fleet.target import Target

_COMMAND_NOT_FOUND = 127
_OPEN_SECONDS = 30.0


class SshWorker:
    """A WorkerConnection over SSH: opened by the first call, kept for the next ones, opened again when it broke."""

    def __init__(self, target: Target, connector: Connector) -> None:
        self._target = target
        self._connector = connector
        self._layout = layout_of(target)
        self._connection: Any = None

    @property
    def target(self) -> Target:
        return self._target

    def call(
        self, verb: str, request: Mapping[str, Any], payload: bytes = b"", timeout: float = OBSERVE_SECONDS
    ) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        stdin = encode_request(self._layout, request) + payload
        script = agent_script()
        rights = self._rights(deadline)
        done = self._run(verb, agent_command(script.sha256, verb, rights), stdin, deadline)
        if done.status == AGENT_MISSING and not done.stdout:
            self._deliver(rights, deadline)
            done = self._run(verb, agent_command(script.sha256, verb, rights), stdin, deadline)
        self._require_started(done)
        return decode_answer(self._target.name, verb, done.status, done.stdout, done.stderr)

    def follow(self, job: str, lines: int, stop: Event) -> Iterator[str]:
        request = {"job": job, "lines": lines}
        self.call("logs", {**request, "lines": 1})  # the agent is there by then, and the job's name is one
        command = agent_command(agent_script().sha256, "follow", self._rights(time.monotonic() + _OPEN_SECONDS))
        try:
            channel = begin(self._connection.transport, command, encode_request(self._layout, request))
        except (NotStarted, CutOff) as error:
            self.close()
            name = self._target.name
            raise WorkerUnreachable(name, "exec", f"{name}: its log can't be followed: {error}") from error
        yield from log_lines(self._target.name, ChannelStream(channel), stop)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.client.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, deadline: float) -> Any:
        if self._connection is None or not self._connection.is_connected:
            self.close()
            self._connection = self._connector.open(self._target, deadline)
        return self._connection

    def _rights(self, deadline: float) -> Rights:
        return "root" if self._open(deadline).user == "root" else "sudo"

    def _run(self, verb: str, command: str, stdin: bytes, deadline: float) -> Exchanged:
        name = self._target.name
        try:
            try:
                return exchange(self._open(deadline).transport, command, stdin, deadline)
            except NotStarted:
                if time.monotonic() >= deadline:
                    raise
                # a connection that was kept may have died in silence; nothing was run yet, so once more is safe
                self.close()
                return exchange(self._open(deadline).transport, command, stdin, deadline)
        except NotStarted as error:
            self.close()
            raise WorkerUnreachable(
                name,
                "exec",
                f"{name}: connected to {self._where()}, but sshd opened no session for `{verb}`: {error}. "
                "Has the machine processes to spare, does its MaxSessions allow one?",
            ) from error
        except CutOff as error:
            self.close()
            raise WorkerUnreachable(
                name,
                "read",
                f"{name}: `{verb}` was begun at {self._where()}, but {error}. The worker may have done it all the "
                "same: observing it, or running the same again, is safe",
            ) from error

    def _deliver(self, rights: Rights, deadline: float) -> None:
        script = agent_script()
        done = self._run("agent", delivery_command(script.sha256, rights), script.content, deadline)
        self._require_started(done)
        if done.status != 0:
            raise WorkerRefused(
                self._target.name,
                "io",
                f"{self._target.name}: the agent could not be put on {self._where()}, exit code {done.status}: "
                f"{excerpt(done.stderr) or 'no message'}. Has /var/lib space, and is it writable?",
            )

    def _require_started(self, done: Exchanged) -> None:
        if done.stdout or done.status in (0, AGENT_MISSING):
            return
        user = self._connection.user
        if done.stderr.startswith(b"sudo:"):
            raise WorkerRefused(
                self._target.name,
                "no-sudo",
                f"{self._target.name}: user {user} may not run the agent at {self._where()}: "
                f"{excerpt(done.stderr).rstrip('. ')}. Let `{user} ALL=(root) NOPASSWD: ALL` be a line in "
                "/etc/sudoers.d/gitopsd there (`visudo -f` checks it), or connect as root",
            )
        if done.status == _COMMAND_NOT_FOUND:
            raise WorkerRefused(
                self._target.name,
                "no-python",
                f"{self._target.name}: a command that the agent needs isn't at {self._where()}: "
                f"{excerpt(done.stderr).rstrip('. ')}. Install python3 3.9 or newer there (Debian's `python3`: "
                f"`python3-minimal` is not enough){'' if user == 'root' else ' and sudo'}",
            )

    def _where(self) -> str:
        connection = self._connection
        return str(self._target.address) if connection is None else f"{connection.host}:{connection.port}"
