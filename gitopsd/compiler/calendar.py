"""The syntax of systemd's calendar events, `OnCalendar=`: systemd.time(7), read as systemd itself reads it.

A deployed timer whose text systemd can't read would never run and fail its job on the worker; this tells in the plan.
What is accepted is what systemd 247 and later accept, but for names of time zones: those that a worker knows depend on
its tzdata, so only their form is checked, and abbreviations such as `CEST` are refused, since each worker reads only
its own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_SHORTHANDS = frozenset({
    "minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly", "annually", "anually",
    "semiannually", "semi-annually", "biannually", "bi-annually", "bianually",
})  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SECOND = 1_000_000  # seconds are counted in microseconds
_AREAS = "Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Europe|Indian|Pacific|Etc|US|Canada|Brazil|Mexico"
_ZONE = re.compile(rf" (UTC|GMT|CET|EET|MET|WET|EST5EDT|CST6CDT|MST7MDT|PST8PDT|({_AREAS})(/[A-Za-z0-9_+-]+){{1,2}})$")
_ABBREVIATION = re.compile(r" ([A-Z]{3,5})$")
_UTC = re.compile(r" utc$", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_SECONDS = re.compile(r"[0-9]+(\.(?!\.)[0-9]+)?", re.ASCII)
_MOST_COMPONENTS = 240  # CALENDARSPEC_COMPONENTS_MAX
_LONGEST = 1000


class CalendarError(ValueError):
    """A text that is no calendar event; `within` are the offsets of what is wrong in it."""

    def __init__(self, message: str, within: tuple[int, int]) -> None:
        super().__init__(message)
        self.within = within


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """`1`, `1..5`, `1..5/2` or `1/2` of a list; `within` is where it stands."""

    start: int
    stop: int | None
    repeat: int
    within: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    least: int
    most: int


_YEAR = _Field(name="year", least=1970, most=2199)
_MONTH = _Field(name="month", least=1, most=12)
_DAY = _Field(name="day", least=1, most=31)
_HOUR = _Field(name="hour", least=0, most=23)
_MINUTE = _Field(name="minute", least=0, most=59)
_SECONDS_FIELD = _Field(name="second", least=0, most=60 * _SECOND - 1)

_Chain = Sequence[_Part] | None
"""None for `*`."""


def check_calendar(text: str) -> None:
    """Raises CalendarError unless systemd can read it."""
    if len(text) > _LONGEST:
        raise CalendarError(f"it is longer than {_LONGEST} characters", (0, _LONGEST))
    if not (text.isascii() and text.isprintable()):
        raise CalendarError("it holds other characters than those of plain text", (0, len(text)))
    zone = _UTC.search(text) or _ZONE.search(text)
    abbreviation = None if zone else _ABBREVIATION.search(text)
    if abbreviation:
        message = (
            f"`{abbreviation[1]}` is no time zone that every worker knows: write `UTC`, or one such as `Europe/Berlin`"
        )
        raise CalendarError(message, abbreviation.span(1))
    event = text[: zone.start()] if zone else text
    if not event:
        raise CalendarError("it is empty", (0, len(text)))
    if event.lower() in _SHORTHANDS:
        return
    reader = _Reader(event)
    reader.weekdays()
    if not reader.timestamp() and (not reader.date() or not reader.ended):
        reader.time()
    if not reader.ended:
        reader.fail("nothing can stand")


class _Reader:
    """Goes through a text once; every method stops after what it is named for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._text)

    def fail(self, what: str) -> None:
        rest = self._text[self._at :]
        if not rest:
            raise CalendarError("it ends too early", (max(0, self._at - 1), self._at))
        raise CalendarError(f"{what} at `{rest[:20]}`", (self._at, len(self._text)))

    def weekdays(self) -> None:
        """`Mon,Wed..Fri`, and the spaces behind it; nothing where there are none."""
        first, since = True, -1
        while True:
            day = self._day()
            if day is None:
                if first:
                    return
                self.fail("there is no day of the week")
                return
            if since > day:
                self._at -= 1
                raise CalendarError("the range of days runs backwards", (0, self._at + 1))
            if self._skips_spaces():
                return
            if self._takes("..") or self._takes("-"):
                self._only_one_range(since)
                since = day
            elif self._takes(","):
                since = -1
            else:
                self.fail("there is no day of the week")
            if self.ended or self._text[self._at] == " ":
                if since >= 0:
                    raise CalendarError("the range of days has no end", (0, self._at))
                self._skips_spaces()
                return
            first = False

    def _only_one_range(self, since: int) -> None:
        if since >= 0:
            raise CalendarError("the range of days has two ends", (0, self._at))

    def _day(self) -> int | None:
        rest = self._text[self._at :].lower()
        for number, name in enumerate(_DAYS):
            for word in (name, name[:3]):
                if rest.startswith(word):
                    if rest[len(word) : len(word) + 1] not in {"", "-", ".", ",", " "}:
                        self.fail("there is no day of the week")
                    self._at += len(word)
                    return number
        return None

    def timestamp(self) -> bool:
        """`@` and seconds since 1970."""
        if not self._takes("@"):
            return False
        self._number(_NUMBER)
        return True

    def date(self) -> bool:
        """`YEAR-MONTH-DAY` or `MONTH-DAY`, and the spaces behind it; `~` before the day counts from the month's end."""
        begin = self._at
        if self.ended:
            return True
        first = self._chain(_NUMBER)
        if self.ended or self._text[self._at] == ":":
            self._at = begin
            return False
        from_end = self._dash()
        second = self._chain(_NUMBER)
        if self._skips_spaces():
            _check(first, _MONTH)
            _check(second, _DAY, from_end=from_end)
            return True
        if from_end:
            self.fail("after `~` and the day only a time can follow, and it doesn't")
        from_end = self._dash()
        third = self._chain(_NUMBER)
        if not self._skips_spaces():
            self.fail("a date ends with its day")
        _check(_full_years(first), _YEAR)
        _check(second, _MONTH)
        _check(third, _DAY, from_end=from_end)
        return True

    def time(self) -> None:
        """`HOUR:MINUTE` or `HOUR:MINUTE:SECOND`."""
        _check(self._chain(_NUMBER), _HOUR)
        if not self._takes(":"):
            self.fail("a time goes on with `:`, and it doesn't")
        _check(self._chain(_NUMBER), _MINUTE)
        if self.ended:
            return
        if not self._takes(":"):
            self.fail("a time goes on with `:`, and it doesn't")
        _check(self._chain(_SECONDS, _SECOND), _SECONDS_FIELD)

    def _dash(self) -> bool:
        """Takes `-` or `~`; whether it was `~`."""
        if self._takes("~"):
            return True
        if not self._takes("-"):
            self.fail("a date goes on with `-`, and it doesn't")
        return False

    def _chain(self, pattern: re.Pattern[str], scale: int = 1) -> _Chain:
        """`*`, or parts with commas between them."""
        if self._takes("*"):
            return None
        parts = [self._part(pattern, scale)]
        while self._takes(","):
            if len(parts) > _MOST_COMPONENTS:
                self.fail(f"more than {_MOST_COMPONENTS} parts begin")
            parts.append(self._part(pattern, scale))
        return parts

    def _part(self, pattern: re.Pattern[str], scale: int) -> _Part:
        begin = self._at
        start = self._number(pattern, scale)
        stop, repeat = None, 0
        if self._takes(".."):
            stop, repeat = self._number(pattern, scale), scale
        if self._takes("/"):
            at = self._at
            repeat = self._number(pattern, scale)
            if repeat == 0:
                raise CalendarError("it can't be repeated after 0", (at, self._at))
        elif stop is not None and scale > 1 and stop < start + scale:
            raise CalendarError("the range of seconds is shorter than a second", (begin, self._at))
        if not self.ended and self._text[self._at] not in " ,-~:":
            self.fail("a number ends with a space or one of `, - ~ :`, and it doesn't")
        return _Part(start=start, stop=stop, repeat=repeat, within=(begin, self._at))

    def _number(self, pattern: re.Pattern[str], scale: int = 1) -> int:
        found = pattern.match(self._text, self._at)
        if found is None:
            self.fail("a number is missing")
            return 0
        self._at = found.end()
        whole, _, fraction = found[0].partition(".")
        if len(whole) > 12:
            raise CalendarError("the number is too large", found.span())
        return int(whole) * scale + (int(fraction[:6].ljust(6, "0")) if fraction else 0)

    def _takes(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _skips_spaces(self) -> bool:
        """Whether what was read is over: at the end, or at spaces, which are skipped."""
        begin = self._at
        while not self.ended and self._text[self._at] == " ":
            self._at += 1
        return self.ended or self._at > begin


def _full_years(chain: _Chain) -> _Chain:
    """Two digits are a year of 1970 to 2069."""
    return chain and [
        _Part(start=_full_year(part.start), stop=part.stop and _full_year(part.stop), repeat=part.repeat,
              within=part.within)
        for part in chain
    ]  # fmt: skip


def _full_year(year: int) -> int:
    return year + (2000 if year < 70 else 1900 if year < 100 else 0)


def _check(chain: _Chain, field: _Field, *, from_end: bool = False) -> None:
    """As chain_valid() of systemd: in bounds, and reached once more where it says that it repeats."""
    most = field.most
    for part in _normalized(chain or ()):
        if from_end:
            most -= 3  # so systemd counts, for each of them anew: no day that some month lacks
        _check_part(part, field, most, from_end=from_end)


def _normalized(chain: Sequence[_Part]) -> list[_Part]:
    """Sorted, each once, and without repetitions that are reached once only: systemd drops those."""
    found: dict[tuple[int, int | None, int], _Part] = {}
    for part in chain:
        stop, repeat = part.stop, part.repeat
        if stop is not None and stop > part.start:
            stop -= (stop - part.start) % repeat
        if stop == part.start:
            stop, repeat = None, 0
        found[part.start, stop, repeat] = replace(part, stop=stop, repeat=repeat)
    return sorted(found.values(), key=lambda part: part.start)


def _check_part(part: _Part, field: _Field, most: int, *, from_end: bool) -> None:
    unit = _SECOND if field is _SECONDS_FIELD else 1
    for value in (part.start, part.stop):
        if value is not None and not field.least <= value <= most:
            bounds = f"{field.least} to {most // unit}{' here' if from_end else ''}"
            raise CalendarError(f"the {field.name} can't be {value // unit}: it goes from {bounds}", part.within)
    last = part.start + part.repeat
    never = (
        part.repeat > most - field.least
        or (part.stop is not None and last > part.stop)
        or (part.stop is None and not from_end and last > most)
        or (part.stop is None and from_end and part.start - part.repeat < field.least)
    )
    if never:
        raise CalendarError(f"the {field.name} is never reached a second time", part.within)
