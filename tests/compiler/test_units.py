import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.compiler.paths import is_plain_absolute
from gitopsd.compiler.render.unit import path_list, timer_text, unit_name, unit_text
from gitopsd.compiler.render.unit_settings import PRIVILEGES, SETTINGS, UnitValueError, setting_text
from tests.compiler.cases import GOLDEN

LINE = re.compile(r"\[[A-Z][a-z]+\]|[A-Za-z]+=[^\n\r\0]*|")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("MemoryMax", "128M", "128M"),
        ("MemoryMax", 1024, "1024"),
        ("MemoryMax", "50%", "50%"),
        ("MemoryHigh", "infinity", "infinity"),
        ("CPUQuota", "150%", "150%"),
        ("PrivateTmp", False, "no"),
        ("PrivateTmp", "yes", "yes"),
        ("ProtectHome", True, "yes"),
        ("ProtectHome", "read-only", "read-only"),
        ("Nice", -20, "-20"),
        ("Nice", "19", "19"),
        ("UMask", "0027", "0027"),
        ("LimitNOFILE", "1024:4096", "1024:4096"),
        ("TimeoutStartSec", "90s", "90s"),
        ("TasksMax", "10%", "10%"),
        ("ReadOnlyPaths", "/opt /srv/100%", "/opt /srv/100%%"),
        ("InaccessiblePaths", "-/home /mnt", "-/home /mnt"),
        ("User", "postgres", "postgres"),
        ("SupplementaryGroups", "adm systemd-journal", "adm systemd-journal"),
        ("AmbientCapabilities", "CAP_NET_BIND_SERVICE CAP_SYS_TTY_CONFIG", "CAP_NET_BIND_SERVICE CAP_SYS_TTY_CONFIG"),
        ("CapabilityBoundingSet", "CAP_BPF", "CAP_BPF"),
        ("ReadWritePaths", "/srv/a -/srv/100%", "/srv/a -/srv/100%%"),
    ],
)
def test_a_setting_is_written_as_systemd_reads_it(name: str, value: object, text: str) -> None:
    assert setting_text(name, value) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MemoryMax", "128M\nExecStart=/bin/sh"),
        ("MemoryMax", "128M\n"),
        ("MemoryMax", "lots"),
        ("MemoryMax", True),
        ("MemoryMax", 1.5),
        ("MemoryMax", None),
        ("MemoryMax", ["1"]),
        ("MemoryMax", ""),
        ("CPUQuota", "50"),
        ("CPUWeight", 0),
        ("CPUWeight", 10001),
        ("Nice", 20),
        ("Nice", -21),
        ("UMask", 27),
        ("UMask", "0999"),
        ("PrivateTmp", "maybe"),
        ("PrivateTmp", 1),
        ("ReadOnlyPaths", "/opt\\"),
        ("ReadOnlyPaths", '"/opt"'),
        ("ReadOnlyPaths", "opt"),
        ("ReadOnlyPaths", "/a\0"),
        ("ReadOnlyPaths", "/a\u2028b"),
        ("ReadOnlyPaths", "+/opt"),
        ("User", "root\n"),
        ("User", "0"),
        ("User", "-x"),
        ("User", ""),
        ("User", "%i"),
        ("SupplementaryGroups", "adm  docker"),
        ("SupplementaryGroups", "adm,docker"),
        ("ExecStartPre", "/bin/true"),
        ("SystemCallFilter", "@privileged"),
        ("SystemCallFilter", "~@chown"),
        ("SystemCallFilter", "@chown @resources @mount"),
        ("ReadWritePaths", "+/etc"),
        ("AmbientCapabilities", "~CAP_SYS_ADMIN"),
        ("AmbientCapabilities", "cap_sys_admin"),
        ("CapabilityBoundingSet", "CAP_CHOWN\tCAP_KILL"),
    ],
)
def test_a_setting_that_could_do_harm_or_nothing_is_refused(name: str, value: object) -> None:
    with pytest.raises(UnitValueError):
        setting_text(name, value)


@given(name=st.sampled_from(sorted(SETTINGS)), value=st.text(max_size=30) | st.integers() | st.booleans())
def test_no_value_of_a_setting_can_add_a_line(name: str, value: object) -> None:
    try:
        settings = {name: value}
        text = unit_text("a.b.0", kind="service", notifies=True, directories=(), settings=settings)
    except UnitValueError:
        return
    assert all(LINE.fullmatch(line) for line in text.splitlines())
    assert len(text.splitlines()) <= len(plain_unit().splitlines()) + 1


