from typing import Any

import msgspec
import pytest

from gitopsd.planner.hot_edits import FoundText, file_edit, find_edits, unit_edit
from tests.planner.test_drift import FILES, IN_SYNC, JOB, UNIT, unit

FILE = f"jobs/{JOB}/job.json"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
BEFORE, AFTER = "word = edited\n", b"word = beta\n"


def observed(files: dict[str, tuple[str, str]]) -> dict[str, Any]:
    return {"tree": "2" * 40, "files": tuple((path, *found) for path, found in files.items())}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({**FILES, FILE: ("100644", "e" * 40)}, {FILE: "edited"}),
        ({**FILES, FILE: ("100600", FILES[FILE][1])}, {FILE: "edited"}),
        ({path: found for path, found in FILES.items() if path != FILE}, {FILE: "removed"}),
        ({**FILES, "notes": ("100644", "e" * 40)}, {"notes": "added"}),
    ],
)
def test_each_file_that_is_not_as_it_was_deployed_is_found(
    files: dict[str, tuple[str, str]], expected: dict[str, str]
) -> None:
    seen = msgspec.convert({**msgspec.to_builtins(IN_SYNC), **observed(files)}, type(IN_SYNC))
    found = find_edits(FILES, seen, "systemd")
    assert found.files == expected
    assert found.units == ()


def test_units_are_looked_at_where_systemd_runs_them() -> None:
    seen = msgspec.structs.replace(IN_SYNC, units=unit(blob="f" * 40))
    assert find_edits(FILES, seen, "systemd").units == (UNIT,)
    assert find_edits(FILES, seen, "supervisor").is_empty
    assert find_edits(FILES, IN_SYNC, "systemd").is_empty
    assert find_edits(FILES, msgspec.structs.replace(IN_SYNC, units={}), "systemd").is_empty


def test_the_diff_leads_from_what_was_found_to_what_was_deployed() -> None:
    edit = file_edit(FILE, "edited", FoundText(text=BEFORE), AFTER)
    assert edit.diff.endswith("-word = edited\n+word = beta\n")


def test_of_files_that_nobody_deployed_nothing_is_told_but_that_they_were_there() -> None:
    edit = file_edit("notes", "added", FoundText(text="hunter2"), b"")
    assert (edit.change, edit.diff) == ("added", "")
    assert "hunter2" not in edit.note


def test_what_can_not_be_shown_says_why() -> None:
    edit = file_edit(FILE, "edited", FoundText(problem="it is a link to /etc/shadow"), AFTER)
    assert (edit.diff, edit.note) == ("", "it is a link to /etc/shadow")
    assert file_edit(FILE, "edited", FoundText(text="word = beta\n"), AFTER).note == "only its mode differs"


def test_a_unit_that_was_only_overridden_was_not_edited() -> None:
    assert unit_edit(UNIT_FILE, FoundText(text=AFTER.decode()), AFTER) is None
    drop_in = unit_edit(f"{UNIT_FILE}.d/a.conf", FoundText(text="[Service]\nNice=5\n"), None)
    assert drop_in is not None
    assert drop_in.change == "added"
    assert "-Nice=5" in drop_in.diff
    gone = unit_edit(UNIT_FILE, FoundText(problem="it is not there"), AFTER)
    assert gone is not None
    assert gone.change == "removed"


def test_a_long_diff_keeps_whole_lines_and_says_how_many_are_left_out() -> None:
    found = "".join(f"line {number}\n" for number in range(5000))
    edit = file_edit(FILE, "edited", FoundText(text=found), AFTER)
    *_, last = edit.diff.splitlines()
    assert len(edit.diff) < 9000
    assert last.endswith(" more lines")
