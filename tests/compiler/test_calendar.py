"""Calendar events as the plan reads them, beside what systemd itself says."""

import random
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.compiler.calendar import CalendarError, check_calendar

USUAL = [
    "minutely", "hourly", "Daily", "weekly", "monthly", "quarterly", "semi-annually", "yearly",
    "*-*-* 02:00:00", "02:00", "*:0/5", "*:00/15:30", "Mon..Fri 08:30", "Sat,Sun 20:00", "Mon *-*-1..7 04:00",
    "*-*-01 00:00", "*-*~01 23:30", "2026-12-24", "12-24 18:00", "Mon,Wed..Fri *-1/2-1,3 *:30:45", "*-*-* *:*:0/10.5",
    "@1800000000", "Mon..Fri 08:30 UTC", "*-*-* 02:00 Europe/Berlin", "05:40 America/Argentina/Buenos_Aires", "Mon",
    "Mon-Fri 10:00", "*-*~07/1", "*-02~03 12:00",
]  # fmt: skip
MISTAKES = [
    ("", "it is empty", (0, 0)),
    ("every night", "a number is missing at `every night`", (0, 11)),
    ("*-*-* 25:00", "the hour can't be 25: it goes from 0 to 23", (6, 8)),
    ("*-*-* 02:60", "the minute can't be 60: it goes from 0 to 59", (9, 11)),
    ("*-13-*", "the month can't be 13: it goes from 1 to 12", (2, 4)),
    ("*-*-* *:*/5", "a time goes on with `:`, and it doesn't at `/5`", (9, 11)),
    ("*:0/60", "the minute is never reached a second time", (2, 6)),
    ("Mon..", "the range of days has no end", (0, 5)),
    ("Mon Tue 10:00", "a number is missing at `Tue 10:00`", (4, 13)),
    ("Tue..Mon 10:00", "the range of days runs backwards", (0, 8)),
    ("0 2 * * *", "a date goes on with `-`, and it doesn't at ` 2 * * *`", (1, 9)),
    (
        "*-*-* 02:00 CEST",
        "`CEST` is no time zone that every worker knows: write `UTC`, or one such as `Europe/Berlin`",
        (12, 16),
    ),
    ("*-*-* 02:00\n", "it holds other characters than those of plain text", (0, 12)),
    ("\u212aoda", "it holds other characters than those of plain text", (0, 4)),
    ("*-*-* 02:00:00/0", "it can't be repeated after 0", (15, 16)),
]

NUMBERS = ["0", "1", "2", "5", "00", "07", "12", "23", "24", "28", "31", "32", "59", "60", "99", "2026", "1969", "2199"]
DAYS = ["Mon", "tue", "WEDNESDAY", "Thu", "friday", "Sat", "Sun", "Sunx", "mond"]


@pytest.mark.parametrize("text", USUAL)
def test_usual_forms_are_read(text: str) -> None:
    check_calendar(text)


@pytest.mark.parametrize(("text", "message", "within"), MISTAKES)
def test_a_mistake_is_named_with_its_place(text: str, message: str, within: tuple[int, int]) -> None:
    with pytest.raises(CalendarError) as raised:
        check_calendar(text)
    assert (str(raised.value), raised.value.within) == (message, within)


@given(st.text(alphabet="0123456789*-~:,./ @MonTueSunUTCdaily", max_size=40) | st.text(max_size=20))
def test_no_text_is_taken_that_a_unit_could_not_hold_and_none_breaks_the_reading(text: str) -> None:
    try:
        check_calendar(text)
    except CalendarError as error:
        start, end = error.within
        assert 0 <= start <= end <= max(len(text), 1)
    else:
        assert text.isascii()
        assert text.isprintable()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("seed", range(2))
