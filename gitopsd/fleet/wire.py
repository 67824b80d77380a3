"""Requests and answers as bytes, the same over SSH and to a local agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gitopsd.fleet.errors import WorkerRefused
from gitopsd.model.not_json import NOT_JSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitopsd.fleet.layout import Layout

PROTOCOL = 1
_EXCERPT = 300
_EXCERPT_BYTES = 16 * _EXCERPT

_encode = msgspec.json.Encoder().encode


class _Error(msgspec.Struct, frozen=True):
    code: str
    message: str


def encode_request(layout: Layout, request: Mapping[str, Any]) -> bytes:
    """One line of JSON; a payload follows it as it is."""
    return _encode({"protocol": PROTOCOL, "layout": layout.as_json(), **request}) + b"\n"


def encode_served(layout: Layout, verb: str, request: Mapping[str, Any], payload: bytes) -> bytes:
    """A request to an agent that stays: its line also says what is asked, and where the payload ends."""
    head = {"verb": verb, "size": len(payload), "protocol": PROTOCOL, "layout": layout.as_json(), **request}
    return b"".join((_encode(head), b"\n", payload))


def decode_answer(worker: str, verb: str, status: int | None, stdout: bytes, stderr: bytes) -> dict[str, Any]:
    """The agent's one line; WorkerRefused when it says no, or when what came back is no answer."""
    try:
        answer = msgspec.json.decode(stdout, type=dict[str, Any])
    except NOT_JSON:
        raise _no_answer(worker, verb, status, stdout, stderr) from None
    if answer.pop("ok", None) is True:
        return answer
    try:
        error = msgspec.convert(answer.get("error"), _Error)
    except msgspec.ValidationError:
        raise _no_answer(worker, verb, status, stdout, stderr) from None
    details = {key: value for key, value in answer["error"].items() if key not in ("code", "message")}
    raise WorkerRefused(worker, error.code, f"{worker}: {error.message}", details)


def excerpt(output: bytes) -> str:
    """The end of what a command printed, on one line, fit for a message."""
    text = " ".join(output[-_EXCERPT_BYTES:].decode("utf-8", "replace").split())
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= _EXCERPT else "…" + printable[-_EXCERPT:]


def _no_answer(worker: str, verb: str, status: int | None, stdout: bytes, stderr: bytes) -> WorkerRefused:
    seen = excerpt(stderr) or excerpt(stdout) or "nothing"
    ended = "was killed" if status is None or status < 0 else f"exited with {status}"
    return WorkerRefused(
        worker,
        "protocol",
        f"{worker}: the agent {ended} on `{verb}` without an answer that makes sense; it printed: {seen}. "
        "If it goes on, look at the worker's memory, disk and login scripts",
    )
