"""What a copy's job.json says instead of its job's: the ends of its channels are its own, so that it meets nobody.

Of a job that the runner runs, inputs become sockets that only `feed` speaks to, and outputs files that nobody consumes.
A program that speaks to channels by itself keeps its transports, under names and in places of the copy's own.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .copy_place import CopyPlace

WRITTEN = "written"


class CopiedJob(NamedTuple):
    """`document` is the copy's job.json; `parted` are directories of the original's that the copy doesn't use."""

    document: dict[str, Any]
    parted: frozenset[str]


def copied_job(original: Any, place: CopyPlace) -> CopiedJob:
    """AgentError `unsupported` where a channel's transport can't be parted from the original's."""
    if not isinstance(original, dict):
        raise AgentError("unsupported", "the job's job.json is not a JSON object: `gitopsd reconcile` puts it right")
    document = {**original, "job": place.name}
    parted: set[str] = set()
    if isinstance(original.get("runner"), dict):
        runner = dict(original["runner"])
        runner["inputs"] = _ends(runner.get("inputs"), place, parted, _runner_input)
        runner["outputs"] = _ends(runner.get("outputs"), place, parted, _runner_output)
        runner["with"] = _settings(runner, place, parted)
        document["runner"] = runner
    if isinstance(original.get("channels"), dict):
        channels = dict(original["channels"])
        channels["inputs"] = _ends(channels.get("inputs"), place, parted, _own_input)
        channels["outputs"] = _ends(channels.get("outputs"), place, parted, _own_output)
        document["channels"] = channels
    for key, side, make in (("on", "inputs", _runner_input), ("signals", "outputs", _runner_output)):
        if isinstance(original.get(key), dict):
            ends = _ends({key: original[key].get(side)}, place, parted, make)
            document[key] = {**original[key], side: ends.get(key, [])}
    return CopiedJob(document, frozenset(parted))


def inputs_of(document: Any) -> dict[str, Mapping[str, Any]]:
    """Port -> the end that listens at a socket, of a copy's job.json, which a person may have edited."""
    found: dict[str, Mapping[str, Any]] = {}
    for section in ("runner", "channels"):
        part = document.get(section) if isinstance(document, dict) else None
        ports = part.get("inputs") if isinstance(part, dict) else None
        for port, ends in ports.items() if isinstance(ports, dict) else ():
            for end in ends if isinstance(ends, list) else ():
                if isinstance(end, dict) and end.get("transport") == "worker":
                    found.setdefault(port, end)
    on = document.get("on") if isinstance(document, dict) else None
    ends = on.get("inputs") if isinstance(on, dict) else None
    for end in ends if isinstance(ends, list) else ():
        if isinstance(end, dict) and end.get("transport") == "worker":
            found.setdefault("on", end)
    return found


def _ends(
    ports: Any,
    place: CopyPlace,
    parted: set[str],
    make: Callable[[CopyPlace, str, list[dict[str, Any]]], list[dict[str, Any]]],
) -> dict[str, list[dict[str, Any]]]:
    made: dict[str, list[dict[str, Any]]] = {}
    for port, ends in ports.items() if isinstance(ports, dict) else ():
        known = [end for end in ends if isinstance(end, dict)] if isinstance(ends, list) else []
        parted.update(end["path"] for end in known if isinstance(end.get("path"), str))
        made[port] = make(place, port, known) if known else []
    return made


def _runner_input(place: CopyPlace, port: str, ends: list[dict[str, Any]]) -> list[dict[str, Any]]:
    del ends
    return [{"transport": "worker", "channel": _channel(place, port), "socket": _socket(place, "in", port)}]


def _runner_output(place: CopyPlace, port: str, ends: list[dict[str, Any]]) -> list[dict[str, Any]]:
    del ends
    return [_store(place, port)]


def _own_input(place: CopyPlace, port: str, ends: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One end a channel, as the program expects them."""
    made = []
    for number, end in enumerate(ends):
        own: dict[str, Any] = {**end, "channel": _channel(place, port)}
        if end.get("transport") == "worker":
            own["socket"] = _socket(place, "in", port, str(number))
        elif end.get("transport") == "file-store":
            own["path"] = str(place.state / f"in-{port}")
        else:
            raise _inseparable(port, end)
        made.append(own)
    return made


def _own_output(place: CopyPlace, port: str, ends: list[dict[str, Any]]) -> list[dict[str, Any]]:
    made = []
    for number, end in enumerate(ends):
        own: dict[str, Any] = {**end, "channel": _channel(place, port)}
        if end.get("transport") == "worker":
            sockets = end.get("sockets")
            count = len(sockets) if isinstance(sockets, list) else 0
            own["sockets"] = sorted(_socket(place, "out", port, str(number), str(index)) for index in range(count))
        elif end.get("transport") == "file-store":
            own.update(path=str(place.state / f"out-{port}"), producer=place.name, consumers={})
        else:
            raise _inseparable(port, end)
        made.append(own)
    return made


def _settings(runner: Mapping[str, Any], place: CopyPlace, parted: set[str]) -> Any:
    """What `std/write-files` writes goes to a directory of the copy's own."""
    settings = runner.get("with", {})
    if runner.get("role") != "write-files" or not isinstance(settings, dict):
        return settings
    if isinstance(settings.get("path"), str):
        parted.add(settings["path"])
    return {**settings, "path": str(place.state / WRITTEN)}


def _store(place: CopyPlace, port: str) -> dict[str, Any]:
    return {
        "transport": "file-store",
        "channel": _channel(place, port),
        "path": str(place.state / f"out-{port}"),
        "producer": place.name,
        "consumers": {},
    }


def _channel(place: CopyPlace, port: str) -> str:
    return f"copy.{place.name}.{port}"


def _socket(place: CopyPlace, *parts: str) -> str:
    return sha256("\0".join(("copy", place.name, *parts)).encode()).hexdigest()[:12]


def _inseparable(port: str, end: Mapping[str, Any]) -> AgentError:
    return AgentError(
        "unsupported",
        f"its port {port} speaks {end.get('transport')} by itself: a copy would take or repeat the original's events, "
        "so there is none of such a job",
    )
