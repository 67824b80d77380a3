from __future__ import annotations

import pytest

from gitopsd.agent.probe import PROBES, parse_os_release, parse_version
from gitopsd.agent.systemd import parse_show

ANSWERS = {
    "systemd": ("systemd 252 (252.39-1~deb12u1)\n+PAM +AUDIT", "252"),
    "awk": ("mawk 1.3.4 20200120\nCopyright 2008", "1.3.4"),
    "curl": ("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1", "7.88.1"),
    "git": ("git version 2.39.5\n", "2.39.5"),
    "java": ('openjdk version "17.0.15" 2025-04-15', "17.0.15"),
    "jq": ("jq-1.6\n", "1.6"),
    "node": ("v20.20.2\n", "20.20.2"),
    "perl": ("v5.36.0", "5.36.0"),
    "podman": ("podman version 4.3.1", "4.3.1"),
    "docker": ("Docker version 28.2.2, build e6534b4", "28.2.2"),
    "ruby": ("ruby 3.1.2p20 (2022-04-12 revision 4491bb740a)", "3.1.2"),
    "sqlite3": ("3.40.1 2022-12-28 14:03:47 df5c", "3.40.1"),
}


@pytest.mark.parametrize("item", PROBES, ids=lambda item: item.feature)
def test_a_version_is_found_in_what_the_command_prints(item: object) -> None:
    probe = next(known for known in PROBES if known is item)
    answer, version = ANSWERS[probe.feature]
    assert parse_version(probe.pattern, answer) == version


@pytest.mark.parametrize("answer", ["", "command not found", "\0\xff", "unrecognised option"])
@pytest.mark.parametrize("item", PROBES, ids=lambda item: item.feature)
def test_an_answer_without_a_version_is_no_feature(item: object, answer: str) -> None:
    probe = next(known for known in PROBES if known is item)
    assert parse_version(probe.pattern, answer) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n', "Debian GNU/Linux 12 (bookworm)"),
        ("PRETTY_NAME='Void'", "Void"),
        ("", "unknown"),
        ("garbage\0", "unknown"),
    ],
)
def test_the_distribution_is_named_as_it_names_itself(text: str, expected: str) -> None:
    assert parse_os_release(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("garbage", {}),
        ("ActiveState=active\n\n", {}),
        ("Id=a.service\nActiveState=active\n\nId=b.service\nX=1=2\n", {"a.service", "b.service"}),
        ("Id=a.service\ncut off in the mid", {"a.service"}),
    ],
)
def test_what_systemctl_shows_is_parsed_and_garbage_passed_over(text: str, expected: set[str]) -> None:
    assert parse_show(text).keys() == set(expected)
