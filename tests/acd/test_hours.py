"""Opening hours: what is open when, and what cannot be read."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from callctl.acd.hours import parse_hours
from callctl.errors import ConfigError
from callctl.model import OpeningHours


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


HOURS = OpeningHours(
    timezone="Europe/Berlin",
    open=("Mon-Fri 09:00-12:00,13:00-17:00", "Sat 10:00-14:00", "Sun 22:00-02:00"),
    holidays=("2026-12-25", "12-26", "2026-12-24 09:00-12:00"),
)


@pytest.mark.parametrize(
    ("local", "is_open"),
    [
        ("2026-11-23T08:59:59", False),  # A Monday.
        ("2026-11-23T09:00:00", True),
        ("2026-11-23T11:59:59", True),
        ("2026-11-23T12:00:00", False),
        ("2026-11-23T13:00:00", True),
        ("2026-11-27T16:59:00", True),
        ("2026-11-27T17:00:00", False),
        ("2026-11-28T10:00:00", True),
        ("2026-11-29T10:00:00", False),
        ("2026-11-29T22:00:00", True),
        ("2026-11-30T01:59:59", True),  # Monday, on from Sunday evening.
        ("2026-11-30T02:00:00", False),
        ("2026-12-24T11:00:00", True),
        ("2026-12-24T14:00:00", False),
        ("2026-12-25T10:00:00", False),
        ("2028-12-26T10:00:00", False),  # A Tuesday, but of every year.
        ("2028-12-25T10:00:00", True),  # A Monday; that holiday was of 2026 alone.
    ],
)
def test_the_hours_hold_in_local_time(local: str, is_open: bool) -> None:
    assert parse_hours(HOURS).is_open(at(local, "Europe/Berlin")) is is_open


def test_summer_time_moves_the_hours() -> None:
    calendar = parse_hours(OpeningHours(timezone="Europe/Berlin", open=("Mon-Sun 09:00-10:00",)))
    assert calendar.is_open(at("2026-01-15T08:30:00"))
    assert calendar.is_open(at("2026-07-15T07:30:00"))
    assert not calendar.is_open(at("2026-07-15T08:30:00"))


def test_an_evening_does_not_reach_into_a_holiday() -> None:
    calendar = parse_hours(OpeningHours(open=("Thu 22:00-06:00",), holidays=("2026-12-25",)))
    assert calendar.is_open(at("2026-12-24T23:00:00"))
    assert not calendar.is_open(at("2026-12-25T01:00:00"))


def test_no_hours_mean_always_but_for_holidays() -> None:
    calendar = parse_hours(OpeningHours(holidays=("02-29",)))
    assert calendar.is_open(at("2028-02-28T23:59:59"))
    assert not calendar.is_open(at("2028-02-29T12:00:00"))


def test_a_day_may_last_until_24_00_and_days_may_be_listed_and_go_round_the_week() -> None:
    calendar = parse_hours(OpeningHours(open=("Sat-Mon,Wed 00:00-24:00",)))
    days = [calendar.is_open(at(f"2026-11-{day}T23:59:59")) for day in range(23, 30)]  # Monday to Sunday.
    assert days == [True, False, True, False, False, True, True]


@pytest.mark.parametrize(
    ("hours", "complaint"),
    [
        (OpeningHours(timezone="Europe/Nowhere"), "no time zone 'Europe/Nowhere'"),
        (OpeningHours(timezone="../etc/passwd"), "no time zone"),
        (OpeningHours(open=("09:00-17:00",)), "cannot read the opening hours '09:00-17:00'"),
        (OpeningHours(open=("Mon 9-17",)), "cannot read the times '9-17'"),
        (OpeningHours(open=("Mon 09:00-25:00",)), "cannot read the times"),
        (OpeningHours(open=("Mon 24:00-24:00",)), "cannot read the times"),
        (OpeningHours(open=("Mon 09:60-17:00",)), "cannot read the times"),
        (OpeningHours(open=("Mon 09:00-09:00",)), "cannot read the times"),
        (OpeningHours(open=("Mon-Fry 09:00-17:00",)), "'Mon-Fry'|'mon-fry'"),
        (OpeningHours(holidays=("Christmas",)), "cannot read the holiday 'Christmas'"),
        (OpeningHours(holidays=("2026-02-29",)), "no day of the calendar"),
        (OpeningHours(holidays=("12-25", "12-25 09:00-10:00")), "there twice"),
        (OpeningHours(open=("Mon 09:00-17:00", "Mon-Tue 16:00-18:00")), "overlap on Mon 16:00"),
        (OpeningHours(open=("Mon 22:00-06:00", "Tue 05:00-08:00")), "overlap on Tue 05:00"),
        (OpeningHours(open=("Sun 22:00-06:00", "Mon 05:00-08:00")), "overlap on Mon 05:00"),
    ],
)
def test_what_cannot_be_read_or_overlaps_is_said(hours: OpeningHours, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_hours(hours)


def test_spans_that_touch_do_not_overlap() -> None:
    calendar = parse_hours(OpeningHours(open=("Mon 09:00-12:00", "Mon 12:00-17:00")))
    assert calendar.is_open(at("2026-11-23T12:00:00"))
