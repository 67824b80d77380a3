"""One verb a process: `python3 -IB AGENT VERB`; one line of JSON (and a payload) in, one line of JSON out.

`serve` does that again and again in one process.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .errors import AgentError, from_os_error
from .verbs import handle, log_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kept import Kept

_LONGEST_REQUEST = 64 * 1024 * 1024
_LONGEST_PAYLOAD = 512 * 1024 * 1024


def main() -> int:
    """Answer on what was stdout; anything else that prints ends on stderr. 0 whenever an answer was written."""
    answer_to = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # a connection that goes away must not end us midway; a handler, unlike SIG_IGN, is not inherited by jobs
    signal.signal(signal.SIGHUP, lambda *_: None)
    if sys.argv[1:] == ["follow"]:
        return _follow(answer_to)
    if sys.argv[1:] == ["serve"]:
        from .serve import serve  # noqa: PLC0415

        return serve(answer_to, _answer, _precompile)
    try:
        with os.fdopen(answer_to, "wb") as out:
            out.write(_answer(" ".join(sys.argv[1:]), _read_request))
    except OSError:
        return 1  # nobody is listening any more
    _precompile()
    return 0


def _follow(answer_to: int) -> int:
    """The one verb that answers more than once: its request is followed by nothing, and its end is that of stdin."""
    gc.enable()  # it may live for long
    try:
        from .follow import follow  # noqa: PLC0415

        follow(log_command(_read_line()), answer_to)
    except AgentError as error:
        failed = error
    except OSError as error:
        failed = from_os_error(error)
    else:
        return 0
    answer = {"ok": False, "error": {"code": failed.code, "message": failed.message, **failed.details}}
    with suppress(OSError):
        os.write(answer_to, json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    return 0


def _precompile() -> None:
    """Make the next start a quicker one, now that nobody waits for us any more."""
    script = sys.argv[0]
    if os.path.exists(f"{script}.{sys.implementation.cache_tag}.zip"):  # noqa: PTH110 -- as the agent's first lines
        return
    from .precompiled import write  # noqa: PLC0415

    # not on a full disk, as another user than the agent's, or where a teardown has just removed us
    with suppress(OSError):
        write(script)


def _answer(verb: str, read: Callable[[], tuple[Any, bytes]], kept: Kept | None = None) -> bytes:
    """The line of JSON that answers a request, whatever becomes of it."""
    answer = _handled(verb, read, kept)
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _handled(verb: str, read: Callable[[], tuple[Any, bytes]], kept: Kept | None) -> dict[str, Any]:
    try:
        request, payload = read()
        return {"ok": True, **handle(verb, request, payload, kept)}
    except AgentError as error:
        failed = error
    except OSError as error:
        failed = from_os_error(error)
    except Exception as error:  # noqa: BLE001 -- the one catch-all: the controller is owed an answer
        failed = AgentError("internal", _where(error))
    return {"ok": False, "error": {"code": failed.code, "message": failed.message, **failed.details}}


def _read_request() -> tuple[Any, bytes]:
    return _read_line(), sys.stdin.buffer.read(_LONGEST_PAYLOAD)


def _read_line() -> Any:
    line = sys.stdin.buffer.readline(_LONGEST_REQUEST)
    try:
        return json.loads(line)
    except ValueError:
        raise AgentError("protocol", "the request is not one line of JSON") from None


def _where(error: Exception) -> str:
    """What kind of mistake and where; not the message, which may quote what was being read."""
    place = "unknown"
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = f"{os.path.basename(code.co_filename)}:{traceback.tb_lineno} in {code.co_name}"  # noqa: PTH119
        traceback = traceback.tb_next
    return f"the agent has a mistake: {type(error).__name__} at {place}. Please report it"


if __name__ == "__main__":
    sys.exit(main())
