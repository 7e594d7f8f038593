"""The figures say what a manager takes them to say, while calls go on, at night, and on local days."""

from __future__ import annotations

import csv
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import evolve

from callctl.model import OUTCOME_OF_REASON, AgentState, CallRecord, CallState, Fact, Reason
from tests.cli.conftest import Run
from tests.store.samples import NOON, database_with, ended, handled, span, waiting

DAYS = {"UTC": [3, 1], "Berlin": [2, 2]}
"""Four calls around midnight: at 22:30, 22:50, 23:10 UTC, and at 00:10."""
AROUND_MIDNIGHT = [NOON + 3600 * hours for hours in (10.5, 10.83, 11.17, 12.17)]


def figures(run: Run, facts: Iterable[Fact], *arguments: str) -> dict[str, object]:
    """Return the figures of these calls, and find the same in the view, as far as it has them."""
    database_with(Path("callctl.db"), *facts)
    [row] = run("report", "--json", *arguments).json
    with closing(sqlite3.connect("callctl.db")) as connection:
        connection.row_factory = sqlite3.Row
        [interval] = map(dict, connection.execute("SELECT * FROM queue_intervals"))
    assert interval["aht_seconds"] == row["aht_seconds"]
    for percent, ratio in (
        ("service_level_percent", "service_level"),
        ("abandonment_percent", "abandonment_rate"),
    ):
        assert interval[percent] == (None if row[ratio] is None else round(100 * row[ratio], 1))
    return dict(row)


def talking(call: str, *, joined_at: float = NOON, wait: float = 5) -> CallRecord:
    """Return a call whose talk goes on."""
    over = handled(call, wait=wait, talk=1, joined_at=joined_at)
    return evolve(over, state=CallState.TALKING, ended_at=None, hung_up_by=None)


def closed(call: str) -> CallRecord:
    """Return a call that came outside opening hours."""
    reason = Reason.CLOSED
    return evolve(ended(call, wait=0), reason=reason, outcome=OUTCOME_OF_REASON[reason], hung_up_by=None)


@pytest.mark.fault(23)
def test_a_running_talk_is_no_talk_of_no_length(run: Run) -> None:
    found = figures(run, [handled("a", wait=5, talk=100), handled("b", wait=5, talk=200), talking("c")])
    assert (found["answered"], found["aht_seconds"]) == (3, 150)


@pytest.mark.fault(23)
def test_nor_is_a_call_that_is_being_wrapped_up(run: Run) -> None:
    wrap_up = span("1001", NOON + 105, None, AgentState.WRAP_UP, call="a")
    facts = [handled("a", wait=5, talk=100), handled("b", wait=5, talk=200), wrap_up]
    assert figures(run, facts)["aht_seconds"] == 200
    [agent] = run("report", "--by", "agent", "--json").json
    assert (agent["answered"], agent["aht_seconds"]) == (2, 200)


@pytest.mark.fault(23)
def test_who_still_waits_within_the_threshold_is_not_missed_yet(run: Run) -> None:
    now = time.time()
    old = waiting("old", now - 60)  # Can be answered, but not within the threshold any more.
    [row] = report(run, [handled("a", wait=5, talk=10), waiting("new", now - 1), old])
    assert (row["offered"], row["service_level"]) == (3, 0.5)


def report(run: Run, facts: Iterable[Fact], *arguments: str) -> list[dict[str, object]]:
    database_with(Path("callctl.db"), *facts)
    return list(run("report", "--json", *arguments).json)


@pytest.mark.fault(23)
@pytest.mark.parametrize(
    ("formula", "level"),
    [("abandons-against", 0.5), ("ignore-abandons", 1.0), ("abandons-for", 1.0), ("answered-only", 1.0)],
)
def test_a_short_abandon_counts_in_no_figure(run: Run, formula: str, level: float) -> None:
    facts = [handled("a", wait=5, talk=10), ended("gave-up", wait=10), ended("wrong-number", wait=2)]
    [row] = report(run, facts, "--service-level", formula)
    assert (row["abandonment_rate"], row["service_level"]) == (0.5, level)
    assert (row["abandoned"], row["short_abandons"]) == (2, 1)


