"""Opening hours and holidays of a queue: read from their short notation, and asked for a moment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

from attrs import frozen

from callctl.errors import ConfigError
from callctl.model import OpeningHours

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY = 24 * 60
MINUTES_A_WEEK = 7 * MINUTES_A_DAY

_OPEN = re.compile(r"(?P<days>[A-Za-z,-]+)\s+(?P<times>\S+)")
_HOLIDAY = re.compile(r"(?:(?P<year>\d{4})-)?(?P<month>\d\d)-(?P<day>\d\d)(?:\s+(?P<times>\S+))?")
_TIMES = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")

Span = tuple[int, int]
"""From and to in minutes of the day it begins on; a span over midnight ends beyond the day."""

Holiday = tuple[int | None, int, int]
"""Year (None: every year), month and day."""


@frozen
class Calendar:
    """When a queue is open, ready to be asked."""

    zone: tzinfo
    week: tuple[tuple[Span, ...], ...]
    holidays: Mapping[Holiday, tuple[Span, ...]]

    def is_open(self, at: float) -> bool:
        """Return whether the queue is open at `at` (seconds since the epoch).

        What began the evening before goes on over midnight, but not into a holiday.
        """
        local = datetime.fromtimestamp(at, tz=self.zone)
        today = local.date()
        minute = local.hour * 60 + local.minute
        if any(start <= minute < end for start, end in self._spans(today)):
            return True
        if self._holiday(today) is not None:
            return False
        yesterday = self._spans(today - timedelta(days=1))
        return any(minute < end - MINUTES_A_DAY for _, end in yesterday)

    def _spans(self, day: date) -> tuple[Span, ...]:
        holiday = self._holiday(day)
        return self.week[day.weekday()] if holiday is None else holiday

    def _holiday(self, day: date) -> tuple[Span, ...] | None:
        once = self.holidays.get((day.year, day.month, day.day))
        return self.holidays.get((None, day.month, day.day)) if once is None else once


def parse_hours(hours: OpeningHours) -> Calendar:
    """Read opening hours. Raises ConfigError, which says what cannot be read or overlaps."""
    try:
        # UTC needs no time zone database, which a small system may lack.
        zone: tzinfo = UTC if hours.timezone == "UTC" else ZoneInfo(hours.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"there is no time zone {hours.timezone!r}") from error
    week: list[list[Span]] = [[] for _ in DAYS]
    for text in hours.open:
        match = _OPEN.fullmatch(text.strip())
        if match is None:
            raise ConfigError(f'cannot read the opening hours {text!r}: write them as "Mon-Fri 09:00-17:00"')
        spans = _read_times(match["times"], text)
        for day in _read_days(match["days"], text):
            week[day] += spans
    if not hours.open:
        week = [[(0, MINUTES_A_DAY)] for _ in DAYS]
    _refuse_overlaps(week)
    holidays: dict[Holiday, tuple[Span, ...]] = {}
    for text in hours.holidays:
        key, times = _read_holiday(text)
        if key in holidays:
            raise ConfigError(f"the holiday {text!r} is there twice")
        holidays[key] = times
    return Calendar(zone, tuple(tuple(sorted(spans)) for spans in week), holidays)


def _read_days(text: str, whole: str) -> Iterable[int]:
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ConfigError(f"{part!r} in the opening hours {whole!r} is no day: days are Mon to Sun")
        start, end = DAYS.index(first), DAYS.index(last or first)
        for offset in range((end - start) % 7 + 1):
            yield (start + offset) % 7


def _read_times(text: str, whole: str) -> list[Span]:
    spans = []
    for part in text.split(","):
        match = _TIMES.fullmatch(part)
        start, end = (0, 0) if match is None else (_minute(*match.group(1, 2)), _minute(*match.group(3, 4)))
        if match is None or start >= MINUTES_A_DAY or end > MINUTES_A_DAY or start == end:
            raise ConfigError(f'cannot read the times {part!r} in {whole!r}: write them as "09:00-17:00"')
        spans.append((start, end if end > start else end + MINUTES_A_DAY))
    return spans


def _minute(hours: str, minutes: str) -> int:
    # 60 minutes and more make the time one that no day has, as 25:00 does.
    return int(hours) * 60 + int(minutes) if int(minutes) < 60 else 2 * MINUTES_A_DAY


def _read_holiday(text: str) -> tuple[Holiday, tuple[Span, ...]]:
    match = _HOLIDAY.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f'cannot read the holiday {text!r}: write it as "2026-12-25" or "12-25"')
    year = int(match["year"]) if match["year"] else None
    month, day = int(match["month"]), int(match["day"])
    try:
        # A day of every year is tried in a leap year, so that 02-29 is one.
        date(2024 if year is None else year, month, day)
    except ValueError as error:
        raise ConfigError(f"the holiday {text!r} is no day of the calendar") from error
    return (year, month, day), tuple(_read_times(match["times"], text)) if match["times"] else ()


def _refuse_overlaps(week: list[list[Span]]) -> None:
    spans = sorted(
        (day * MINUTES_A_DAY + start, day * MINUTES_A_DAY + end)
        for day, spans in enumerate(week)
        for start, end in spans
    )
    first = spans[0]
    around = [*spans, (first[0] + MINUTES_A_WEEK, first[1] + MINUTES_A_WEEK)]
    for (_, end), (start, _) in pairwise(around):
        if start < end:
            day, minute = divmod(start % MINUTES_A_WEEK, MINUTES_A_DAY)
            when = f"{DAYS[day].capitalize()} {minute // 60:02d}:{minute % 60:02d}"
            raise ConfigError(f"the opening hours overlap on {when}")
