"""The order in which an activation puts things on disk, told from a trace of its system calls.

A kill -9 leaves the page cache, so no killed machine of these tests loses a write that nobody synced. What a power
loss would leave is decided by which fsync came before which rename, and that is what is checked here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gitopsd.agent.release import job_of_unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = PurePosixPath("/var/lib/gitopsd")
UNITS = PurePosixPath("/etc/systemd/system")
RELEASES, CURRENT = ROOT / "releases", ROOT / "current"
# what counts for a killed agent only: after a boot systemd has read everything anew, and nobody holds a lock
NOT_SYNCED = {ROOT / "activating", ROOT / "lock", ROOT / "guard"}
TRACED = (
    "openat,fsync,fdatasync,fchmod,chmod,rename,renameat,renameat2,symlink,symlinkat,mkdir,mkdirat,unlink,unlinkat,"
    "rmdir,execve,link,linkat,sendto"
)
_CHANGES_WHAT_RUNS = {"start", "stop", "restart", "try-restart", "reload", "reload-or-restart", "kill", "RestartUnit"}
_READS_UNITS = {"daemon-reload", "Reload"}
_CALLED = re.compile(r"\0(RestartUnit|Reload)\0")
_UNIT = re.compile(r"gitopsd-[a-z0-9._-]+\.(?:service|timer)")
_OF_THE_SWITCH = {"gitopsd-switch.timer", "gitopsd-switch.service"}

_WHOLE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)(?:<(?P<path>[^>]*)>)?")
_BEGUN = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<arguments>.*?)(?:,)? *<unfinished \.\.\.>")
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")


@dataclass(frozen=True, slots=True)
class Effect:
    """`write` (a file is opened for it, or its mode changes), `sync`, `rename` (to `path`, from `source`), `name` (one
    more name, of the file `source`), `make` (a directory), `link`, `remove`, or `run`, whose `words` are a command, or
    what systemd is asked for over its socket, and the units.
    """

    kind: str
    path: PurePosixPath
    source: PurePosixPath | None = None
    is_new: bool = True
    words: tuple[str, ...] = ()


def parse(trace: Iterable[str]) -> Iterator[Effect]:
    """The effects in the output of `strace -f -y -e trace=TRACED`, those that failed left out."""
    begun: dict[str, str] = {}
    for line in trace:
        if found := _BEGUN.match(line):
            begun[found["pid"]] = f"{found['pid']} {found['call']}({found['arguments']}"
            continue
        if found := _RESUMED.match(line):
            rest = found["rest"]
            head = begun.pop(found["pid"], "")
            line = head + (rest if rest.startswith(")") else f", {rest.lstrip(', ')}")  # noqa: PLW2901 -- made whole
        if (found := _WHOLE.match(line)) and not found["result"].startswith("-"):
            effect = _effect(found["call"], found["arguments"], found["path"] or "")
            if effect is not None:
                yield effect


def _call(texts: list[str], arguments: str) -> Effect | None:
    found = _CALLED.search(texts[0]) if texts else None
    if found is None or ("UNIX" not in arguments and "socket:" not in arguments):
        return None
    return Effect("run", PurePosixPath("systemd"), words=(found.group(1), *_UNIT.findall(texts[0])))


def _effect(call: str, arguments: str, result: str) -> Effect | None:  # noqa: PLR0911 -- one return a call
    texts = [text.encode().decode("unicode_escape") for text in _TEXT.findall(arguments)]
    descriptors = [PurePosixPath(path) for path in _DESCRIPTOR.findall(arguments)]
    if call == "openat":
        flags = set(re.findall(r"O_\w+", arguments))
        if not flags & {"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"}:
            return None
        return Effect("write", PurePosixPath(result), is_new="O_CREAT" in flags)
    if call in ("fsync", "fdatasync"):
        return Effect("sync", descriptors[0])
    if call == "sendto":
        return _call(texts, arguments)
    if call == "execve":
        return Effect("run", PurePosixPath(texts[0]), words=tuple(texts[1:]))
    where = descriptors[0] if descriptors else PurePosixPath("/")
    if call in ("fchmod", "chmod"):
        return Effect("write", where / texts[0] if texts else where, is_new=False)
    if call.startswith("rename"):
        source, target = (descriptors[-1] if descriptors else where) / texts[0], where / texts[1]
        return Effect("rename", target, source=source)
    if call in ("link", "linkat"):
        return Effect("name", where / texts[1], source=where / texts[0])
    kind = {"mkdir": "make", "symlink": "link", "unlink": "remove", "rmdir": "remove"}[call.removesuffix("at")]
    return Effect(kind, where / texts[-1])


class _Disk:
    """What a power loss would take: files whose content, and directories whose names, changed since they were synced.

    Names that are gone are not among it: where they come back, they are removed again.
    """

    def __init__(self) -> None:
        self.unsynced: set[PurePosixPath] = set()

    def at(self, path: PurePosixPath) -> list[PurePosixPath]:
        """What is not on disk of a file, or of a directory and all below it."""
        return sorted(one for one in self.unsynced - NOT_SYNCED if path == one or path in one.parents)

    def take(self, effect: Effect) -> None:
        match effect.kind:
            case "sync":
                self.unsynced.discard(effect.path)
            case "write" | "make":
                self.unsynced |= {effect.path, effect.path.parent} if effect.is_new else {effect.path}
            case "name":
                assert effect.source is not None
                self.unsynced |= {effect.path, effect.path.parent} if self.at(effect.source) else {effect.path.parent}
            case "link":
                self.unsynced.add(effect.path.parent)
            case "remove":
                self.unsynced -= set(self.at(effect.path))
            case "rename":
                assert effect.source is not None
                moved = self.at(effect.source)
                self.unsynced -= {*moved, *self.at(effect.path)}
                self.unsynced |= {effect.path / one.relative_to(effect.source) for one in moved}
                self.unsynced |= {effect.path.parent}


class _Checker:
    def __init__(self, marker: PurePosixPath | None) -> None:
        self.problems: list[str] = []
        self._disk = _Disk()
        self._marker = marker
        self._marker_is_there = False
        self._armed = marker is None
        self._current_moved = False

    def take(self, effect: Effect) -> None:
        if effect.kind == "rename" and effect.source is not None:
            self._require(effect.source, f"it was renamed to {effect.path}")
            if effect.path == CURRENT:
                self._require(RELEASES, "`current` was moved")
                self._current_moved = True
        if _READS_UNITS.intersection(effect.words):
            self._require(UNITS, "systemd read it")
        if self._current_moved and _changes_what_runs(effect):
            self.problems.append(f"{ROOT} was not synced between the move of `current` and {' '.join(effect.words)}")
            self._current_moved = False
        self._check_armed(effect)
        self._disk.take(effect)
        if effect == Effect("sync", ROOT):
            self._current_moved = False

    def end(self) -> list[str]:
        if self._current_moved:
            self.problems.append(f"{ROOT} was not synced after the move of `current`")
        for place in (RELEASES, UNITS, ROOT / "credentials"):
            self._require(place, "the end")
        if not self._armed:
            self.problems.append("no switch was armed")
        return self.problems

    def _require(self, path: PurePosixPath, event: str) -> None:
        self.problems += [f"{one} was not synced before {event}" for one in self._disk.at(path)]

    def _check_armed(self, effect: Effect) -> None:
        if self._armed or self._marker is None:
            return
        if effect.path == self._marker and effect.kind in ("rename", "write"):
            self._marker_is_there = True
        elif effect == Effect("sync", self._marker.parent):
            self._armed = self._marker_is_there and not self._disk.at(self._marker)
        elif effect.path == CURRENT or _is_of_a_job(effect) or _changes_what_runs(effect):
            self.problems.append(f"the switch was not on disk before {' '.join(effect.words) or effect.path}")
            self._armed = True  # said once


def violations(effects: Iterable[Effect], *, marker: PurePosixPath | None = None) -> list[str]:
    """What a power loss could show half done, a sentence each. `marker`: the file of the dead man's switch, which must
    be on disk before anything that runs is touched; None where none is armed.
    """
    checker = _Checker(marker)
    for effect in effects:
        checker.take(effect)
    return checker.end()


def _changes_what_runs(effect: Effect) -> bool:
    """Whether it starts, stops or reloads units, other than those of the switch itself."""
    return bool(_CHANGES_WHAT_RUNS.intersection(effect.words)) and not _OF_THE_SWITCH.intersection(effect.words)


def _is_of_a_job(effect: Effect) -> bool:
    """Whether it changes a unit of a job: not those of the switch itself."""
    return UNITS in effect.path.parents and job_of_unit(effect.path.name) is not None and effect.kind != "sync"
