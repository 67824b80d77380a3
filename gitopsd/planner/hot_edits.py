"""What somebody changed by hand on a worker, in files that gitopsd manages: what converging overwrites."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from gitopsd.model.facts import Observation
from gitopsd.planner.plan.text_diff import text_diff

UNITS_FOLDER = "units/"
_LONGEST_DIFF = 8 * 1024


class HotEdit(Struct, frozen=True, kw_only=True):
    """`path` is one in the release, or that of a unit file or drop-in on the machine.

    `diff` leads from what was found to what was deployed; where there is none, `note` says why.
    """

    path: str
    change: Literal["edited", "removed", "added"]
    diff: str = ""
    note: str = ""


class FoundText(Struct, frozen=True, kw_only=True):
    """What a worker shows of a file: its text, or the problem why there is none."""

    text: str | None = None
    problem: str = ""


class Edits(Struct, frozen=True, kw_only=True):
    """What differs, by path in the release and by name of the unit: what has to be looked at to tell how."""

    files: Mapping[str, Literal["edited", "removed", "added"]]
    units: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.files or self.units)

    @property
    def edited_files(self) -> tuple[str, ...]:
        """Those of which the text counts: what was added isn't managed, and what was removed is gone."""
        return tuple(path for path, change in self.files.items() if change == "edited")


def find_edits(held: Mapping[str, tuple[str, str]], observed: Observation, service_manager: str) -> Edits:
    """Compares a worker with `held`, path -> (mode, blob id) of the release that it says it holds."""
    files: dict[str, Literal["edited", "removed", "added"]] = {}
    if observed.tree not in {None, observed.release}:
        found = {file.path: (file.mode, file.blob) for file in observed.files}
        for path in sorted({*held, *found}):
            if held.get(path) != found.get(path):
                files[path] = "removed" if path not in found else "added" if path not in held else "edited"
    units = []
    if service_manager == "systemd":
        for path, (_, blob) in held.items():
            unit = observed.units.get(path.removeprefix(UNITS_FOLDER)) if path.startswith(UNITS_FOLDER) else None
            # one that is not there at all has nothing that could be overwritten
            if unit is not None and (unit.blob != blob or unit.drop_ins):
                units.append(path.removeprefix(UNITS_FOLDER))
    return Edits(files=files, units=tuple(units))


def file_edit(path: str, change: Literal["edited", "removed", "added"], found: FoundText, wanted: bytes) -> HotEdit:
    """An edit of a file of the release; that of an added one is not recorded, since nobody rendered it."""
    if change == "added":
        return HotEdit(path=path, change=change, note="it is not part of the release, and its content isn't recorded")
    if change == "removed":
        return HotEdit(path=path, change=change)
    return _edited(path, found, wanted)


def unit_edit(path: str, found: FoundText, wanted: bytes | None) -> HotEdit | None:
    """An edit of a unit file, or of a drop-in where nothing is `wanted`; None where it isn't changed after all."""
    if found.text is None and wanted is not None and "not there" in found.problem:
        return HotEdit(path=path, change="removed")
    if found.text is not None and wanted is not None and found.text.encode() == wanted:
        return None
    edit = _edited(path, found, wanted or b"")
    return edit if wanted is not None else HotEdit(path=path, change="added", diff=edit.diff, note=edit.note)


def _edited(path: str, found: FoundText, wanted: bytes) -> HotEdit:
    if found.text is None:
        return HotEdit(path=path, change="edited", note=found.problem)
    if found.text.encode() == wanted:
        return HotEdit(path=path, change="edited", note="only its mode differs" if wanted else "it is empty")
    return HotEdit(path=path, change="edited", diff=_limited(text_diff(path, found.text.encode(), wanted)))


def _limited(diff: str) -> str:
    """Whole lines up to what a record should hold."""
    if len(diff) <= _LONGEST_DIFF:
        return diff
    kept = diff[:_LONGEST_DIFF].rpartition("\n")[0]
    return f"{kept}\n… {diff.count(chr(10)) - kept.count(chr(10)) - 1} more lines\n"
