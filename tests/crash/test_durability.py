"""The checker of the order on disk finds each way to get it wrong, in traces made by hand."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tests.crash.durability import Effect, parse, violations

MARKER = PurePosixPath("/var/lib/gitopsd/switch.json")
R = "/var/lib/gitopsd"
U = "/etc/systemd/system"
GOOD = f"""\
1 openat(AT_FDCWD</root>, "{R}/.switch.json.new", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600) = 5<{R}/.switch.json.new>
1 fsync(5<{R}/.switch.json.new>) = 0
1 rename("{R}/.switch.json.new", "{R}/switch.json") = 0
1 fsync(5<{R}>) = 0
1 mkdir("{R}/staging", 0700) = 0
1 mkdir("{R}/staging/abc", 0755) = 0
1 mkdir("{R}/releases", 0755) = 0
1 openat(AT_FDCWD</root>, "{R}/staging/abc/file", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 5<{R}/staging/abc/file>
1 fchmod(5<{R}/staging/abc/file>, 0644) = 0
1 fsync(5<{R}/staging/abc/file>) = 0
1 fsync(5<{R}/staging/abc>) = 0
1 rename("{R}/staging/abc", "{R}/releases/abc") = 0
1 fsync(5<{R}/releases>) = 0
1 symlink("releases/abc", "{R}/.current.new") = 0
1 rename("{R}/.current.new", "{R}/current") = 0
1 fsync(5<{R}>) = 0
2 execve("/usr/local/bin/systemctl", ["systemctl", "stop", "gitopsd-a.b.0.service"], 0x1 /* 9 vars */) = -1 ENOENT (No)
2 execve("/usr/bin/systemctl", ["systemctl", "stop", "gitopsd-a.b.0.service"], 0x1 /* 9 vars */) = 0
1 openat(AT_FDCWD</root>, "{U}/.gitopsd-a.c.0.service.new", O_WRONLY|O_CREAT, 0600) = 5<{U}/.gitopsd-a.c.0.service.new>
1 fsync(5<{U}/.gitopsd-a.c.0.service.new> <unfinished ...>
2 exit_group(0) = ?
1 <... fsync resumed>) = 0
1 rename("{U}/.gitopsd-a.c.0.service.new", "{U}/gitopsd-a.c.0.service") = 0
1 fsync(5<{U}>) = 0
2 execve("/usr/bin/systemctl", ["systemctl", "daemon-reload"], 0x1 /* 9 vars */) = 0
1 sendto(6<UNIX-STREAM:[1->2]>, "l\\3\\1s\\0\\0RestartUnit\\0gitopsd-a.c.0.service\\0", 90, 0, NULL, 0) = 90
""".splitlines()

FORGOTTEN = {
    "the switch's file": (1, f"{R}/.switch.json.new was not synced before it was renamed to {R}/switch.json"),
    "the switch's name": (3, f"the switch was not on disk before {R}/current"),
    "a file of the release": (9, f"{R}/staging/abc/file was not synced before it was renamed to {R}/releases/abc"),
    "a directory of the release": (10, f"{R}/staging/abc was not synced before it was renamed to {R}/releases/abc"),
    "the release's name": (12, f"{R}/releases was not synced before `current` was moved"),
    "the link's name": (
        15,
        f"{R} was not synced between the move of `current` and systemctl stop gitopsd-a.b.0.service",
    ),
    "a unit": (19, f"{U}/.gitopsd-a.c.0.service.new was not synced before it was renamed to {U}/gitopsd-a.c.0.service"),
    "a unit's name": (23, f"{U} was not synced before systemd read it"),
}


def test_the_right_order_has_nothing_wrong_with_it() -> None:
    assert violations(parse(GOOD), marker=MARKER) == []


@pytest.mark.parametrize("what", FORGOTTEN)
def test_a_sync_that_was_forgotten_is_found(what: str) -> None:
    line, complaint = FORGOTTEN[what]
    left_out = [GOOD[line]] if "resumed" not in GOOD[line + 2] else [GOOD[line], GOOD[line + 2]]
    assert "fsync" in left_out[0]
    assert complaint in violations(parse([one for one in GOOD if one not in left_out]), marker=MARKER)


def test_a_file_that_changed_after_its_sync_is_not_on_disk() -> None:
    again = f'1 chmod("{R}/staging/abc/file", 0600) = 0'
    found = violations(parse([*GOOD[:10], again, *GOOD[10:]]), marker=MARKER)
    assert found[0] == f"{R}/staging/abc/file was not synced before it was renamed to {R}/releases/abc"


def test_a_file_gets_no_second_name_before_it_is_on_disk() -> None:
    link = f'1 linkat(AT_FDCWD</root>, "{R}/old", AT_FDCWD</root>, "{R}/staging/abc/linked", 0) = 0'
    assert violations(parse([*GOOD[:8], link, *GOOD[8:]]), marker=MARKER) == []
    written = f'1 openat(AT_FDCWD</root>, "{R}/old", O_WRONLY|O_CREAT, 0600) = 5<{R}/old>'
    found = violations(parse([*GOOD[:8], written, link, *GOOD[8:]]), marker=MARKER)
    assert f"{R}/staging/abc/linked was not synced before it was renamed to {R}/releases/abc" in found
    late = violations(parse([*GOOD[:11], link, *GOOD[11:]]), marker=MARKER)
    assert f"{R}/staging/abc was not synced before it was renamed to {R}/releases/abc" in late


def test_what_systemd_is_asked_for_over_its_socket_counts_like_a_command() -> None:
    called = GOOD[-1]
    assert violations(parse([called, *GOOD]), marker=MARKER)[0].startswith("the switch was not on disk before")
    assert violations(parse([called.replace("a.c.0.service", "switch.timer"), *GOOD]), marker=MARKER) == []
    reload = called.replace("RestartUnit", "Reload")
    found = violations(parse([*GOOD[:23], reload, *GOOD[23:]]), marker=MARKER)
    assert found == [f"{U} was not synced before systemd read it"]


def test_without_a_switch_it_is_missed_only_where_one_is_expected() -> None:
    without = GOOD[4:]
    assert violations(parse(without)) == []
    assert violations(parse(without), marker=MARKER) == [f"the switch was not on disk before {R}/current"]


def test_what_failed_did_nothing_and_what_was_interrupted_is_put_together() -> None:
    assert Effect("sync", PurePosixPath(f"{U}/.gitopsd-a.c.0.service.new")) in list(parse(GOOD))
    stops = [effect for effect in parse(GOOD) if "stop" in effect.words]
    assert [str(effect.path) for effect in stops] == ["/usr/bin/systemctl"]