def test_what_systemd_reads_is_read_and_nothing_else(seed: int) -> None:
    texts = list(
        dict.fromkeys(
            [
                *USUAL,
                *(text for text, *_ in MISTAKES if text),
                *_made(random.Random(seed)),  # noqa: S311 -- examples, not secrets
            ]
        )
    )
    texts = [text for text in texts if text.isprintable() and "CEST" not in text]
    refused = _refused_by_systemd(texts)
    assert len(texts) // 3 < len(refused) < len(texts) * 2 // 3, "it should be a mixture"
    assert [text for text in texts if _is_read(text) != (text not in refused)] == []


def _is_read(text: str) -> bool:
    try:
        check_calendar(text)
    except CalendarError:
        return False
    return True


def _refused_by_systemd(texts: list[str]) -> set[str]:
    refused: set[str] = set()
    for first in range(0, len(texts), 200):
        done = subprocess.run(
            ["systemd-analyze", "calendar", "--", *texts[first : first + 200]],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        )
        refused.update(re.findall(r"Failed to parse calendar (?:specification|expression) '(.*)': ", done.stderr))
    return refused


def _made(rng: random.Random) -> Iterator[str]:
    for _ in range(300):
        yield _wild(rng)
        yield _likely(rng)


def _wild(rng: random.Random) -> str:
    """Mostly wrong."""

    def part(*, seconds: bool = False) -> str:
        text = rng.choice([*NUMBERS, "*"])
        if text == "*":
            return rng.choice(["*"] * 9 + ["*/2"])
        if seconds and rng.random() < 0.3:
            text += rng.choice(["", ".5", ".123456", "."])
        if rng.random() < 0.2:
            text += f"..{rng.choice(NUMBERS)}"
        return text + (f"/{rng.choice(NUMBERS)}" if rng.random() < 0.25 else "")

    def chain(*, seconds: bool = False) -> str:
        return ",".join(part(seconds=seconds) for _ in range(rng.choice([1, 1, 1, 1, 2, 3])))

    def days() -> str:
        more = "".join(rng.choice([",", "..", "-", ".", ",,"]) + rng.choice(DAYS) for _ in range(rng.choice([0, 0, 1])))
        return rng.choice(DAYS) + more + rng.choice(["", "", "", ","]) + rng.choice([" ", "  ", ""])

    date = rng.choice([
        chain() + rng.choice("--~") + chain() + rng.choice("--~") + chain() + rng.choice([" ", "  ", ""]),
        chain() + rng.choice("-~") + chain() + rng.choice([" ", ""]),
        rng.choice(["@0", "@1234567890", "@x", "daily", "HOURLY", "fortnightly", "bi-annually"]),
        "",
    ])  # fmt: skip
    of_day = rng.choice([f"{chain()}:{chain()}", f"{chain()}:{chain()}:{chain(seconds=True)}", ""])
    end = rng.choice([""] * 6 + [" UTC", " utc", "UTC", " Europe/Berlin", " Foo", " CET", " "])
    return (days() if rng.random() < 0.35 else "") + date + of_day + end


def _likely(rng: random.Random) -> str:
    """Mostly right."""

    def values(least: int, most: int) -> str:
        one, other = sorted(rng.randint(least, most) for _ in range(2))
        return rng.choice([
            "*", str(one), f"{other:02}", f"{one}..{other}", f"{one:02}..{other}/{rng.randint(1, 9)}",
            f"{least}/{rng.randint(1, most // 2)}", f"{other},{one:02},{rng.randint(least, most)}",
        ])  # fmt: skip

    days = rng.choice(["", "", "Mon ", "Mon..Fri ", "Sat,Sun ", "tuesday ", "Mon,Wed..Fri ", "Mon-Fri "])
    month_day = values(1, 12) + rng.choice("---~") + values(1, 31)
    date = rng.choice(["", f"{month_day} ", f"{rng.choice(['*', values(1970, 2199)])}-{month_day} "])
    of_day = f"{values(0, 23)}:{values(0, 59)}" + rng.choice(["", f":{values(0, 59)}"])
    return days + date + of_day + rng.choice(["", "", "", " UTC", " Europe/Berlin"])
