"""What somebody wrote into managed files, for the record, before they are overwritten: text only, and bounded."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import unitfiles
from .errors import AgentError
from .manifest import path_problem
from .release import job_of_unit
from .store import current_release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .layout import Layout

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_BYTES = 256 * 1024  # of one file
_MOST_IN_ALL = 1024 * 1024
# systemd.exec(5): where people put passwords, in units and their drop-ins
_SECRET_SETTING = re.compile(r"^\s*((?:Environment|SetCredential|SetCredentialEncrypted)\s*=)", re.IGNORECASE)
_NOT_SHOWN = "(not shown)"


def show(layout: Layout, files: Sequence[Any], units: Sequence[Any]) -> list[dict[str, Any]]:
    """Files of the current release, by path, and unit files of jobs with what overrides them, by the unit's name.

    Each with `path`, `text` or the `problem` why there is none. No link is followed: not even an editor's.
    """
    release = current_release(layout)
    if release is None:
        raise AgentError("io", "this worker holds no release")
    left = _MOST_IN_ALL
    shown = []
    for path in files:
        if not isinstance(path, str) or path_problem(path):
            raise AgentError("protocol", f"{path!r} is not a path in a release")
        found = _read(layout.releases / release, path, min(left, _MOST_BYTES))
        left -= len(found.get("text", ""))
        shown.append({"path": path, **found})
    for unit in units:
        if not isinstance(unit, str) or job_of_unit(unit) is None:
            raise AgentError("protocol", f"{unit!r} is not a job's unit")
        for place in (str(unitfiles.DIRECTORY / unit), *sorted(unitfiles.drop_ins(unit))):
            found = _read(Path("/"), place.lstrip("/"), min(left, _MOST_BYTES))
            if "text" in found:
                found["text"] = without_values(found["text"])
            left -= len(found.get("text", ""))
            shown.append({"path": place, **found})
    return shown


def without_values(text: str) -> str:
    """A unit's text without the values of settings that hold passwords, over all the lines that they go on for."""
    kept = []
    hidden = False
    for line in text.splitlines(keepends=True):
        found = _SECRET_SETTING.match(line)
        goes_on = line.rstrip("\r\n").endswith("\\")
        if found:
            kept.append(f"{found.group(1)}{_NOT_SHOWN}\n")
        elif not hidden:
            kept.append(line)
        hidden = goes_on and (hidden or found is not None)
    return "".join(kept)


def _read(directory: Path, path: str, most: int) -> dict[str, Any]:
    *parents, name = path.split("/")
    opened = []
    try:
        opened.append(os.open(directory, _FOLDER))
        for parent in parents:
            opened.append(os.open(parent, _FOLDER, dir_fd=opened[-1]))
        return _read_file(name, opened[-1], most)
    except FileNotFoundError:
        return {"problem": "it is not there"}
    except OSError as error:
        return {"problem": f"it can't be read: {error.strerror}"}
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _read_file(name: str, directory: int, most: int) -> dict[str, Any]:
    kind = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISLNK(kind.st_mode):
        return {"problem": f"it is a link to {os.readlink(name, dir_fd=directory)}"}
    if not stat.S_ISREG(kind.st_mode) or kind.st_nlink != 1:
        return {"problem": "it is not a plain file of its own"}
    # O_NONBLOCK: should a pipe have taken the file's place since, do not wait for its writer
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return {"problem": "it is not a plain file of its own"}
        content = file.read(most + 1)
    if len(content) > most:
        return {"problem": f"it is too long to show ({kind.st_size} bytes)"}
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return {"problem": "it is not text"}
    return {"problem": "it is not text"} if "\0" in text else {"text": text}