@pytest.mark.fault(23)
def test_a_night_without_anybody_to_answer_has_no_service_level(run: Run) -> None:
    database_with(Path("callctl.db"), ended("a", wait=0), ended("b", wait=0))
    with closing(sqlite3.connect("callctl.db", isolation_level=None)) as connection:
        # Before this reason there was none to say it.
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute("UPDATE calls SET reason = 'CLOSED', outcome = 'refused'")
    [row] = run("report", "--json").json
    assert (row["offered"], row["refused"]) == (2, 2)
    assert (row["service_level"], row["abandonment_rate"]) == (None, None)


def test_a_call_outside_opening_hours_changes_no_ratio(run: Run) -> None:
    found = figures(run, [closed("night"), handled("a", wait=5, talk=10), ended("b", wait=30)])
    assert (found["offered"], found["closed"]) == (3, 1)
    assert (found["service_level"], found["abandonment_rate"]) == (0.5, 0.5)


@pytest.mark.fault(23)
@pytest.mark.usefixtures("berlin")
def test_local_days_hold_the_calls_of_the_local_day(run: Run) -> None:
    calls = [handled(f"c{number}", wait=1, talk=1, joined_at=at) for number, at in enumerate(AROUND_MIDNIGHT)]
    database_with(Path("callctl.db"), *calls)

    def offered(*arguments: str) -> list[int]:
        days = pairwise(("2026-11-22", "2026-11-23", "2026-11-24"))
        reports = [run("report", "--from", day, "--to", end, "--json", *arguments).json for day, end in days]
        return [sum(row["offered"] for row in report) for report in reports]

    assert offered() == DAYS["UTC"]
    assert offered("--local-time") == DAYS["Berlin"]
    by_day = run("report", "--by", "day", "--local-time", "--json").json
    assert [row["offered"] for row in by_day] == DAYS["Berlin"]
    of_second_day = ("--from", "2026-11-23", "--local-time")
    assert len(run("export", "--format", "json", *of_second_day).json) == DAYS["Berlin"][1]
    exported = run("export", "--format", "csv", *of_second_day).out
    assert len(list(csv.DictReader(exported.splitlines()))) == DAYS["Berlin"][1]
    assert len(run("call", "list", *of_second_day, "--json").json) == DAYS["Berlin"][1]


@pytest.mark.fault(23)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])  # Both ends of the earth.
def test_today_and_yesterday_are_days_of_the_people_who_say_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    with monkeypatch.context() as there:
        there.setenv("TZ", zone)
        time.tzset()
        today = time.localtime()
        midnight = time.mktime((today.tm_year, today.tm_mon, today.tm_mday, 0, 0, 0, 0, 0, -1))
        calls = [handled(f"{at}", wait=0, talk=0, joined_at=midnight + at) for at in (-86_399, -1, 0)]
        database_with(Path("callctl.db"), *calls)
        [row] = run("report", "--from", "today", "--by", "day", "--json").json
        assert (row["group"], row["offered"]) == (time.strftime("%Y-%m-%d", today), 1)
        assert [
            row["offered"] for row in run("report", "--from", "yesterday", "--by", "day", "--json").json
        ] == [
            2,
            1,
        ]
        [row] = run("report", "--from", "yesterday", "--to", "today", "--json").json
        assert row["offered"] == 2
        exported = run("export", "--from", "today", "--format", "json").json
        assert [call["id"] for call in exported] == ["0"]
    time.tzset()


@pytest.mark.fault(23)
def test_percentiles_say_that_they_are_of_answered_calls(run: Run) -> None:
    database_with(Path("callctl.db"), handled("a", wait=5, talk=10), ended("b", wait=3000))
    out = run("report").out
    assert [line for line in out.splitlines() if "p50" in line and "answered calls" in line]
    [row] = run("report", "--json").json
    assert (row["wait_p50"], row["wait_percentiles_of"]) == (5, "answered")