@given(name=st.sampled_from(sorted(PRIVILEGES)), value=st.text(max_size=30) | st.integers() | st.booleans())
def test_no_value_of_a_privilege_can_add_a_line(name: str, value: object) -> None:
    try:
        text = unit_text("a.b.0", kind="service", notifies=True, directories=(), settings={name: value})
    except UnitValueError:
        return
    assert all(LINE.fullmatch(line) for line in text.splitlines())
    keys = [line.partition("=")[0] for line in text.splitlines() if "=" in line]
    assert {key for key in keys if keys.count(key) > 1} <= {"SystemCallFilter"}  # the second one denies
    assert set(keys) - {line.partition("=")[0] for line in plain_unit().splitlines()} <= {*PRIVILEGES, "ExecStartPre"}


def test_paths_that_the_operator_allowed_come_beside_the_directories_of_the_job() -> None:
    settings = {"ReadWritePaths": "/var/lib/x"}
    text = unit_text("a.b.0", kind="service", notifies=True, directories=["/srv/out"], settings=settings)
    assert "ReadWritePaths=/srv/out /var/lib/x" in text.splitlines()


def test_a_user_of_its_own_neither_takes_the_sockets_over_nor_is_kept_from_them() -> None:
    settings = {"User": "postgres", "SupplementaryGroups": "adm"}
    text = unit_text("a.b.0", kind="service", notifies=True, directories=["/srv/out"], settings=settings)
    assert "User=postgres" in text.splitlines()
    assert "RuntimeDirectory" not in text
    assert "SupplementaryGroups=gitopsd-job adm" in text.splitlines()
    assert "ReadWritePaths=/srv/out -/run/gitopsd/s" in text.splitlines()


def plain_unit() -> str:
    return unit_text("a.b.0", kind="service", notifies=True, directories=(), settings={})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/srv/out", "/srv/out"),
        ("/srv/with space", '"/srv/with space"'),
        ("/srv/100%", "/srv/100%%"),
        ("/srv/é$;#", "/srv/é$;#"),
    ],
)
def test_a_path_is_quoted_where_it_must_be(path: str, text: str) -> None:
    assert is_plain_absolute(path)
    assert path_list([path, "/x"]) == f"{text} /x"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "srv",
        "/srv/",
        "//srv",
        "/srv/../etc",
        "/srv/./x",
        "/srv/a\nb",
        "/srv/a\0b",
        "/srv/a\\b",
        '/srv/a"b',
        "/srv/a'b",
        "/srv/a\tb",
        "/srv/a\u202eb",
        "/srv/" + "a" * 256,
        "/" + "a/" * 600 + "a",
    ],
)
def test_a_path_that_a_unit_could_not_hold_is_refused(path: str) -> None:
    assert not is_plain_absolute(path)


def test_the_text_depends_on_nothing_but_what_it_says() -> None:
    assert plain_unit() == plain_unit()
    assert unit_name("orders.collect.0") == "gitopsd-orders.collect.0.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_to_say_about_rendered_units(tmp_path: Path) -> None:
    """Every unit of the golden cases, beside units that systemd does complain about, to see that it looks."""
    releases = sorted(GOLDEN.glob("*/rendered/workers/*/units"))
    assert any(unit.suffix == ".timer" for units in releases for unit in units.iterdir())
    complaints = {name: said for units in releases for name, said in said_of(units, tmp_path).items()}
    broken = said_of(broken_units(tmp_path / "broken"), tmp_path)
    if not broken:
        pytest.skip("systemd-analyze verify doesn't work here: it says nothing about a broken unit")
    assert broken.keys() == {"gitopsd-a.b.0.service", "gitopsd-a.b.0.timer"}
    assert complaints == {}


