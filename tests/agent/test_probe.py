from __future__ import annotations

import pytest

from gitopsd.agent.probe import parse_os_release
from gitopsd.agent.systemd import parse_show


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
