from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from gitopsd.agent.bundle import agent_script
from gitopsd.agent.serve import NOTHING_BEGUN
from gitopsd.fleet.connection import OBSERVE_SECONDS
from gitopsd.fleet.errors import WorkerRefused, WorkerUnreachable
from gitopsd.fleet.exchange import CutOff, Exchanged, NotStarted, begin, exchange
from gitopsd.fleet.layout import layout_of
from gitopsd.fleet.session import Session
from gitopsd.fleet.shell import AGENT_MISSING, NO_AGENTS, agent_command, delivery_command, passing_command
from gitopsd.fleet.stream import ChannelStream, log_lines
from gitopsd.fleet.wire import decode_answer, encode_request, encode_served, excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from threading import Event
    from types import TracebackType

    from paramiko import Channel

    from gitopsd.fleet.connector import Connector
    from gitopsd.fleet.pool import Pool
    from gitopsd.fleet.target import Target

_COMMAND_NOT_FOUND = 127
_OPEN_SECONDS = 30.0
_END_SECONDS = 5.0  # for a server to notice that the agent has ended
_MOST_ENDS = 2
_LOOKING = frozenset({"observe", "health", "probe", "logs", "show"})  # may be asked twice


class SshWorker:
    """A WorkerConnection over SSH: leased or opened by the first call, given back by `close`, opened again if it broke.

    anew: opened by the first call in any case, with one command a verb, and closed by `close`. only_looks: where
    nothing of gitopsd is on the worker, that stays so.
    """

    def __init__(
        self, target: Target, connector: Connector, pool: Pool, *, anew: bool = False, only_looks: bool = False
    ) -> None:
        self._target = target
        self._connector = connector
        self._pool = pool
        self._anew = anew
        self._only_looks = only_looks
        self._layout = layout_of(target)
        self._session: Session | None = None

    @property
    def target(self) -> Target:
        return self._target

    def call(
        self, verb: str, request: Mapping[str, Any], payload: bytes = b"", timeout: float = OBSERVE_SECONDS
    ) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        if self._anew:
            done = self._run_once(verb, request, payload, deadline)
        else:
            done = self._ask(verb, request, payload, deadline)
        answer = decode_answer(self._target.name, verb, done.status, done.stdout, done.stderr)
        if verb == "observe" and self._session is not None:
            return self._session.observed(request, answer)
        return answer

    def follow(self, job: str, lines: int, stop: Event) -> Iterator[str]:
        request = {"job": job, "lines": lines}
        self.call("logs", {**request, "lines": 1})  # the agent is there by then, and the job's name is one
        session = self._open(time.monotonic() + _OPEN_SECONDS)
        command = agent_command(agent_script().sha256, "follow", session.rights)
        stdin = encode_request(self._layout, request)
        try:
            channel = _begin_alone(session, command, stdin)
        except (NotStarted, CutOff) as error:
            self._end()
            name = self._target.name
            raise WorkerUnreachable(name, "exec", f"{name}: its log can't be followed: {error}") from error
        yield from log_lines(self._target.name, ChannelStream(channel), stop)

    def close(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if self._anew:
            self._pool.end(session)
        else:
            self._pool.give_back(self._target, session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, deadline: float) -> Session:
        if self._session is not None and not self._session.is_open:
            self._end()
        if self._session is None and not self._anew:
            self._session = self._pool.lease(self._target)
        if self._session is None:
            self._session = Session(self._connector.open(self._target, deadline))
            self._pool.opened(self._session)
        return self._session

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._pool.end(session)

    def _ask(self, verb: str, request: Mapping[str, Any], payload: bytes, deadline: float) -> Exchanged:
        """The answer of the agent that stays; a new one is asked where the one before certainly began nothing."""
        sent, ended = False, 0
        while True:
            done = self._ask_once(verb, request, payload, deadline)
            if done.stdout:
                break
            if done.status == NO_AGENTS and self._only_looks:
                return self._run_passing(verb, request, payload, deadline)
            if done.status in {AGENT_MISSING, NO_AGENTS} and not sent:
                self._deliver(deadline)
                sent = True
            elif done.status == NOTHING_BEGUN or (done.status is None and verb in _LOOKING):
                ended += 1
                if ended == _MOST_ENDS:  # nobody may stay there
                    return self._run_once(verb, request, payload, deadline)
            else:
                break
        self._require_started(done)
        return done

    def _ask_once(self, verb: str, request: Mapping[str, Any], payload: bytes, deadline: float) -> Exchanged:
        def ask(session: Session) -> Exchanged:
            also = {"known": session.known(request)} if verb == "observe" else {}
            stdin = encode_served(self._layout, verb, {**request, **also}, payload)
            command = agent_command(agent_script().sha256, "serve", session.rights)
            done = session.agent(command, deadline).ask(stdin, deadline)
            if not done.stdout.endswith(b"\n"):
                session.end_agent()
            return done

        return self._with_session(verb, ask, deadline)

    def _run_once(self, verb: str, request: Mapping[str, Any], payload: bytes, deadline: float) -> Exchanged:
        """One command for one verb."""
        stdin = encode_request(self._layout, request) + payload

        def run(session: Session) -> Exchanged:
            command = agent_command(agent_script().sha256, verb, session.rights)
            return exchange(session.transport, command, stdin, deadline)

        done = self._with_session(verb, run, deadline)
        if done.status in {AGENT_MISSING, NO_AGENTS} and not done.stdout:
            self._deliver(deadline)
            done = self._with_session(verb, run, deadline)
        self._require_started(done)
        return done

    def _run_passing(self, verb: str, request: Mapping[str, Any], payload: bytes, deadline: float) -> Exchanged:
        """One command for one verb, by an agent that comes with it and leaves nothing behind."""
        script = agent_script()
        stdin = script.content + encode_request(self._layout, request) + payload

        def run(session: Session) -> Exchanged:
            command = passing_command(script.sha256, len(script.content), verb, session.rights)
            return exchange(session.transport, command, stdin, deadline)

        done = self._with_session(verb, run, deadline)
        self._require_started(done)
        return done

    def _with_session(self, verb: str, function: Callable[[Session], Exchanged], deadline: float) -> Exchanged:
        name = self._target.name
        try:
            try:
                return function(self._open(deadline))
            except NotStarted:
                if time.monotonic() >= deadline:
                    raise
                # a connection that was kept may have died in silence; nothing was run yet, so once more is safe
                self._end()
                return function(self._open(deadline))
            except CutOff:
                if verb not in _LOOKING or time.monotonic() >= deadline:
                    raise
                self._end()
                return function(self._open(deadline))
        except NotStarted as error:
            where = self._where()
            self._end()
            raise WorkerUnreachable(
                name,
                "exec",
                f"{name}: connected to {where}, but sshd opened no session for `{verb}`: {error}. "
                "Has the machine processes to spare, does its MaxSessions allow one?",
            ) from error
        except CutOff as error:
            where = self._where()
            self._end()
            raise WorkerUnreachable(
                name,
                "read",
                f"{name}: `{verb}` was begun at {where}, but {error}. The worker may have done it all the "
                "same: observing it, or running the same again, is safe",
            ) from error

    def _deliver(self, deadline: float) -> None:
        script = agent_script()

        def deliver(session: Session) -> Exchanged:
            command = delivery_command(script.sha256, session.rights)
            return exchange(session.transport, command, script.content, deadline)

        done = self._with_session("agent", deliver, deadline)
        self._require_started(done)
        if done.status != 0:
            raise WorkerRefused(
                self._target.name,
                "io",
                f"{self._target.name}: the agent could not be put on {self._where()}, exit code {done.status}: "
                f"{excerpt(done.stderr) or 'no message'}. Has /var/lib space, and is it writable?",
            )

    def _require_started(self, done: Exchanged) -> None:
        if done.stdout or done.status in (0, AGENT_MISSING, NO_AGENTS):
            return
        user = "the user" if self._session is None else self._session.user
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
        return str(self._target.address) if self._session is None else self._session.where


def _begin_alone(session: Session, command: str, stdin: bytes) -> Channel:
    """A command beside the agent that stays; in its place where the server opens one session at a time."""
    try:
        return begin(session.transport, command, stdin)
    except NotStarted:
        session.end_agent()
    end = time.monotonic() + _END_SECONDS
    while True:
        try:
            return begin(session.transport, command, stdin)
        except NotStarted:
            if time.monotonic() >= end or not session.is_open:
                raise
            time.sleep(0.1)