def said_of(units: Path, scratch: Path) -> dict[str, str]:
    """What systemd says about each unit of a folder; those that it finds nothing to say about aren't there."""
    checked = scratch / "checked"
    shutil.rmtree(checked, ignore_errors=True)
    checked.mkdir()
    for unit in units.iterdir():
        # on this machine neither the launcher nor the job's account need exist
        text = unit.read_text().replace("/usr/bin/python3 -IB", "/bin/true").replace("User=gitopsd-job", "User=root")
        (checked / unit.name).write_text(text)
    names = sorted(str(unit) for unit in checked.iterdir())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    said: dict[str, str] = {}
    for unit in units.iterdir():
        found = [line for line in done.stderr.splitlines() if unit.name in line]
        if found:
            said[unit.name] = "\n".join(found)
    if done.returncode and not said:
        said["all"] = done.stderr
    return said


def broken_units(folder: Path) -> Path:
    folder.mkdir()
    (folder / "gitopsd-a.b.0.service").write_text(plain_unit() + "\n[Service]\nCPUQuota=50%%\n")
    (folder / "gitopsd-a.b.0.timer").write_text(timer_text("a.b.0", "every night"))
    return folder


def test_a_job_that_reloads_is_told_by_a_signal_and_others_are_not() -> None:
    text = unit_text("a.b.0", kind="service", notifies=False, directories=(), settings={}, on_change="reload")
    assert set(text.splitlines()) - set(plain_unit().splitlines()) == {
        "ExecReload=/bin/kill -HUP $MAINPID",
        "Type=exec",
    }
    assert "ExecReload" not in plain_unit()


@pytest.mark.parametrize("kind", ["service", "once", "schedule"])
def test_only_the_main_process_is_asked_to_end(kind: str) -> None:
    text = unit_text("a.b.0", kind=kind, notifies=True, directories=(), settings={})
    assert "KillMode=mixed" in text.splitlines()


def test_secrets_come_as_credentials_into_a_unit_that_others_cannot_look_into() -> None:
    def added(**settings: str) -> set[str]:
        plain = unit_text("a.b.0", kind="service", notifies=True, directories=(), settings=settings)
        text = unit_text(
            "a.b.0", kind="service", notifies=True, directories=(), settings=settings, secrets=("one", "two_2")
        )
        return set(text.splitlines()) - set(plain.splitlines())

    place = "/var/lib/gitopsd/credentials/current/a.b.0"
    credentials = {f"LoadCredential=one:{place}/one", f"LoadCredential=two_2:{place}/two_2"}
    assert added() == {*credentials, "PrivateUsers=yes"}
    assert added(AmbientCapabilities="CAP_NET_BIND_SERVICE") == credentials


def test_a_scheduled_job_is_started_by_its_timer_alone_and_not_again_when_it_fails() -> None:
    text = unit_text("a.b.0", kind="schedule", notifies=True, directories=(), settings={})
    assert "Type=oneshot" in text.splitlines()
    assert "[Install]" not in text
    assert not [line for line in text.splitlines() if line.startswith(("Restart=", "RemainAfterExit", "Condition"))]
    timer = timer_text("a.b.0", "Mon..Fri 08:30").splitlines()
    assert {"OnCalendar=Mon..Fri 08:30", "Persistent=yes", "WantedBy=timers.target"} <= set(timer)


def test_a_job_with_capabilities_may_make_the_system_calls_that_they_are_for() -> None:
    denied = "SystemCallFilter=~@privileged @resources"
    assert denied in plain_unit().splitlines()
    given = {"AmbientCapabilities": "CAP_CHOWN", "CapabilityBoundingSet": "CAP_CHOWN"}
    text = unit_text("a.b.0", kind="service", notifies=True, directories=(), settings=given)
    assert denied not in text.splitlines()


def test_system_calls_that_a_blueprint_adds_come_after_those_that_are_denied() -> None:
    settings = {"SystemCallFilter": "@chown @resources"}
    unit = unit_text("a.b.0", kind="service", notifies=True, directories=(), settings=settings).splitlines()
    assert [line.partition("=")[2] for line in unit if line.startswith("SystemCallFilter=")] == [
        "@system-service", "~@privileged @resources", "@chown @resources",
    ]  # fmt: skip


def test_a_blueprint_changes_the_limits() -> None:
    given = {"MemoryMax": "2G", "TasksMax": 64, "LimitNOFILE": 100}
    text = unit_text("a.b.0", kind="service", notifies=True, directories=(), settings=given).splitlines()
    assert {"MemoryMax=2G", "TasksMax=64", "LimitNOFILE=100"} <= set(text)
    assert sum(line.startswith(("MemoryMax=", "TasksMax=", "LimitNOFILE=")) for line in text) == 3
