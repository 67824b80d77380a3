from __future__ import annotations

import pytest

from gitopsd.agent import systemd
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


@pytest.mark.parametrize(
    ("state", "job", "expected"),
    [
        ("inactive", "4711", ("activating", "queued")),
        ("inactive", "0", ("inactive", "dead")),
        ("inactive", "", ("inactive", "dead")),
        ("failed", "4711", ("failed", "dead")),
    ],
)
def test_a_unit_that_waits_in_systemds_queue_is_about_to_start(
    monkeypatch: pytest.MonkeyPatch, state: str, job: str, expected: tuple[str, str]
) -> None:
    """Between the halves of a restart it is inactive, and nothing is wrong with it."""
    shown = {"Id": "gitopsd-a.b.0.service", "ActiveState": state, "SubState": "dead", "Job": job}
    monkeypatch.setattr(systemd, "shown_services", lambda *_: {"gitopsd-a.b.0.service": shown})
    (unit,) = systemd.SystemdManager().units().values()
    assert (unit.active, unit.sub) == expected
