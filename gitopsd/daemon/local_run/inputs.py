"""The files that events are taken from, and where in the run they go."""

import glob
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from gitopsd.compiler.local.entrances import Entrance, beginnings, entrances
from gitopsd.compiler.local.run import Wishes
from gitopsd.compiler.local.subject import Subject
from gitopsd.daemon.errors import ControllerError
from gitopsd.model.names import did_you_mean
from gitopsd.runner.lines import EVENT_BYTES

_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """`given`: channel -> file of events; `files`: reading step -> the file that it reads itself.

    `notes` are for people: what in the files looks like a slip.
    """

    given: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def wishes(self, asked: Sequence[str]) -> Wishes:
        return Wishes(
            files={step: glob.escape(str(path)) for step, path in self.files.items()}, given=[*self.given], asked=asked
        )


def find_inputs(subject: Subject, asked: Sequence[str], aside: Path) -> Inputs:
    """`asked` are `FILE` or `PORT=FILE`, where a workflow has channels and reading steps for ports.

    What can be read only once, such as `-` for stdin, is copied to the directory `aside`. Raises ControllerError.
    """
    given: dict[str, Path] = {}
    files: dict[str, Path] = {}
    notes: list[str] = []
    for text in asked:
        port, equals, rest = text.partition("=")
        is_named = bool(equals) and not Path(text).exists()
        entrance = _named(subject, port) if is_named else _only(subject)
        name = entrance.reader or entrance.channel
        if name in given or name in files:
            raise ControllerError(f"two files were given for {name}", "give one: `cat A B` makes one of two")
        file = _opened(rest if is_named else text, aside / f"input-{len(given) + len(files)}")
        _check_events(file)
        (files if entrance.reader else given)[name] = file.path
        if not entrance.reader or subject.system.steps[name].params.get("format") == "jsonl":
            notes += _look_at(file)
    return Inputs(given=given, files=files, notes=tuple(notes))


def _named(subject: Subject, port: str) -> Entrance:
    known = entrances(subject)
    if port not in known:
        raise ControllerError(f"{subject.name} takes no events at `{port[:80]}`", did_you_mean(port, known))
    return known[port]


def _only(subject: Subject) -> Entrance:
    begin = beginnings(subject)
    if len(begin) == 1:
        return next(iter(begin.values()))
    if not begin:
        raise ControllerError(f"{subject.name} takes no events", "run a step that reads a channel, or the workflow")
    shown = ", ".join(f"`{name}`" for name in sorted(begin))
    raise ControllerError(
        f"{subject.name} takes events at several places: {shown}", f"say where: --input {min(begin)}=FILE"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """`shown` is what people call it."""

    shown: str
    path: Path


def _opened(name: str, copy: Path) -> _File:
    """A file that can be read again and again. Raises ControllerError."""
    path = Path("/dev/stdin" if name == "-" else name)
    shown = "stdin" if name == "-" else name
    try:
        with path.open("rb") as file:
            if S_ISREG(os.fstat(file.fileno()).st_mode) and name != "-":
                return _File(shown=shown, path=Path(os.path.abspath(path)))  # noqa: PTH100 - a link keeps its name
            with copy.open("wb") as target:
                shutil.copyfileobj(file, target)
    except OSError as error:
        raise ControllerError(f"{shown} can't be read: {error.strerror or error}", "name a file of events") from None
    return _File(shown=shown, path=copy)


def _check_events(file: _File) -> None:
    with file.path.open("rb") as lines:
        if not any(line.strip() for line in lines):
            hint = 'an event is a line: one JSON value, such as {"id": 1}'
            raise ControllerError(f"{file.shown} holds no events", hint)


def _look_at(given: _File) -> list[str]:
    """A note where lines aren't JSON. Raises ControllerError for what no channel carries."""
    path = given.shown
    wrong = 0
    first = ""
    with given.path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if len(line) >= EVENT_BYTES:
                hint = "an event is a line; is this one file of JSON over several lines? `jq -c .` makes lines of it"
                raise ControllerError(f"{path}:{number}: the line is longer than {EVENT_BYTES >> 20} MiB", hint)
            problem = _problem(line.rstrip())
            if problem:
                wrong += 1
                first = first or f"{path}:{number}: {problem}"
    if not wrong:
        return []
    more = f", nor {wrong - 1:,} more line{'s' if wrong > 2 else ''}" if wrong > 1 else ""
    return [f"{first}{more}; what isn't JSON goes in as it is, as it would in a deployment"]


def _problem(line: bytes) -> str:
    if not line.strip():
        return ""
    try:
        json.loads(line)
    except UnicodeDecodeError:
        return "not UTF-8"
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg} at column {error.colno})"
    except RecursionError:
        return "not JSON that can be read: it is nested too deeply"
    return ""


def blocks_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, blank ones left out, each with its end."""
    block: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        for line in file:
            event = line.rstrip(b"\r\n")
            if event:
                block.append(event + b"\n")
                size += len(event)
            if size > _BLOCK:
                yield b"".join(block)
                block, size = [], 0
    if block:
        yield b"".join(block)
