"""Many requests to one process: on stdin a line of JSON and its payload each, on stdout a line of JSON for each.

What only looks is answered here, with what is remembered from the last time. What changes anything is done by a child
process, forked when all of it has arrived: it leaves nothing behind in this one, and may die without taking it along.
"""

from __future__ import annotations

import gc
import os
import select
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .errors import AgentError
from .kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable

NOTHING_BEGUN = 75  # the exit code that says so: every request that was read has been answered
_LOOKING = ("observe", "health", "probe", "logs", "show")
_AT_WORK = ("activate", "rollback")
_NEEDED = ("activate", "payload", "systemd")
_IDLE_SECONDS = 900.0
_TICK_SECONDS = 15.0
_PAUSE_SECONDS = 0.3
_CHUNK = 256 * 1024
_LONGEST_REQUEST = 64 * 1024 * 1024
LONGEST_PAYLOAD = 512 * 1024 * 1024
_PACKAGE = __name__.rpartition(".")[0]

if TYPE_CHECKING:
    Answer = Callable[[str, Callable[[], tuple[Any, bytes]], "Kept | None"], bytes]


class _EndedError(Exception):
    """No more requests: stdin has ended, nothing came for long, or the agent's file is gone."""


def serve(answer_to: int, answer: Answer, when_idle: Callable[[], None], idle_seconds: float = _IDLE_SECONDS) -> int:
    """Answer requests until there are no more; the process's exit code.

    `answer` makes the line for a verb, given what reads its request. `when_idle` is called once, in the first pause.
    A request's first line has its `verb` and the `size` of its payload in bytes beside what is the verb's own.
    """
    requests = _Requests(sys.stdin.fileno(), idle_seconds, when_idle)
    kept = Kept()
    gc.enable()  # it may live for long
    while True:
        try:
            verb, request, payload = requests.next()
        except _EndedError:
            requests.finish()
            return NOTHING_BEGUN
        except AgentError as error:
            failed = error
            _write(answer_to, answer("", lambda: _refuse(failed), None))  # noqa: B023 -- called before this returns
            return 0  # whatever follows can't be told from a payload
        modules: list[str] = []
        if verb == "ping":
            line = b'{"ok":true}\n'
        elif verb in _LOOKING:
            line = answer(verb, _given(request, payload), kept)
        else:
            if verb in _AT_WORK:
                _get_ready(request)
            line, modules = _in_child(verb, _given(request, payload), answer, kept, answer_to)
        del request, payload  # it may be large, and the next one is far
        try:
            _write(answer_to, line)
        except OSError:
            return 1  # nobody is listening any more
        _load(modules)


def _given(request: Any, payload: bytes) -> Callable[[], tuple[Any, bytes]]:
    return lambda: (request, payload)


def _refuse(error: AgentError) -> tuple[Any, bytes]:
    raise error


class _Requests:
    def __init__(self, stdin: int, idle_seconds: float, when_idle: Callable[[], None]) -> None:
        self._stdin = stdin
        self._idle_seconds = idle_seconds
        self._when_idle: Callable[[], None] | None = when_idle
        self._buffer = bytearray()

    def finish(self) -> None:
        """What waited for a pause, if there was none yet."""
        when_idle, self._when_idle = self._when_idle, None
        if when_idle is not None and _agent_is_there():
            when_idle()

    def next(self) -> tuple[str, dict[str, Any], bytes]:
        """The next request's verb, the request, and its payload. AgentError when it can't be told where it ends."""
        import json  # noqa: PLC0415 -- loaded by then

        line = self._line()
        try:
            request = json.loads(line)
        except ValueError:
            raise AgentError("protocol", "the request is not one line of JSON") from None
        if not isinstance(request, dict):
            raise AgentError("protocol", "the request is not a JSON object")
        verb, size = request.pop("verb", None), request.pop("size", 0)
        if not isinstance(verb, str) or isinstance(size, bool) or not isinstance(size, int):
            raise AgentError("protocol", "the request's verb is not a text, or its size not a number")
        if not 0 <= size <= LONGEST_PAYLOAD:
            raise AgentError("protocol", f"a payload of {size} bytes is not one of at most {LONGEST_PAYLOAD}")
        while len(self._buffer) < size:
            self._read()
        payload = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        if not _agent_is_there():
            raise _EndedError  # torn down, or replaced: what it would still have to load is gone
        return verb, request, payload

    def _line(self) -> bytes:
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                line = bytes(memoryview(self._buffer)[:end])
                del self._buffer[: end + 1]
                return line
            searched = len(self._buffer)
            if searched > _LONGEST_REQUEST:
                raise AgentError("protocol", f"the request is longer than {_LONGEST_REQUEST} bytes")
            self._read()

    def _read(self) -> None:
        end = time.monotonic() + self._idle_seconds
        pause = _PAUSE_SECONDS if self._when_idle else _TICK_SECONDS
        while not select.select([self._stdin], [], [], max(0.0, min(pause, end - time.monotonic())))[0]:
            if time.monotonic() >= end or not _agent_is_there():
                raise _EndedError
            self.finish()
            pause = _TICK_SECONDS
        chunk = os.read(self._stdin, _CHUNK)
        if not chunk:
            raise _EndedError
        self._buffer += chunk


def _get_ready(request: dict[str, Any]) -> None:
    """What the child would do otherwise, and the next one again: it loads what it needs, and leaves the SSH session."""
    from .layout import parse_layout  # noqa: PLC0415 -- loaded by then
    from .scope import leave_session  # noqa: PLC0415

    with suppress(AgentError):  # the child says what is wrong with the request
        layout = parse_layout(request.get("layout"))
        _load([f"{_PACKAGE}.{module}" for module in _NEEDED])
        leave_session(layout)


def _in_child(
    verb: str, read: Callable[[], tuple[Any, bytes]], answer: Answer, kept: Kept, answer_to: int
) -> tuple[bytes, list[str]]:
    """The answer of a child process, and what it has loaded; that it died without an answer is one too."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.close(answer_to)
        _be_child(lambda: answer(verb, read, kept), writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    line, _, modules = told.partition(b"\n")
    if not told.endswith(b"\n") or not modules:
        return answer("", lambda: _refuse(_died(verb, status)), None), []
    return line + b"\n", modules.decode().split()


def _be_child(answer: Callable[[], bytes], writing: int) -> None:
    """Never returns. Has nothing of the channel but stderr: were it left alone, whoever asked must see that."""
    gc.disable()  # to look for garbage would copy all that is shared with the parent; it ends before there is much
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
        line = answer()
        modules = " ".join(name for name in list(sys.modules) if name.startswith(_PACKAGE))
        _write(writing, line + modules.encode() + b"\n")
    finally:
        os._exit(0)


def _died(verb: str, status: int) -> AgentError:
    how = f"was killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "ended"
    return AgentError(
        "internal", f"the agent {how} during `{verb}`, before it said what came of it: observe the worker, or try again"
    )


def _load(modules: list[str]) -> None:
    """What a child had to load: the next one finds it loaded."""
    import importlib  # noqa: PLC0415

    if not _agent_is_there():
        return
    for name in modules:
        with suppress(ImportError, OSError):  # torn down right now; whoever needs it says so
            importlib.import_module(name)


def _agent_is_there() -> bool:
    return os.path.exists(sys.argv[0])  # noqa: PTH110 -- asked before each request


def _write(descriptor: int, line: bytes) -> None:
    left = memoryview(line)
    while left:
        left = left[os.write(descriptor, left) :]
