"""Reports and views: numbers worked out by hand, and both the same."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from callctl.errors import ReportError, UnknownAgent, UnknownQueue
from callctl.model import AgentState, AgentStatus, CallRecord, Fact, OfferResult, QueueTargets, Reason
from callctl.store.loading import open_reader
from callctl.store.metrics import Formula
from callctl.store.reports import By, Selection, report_agents, report_calls
from tests.store.samples import NOON, database_with, ended, handled, offer, span, waiting

HALF_HOUR = 1800
NOW = NOON + 86_400 * 9
"""Long after all calls of these tests."""

DAY = 86_400


def hundred_calls() -> list[Fact]:
    """Return VOCABULARY's example: 70 answered in 20 s, 10 abandoned in 20 s, 20 answered later."""
    return [
        *[handled(f"fast-{number}", wait=10, talk=100) for number in range(70)],
        *[ended(f"gone-{number}", wait=8) for number in range(10)],
        *[handled(f"slow-{number}", wait=40, talk=100) for number in range(20)],
    ]


@pytest.fixture
def reader(path: Path) -> Iterator[sqlite3.Connection]:
    database_with(path, *hundred_calls())
    with closing(open_reader(path)) as connection:
        yield connection


def view(path: Path, sql: str) -> list[dict[str, object]]:
    with closing(open_reader(path)) as connection:
        return [dict(row) for row in connection.execute(sql)]


@pytest.mark.parametrize(
    ("formula", "percent"),
    [(Formula.IGNORE_ABANDONS, 77.8), (Formula.ABANDONS_AGAINST, 70.0), (Formula.ABANDONS_FOR, 80.0)],
)
def test_the_example_of_the_vocabulary(reader: sqlite3.Connection, formula: Formula, percent: float) -> None:
    (figures,) = report_calls(reader, Selection(), now=NOW, formula=formula)
    assert figures.service_level is not None
    assert round(100 * figures.service_level, 1) == percent
    assert (figures.formula, figures.t_seconds) == (formula, 20)


def test_the_mean_wait_counts_answered_calls_only(reader: sqlite3.Connection) -> None:
    (figures,) = report_calls(reader, Selection(), now=NOW)
    assert figures.asa_seconds == pytest.approx((70 * 10 + 20 * 40) / 90)


def test_the_percentiles_are_waits_that_occurred(reader: sqlite3.Connection) -> None:
    (figures,) = report_calls(reader, Selection(), now=NOW)
    # Of 90 answered calls 70 (77.8 %) waited 10 s, the others 40 s.
    assert figures.wait_percentile_seconds == {50: 10, 80: 40, 95: 40, 99: 40}


def test_a_threshold_that_is_changed_afterwards_changes_the_past(reader: sqlite3.Connection) -> None:
    (strict,) = report_calls(reader, Selection(), now=NOW, t_seconds=9)
    (lax,) = report_calls(reader, Selection(), now=NOW, t_seconds=40)
    assert (strict.answered_in_t, strict.abandoned_in_t, strict.service_level) == (0, 10, 0.0)
    assert (lax.answered_in_t, lax.service_level) == (90, 0.9)


def test_short_abandons_count_neither_as_abandoned_nor_as_offered(path: Path) -> None:
    database_with(
        path,
        ended("wrong-number", wait=5.9),
        ended("gave-up", wait=6),
        handled("a", wait=1, talk=1),
        handled("b", wait=1, talk=1),
    )
    with closing(open_reader(path)) as reader:
        (figures,) = report_calls(reader, Selection(), now=NOW)
        (other,) = report_calls(reader, Selection(), now=NOW, short_abandon_seconds=0)
    assert (figures.abandoned, figures.short_abandons, figures.abandonment_rate) == (2, 1, 1 / 3)
    assert figures.short_abandon_seconds == 6
    assert other.abandonment_rate == 0.5


def test_handling_time_is_talk_hold_and_wrap_up_of_the_call(path: Path) -> None:
    database_with(
        path,
        handled("a", wait=5, talk=100, hold=20),
        handled("b", wait=5, talk=60),
        span("1001", NOON + 125, NOON + 155, AgentState.WRAP_UP, call="a"),
        span("1001", NOON + 155, NOON + 999, AgentState.WAITING),
    )
    with closing(open_reader(path)) as reader:
        (figures,) = report_calls(reader, Selection(), now=NOW)
    assert figures.aht_seconds == (100 + 20 + 30 + 60) / 2


def test_offered_is_the_sum_of_all_outcomes_and_of_the_unfinished(path: Path) -> None:
    database_with(
        path,
        handled("a", wait=1, talk=1),
        *[ended(reason.value, wait=1, reason=reason) for reason in Reason if reason is not Reason.BRIDGED],
        waiting("w"),
    )
    with closing(open_reader(path)) as reader:
        (figures,) = report_calls(reader, Selection(), now=NOW)
    parts = (figures.handled, figures.abandoned, figures.overflowed, figures.refused, figures.failed)
    assert parts == (1, 1, 6, 3, 3)
    assert figures.unfinished == 1
    assert figures.offered == sum(parts) + figures.unfinished


def test_a_call_counts_in_the_half_hour_in_which_it_entered(path: Path) -> None:
    database_with(
        path,
        handled("a", wait=HALF_HOUR, talk=1, joined_at=NOON + HALF_HOUR - 1),
        handled("b", wait=1, talk=1, joined_at=NOON + HALF_HOUR),
    )
    with closing(open_reader(path)) as reader:
        groups = {
            figures.group: figures.offered
            for figures in report_calls(reader, Selection(), now=NOW, by=By.HALF_HOUR)
        }
        first = report_calls(reader, Selection(since=NOON, until=NOON + HALF_HOUR), now=NOW)
    assert groups == {"2026-11-22 12:00": 1, "2026-11-22 12:30": 1}
    assert [figures.longest_wait_seconds for figures in first] == [HALF_HOUR]


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        (By.NOTHING, ["all"]),
        (By.DAY, ["2026-11-22", "2026-11-23"]),
        (By.HOUR, ["2026-11-22 12:00", "2026-11-22 13:00", "2026-11-23 12:00"]),
        (By.HALF_HOUR, ["2026-11-22 12:30", "2026-11-22 13:00", "2026-11-23 12:00"]),
        (By.QUEUE, ["caller", "support"]),
    ],
)
def test_calls_are_grouped(path: Path, by: By, groups: list[str]) -> None:
    database_with(
        path,
        ended("a", wait=9, joined_at=NOON + HALF_HOUR),
        ended("b", wait=9, joined_at=NOON + 2 * HALF_HOUR, queue="support"),
        ended("c", wait=9, joined_at=NOON + DAY),
    )
    with closing(open_reader(path)) as reader:
        assert [figures.group for figures in report_calls(reader, Selection(), now=NOW, by=by)] == groups


def test_the_days_can_be_those_of_the_time_zone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database_with(path, ended("late", wait=9, joined_at=NOON + 11.5 * 3600))
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        with closing(open_reader(path)) as reader:
            (utc,) = report_calls(reader, Selection(), now=NOW, by=By.DAY)
            (local,) = report_calls(reader, Selection(), now=NOW, by=By.DAY, local_time=True)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (utc.group, local.group) == ("2026-11-22", "2026-11-23")
    assert "TZ" not in os.environ or os.environ["TZ"] != "Europe/Berlin"


def test_queues_are_measured_by_their_own_thresholds(path: Path) -> None:
    database_with(
        path,
        handled("a", wait=30, talk=1, queue="caller"),
        handled("b", wait=30, talk=1, queue="support"),
        QueueTargets(queue="support", service_level_seconds=60, short_abandon_seconds=3),
    )
    with closing(open_reader(path)) as reader:
        caller, support = report_calls(reader, Selection(), now=NOW, by=By.QUEUE)
        (both,) = report_calls(reader, Selection(), now=NOW)
    assert (caller.t_seconds, caller.service_level) == (20, 0.0)
    assert (support.t_seconds, support.service_level) == (60, 1.0)
    assert (both.t_seconds, both.service_level) == (None, 0.5)


def test_a_selection_restricts_to_queue_agent_and_account(path: Path) -> None:
    database_with(
        path,
        handled("a", wait=1, talk=1, queue="caller", agent="anna"),
        handled("b", wait=1, talk=1, queue="support", agent="bob"),
    )
    with closing(open_reader(path)) as reader:
        (of_queue,) = report_calls(reader, Selection(queue="support"), now=NOW, by=By.QUEUE)
        (of_agent,) = report_calls(reader, Selection(agent="anna"), now=NOW, by=By.QUEUE)
        of_account = report_calls(reader, Selection(account_id="other"), now=NOW)
        agents = report_agents(reader, Selection(queue="support"), now=NOON)
    assert (of_queue.group, of_queue.offered) == ("support", 1)
    assert (of_agent.group, of_agent.offered) == ("caller", 1)
    assert of_account == []
    assert [figures.agent for figures in agents] == ["bob"]


def test_what_makes_no_sense_is_refused(reader: sqlite3.Connection) -> None:
    with pytest.raises(ReportError, match="before it begins"):
        report_calls(reader, Selection(since=NOON, until=NOON - 1), now=NOW)
    with pytest.raises(ReportError):
        report_calls(reader, Selection(since=float("nan")), now=NOW)
    with pytest.raises(UnknownQueue, match="'nowhere'"):
        report_calls(reader, Selection(queue="nowhere"), now=NOW)
    with pytest.raises(UnknownAgent, match="'nobody'"):
        report_agents(reader, Selection(agent="nobody"), now=NOON)


def a_shift() -> list[Fact]:
    """Return an agent's four hours: 1 h free, 1 h in a call, 30 min wrap-up, 30 min lunch, 1 h free."""
    hour = 3600
    return [
        span("1001", NOON - hour, NOON, AgentState.IDLE, AgentStatus.LOGGED_OUT),
        span("1001", NOON, NOON + hour, AgentState.WAITING),
        span("1001", NOON + hour, NOON + 2 * hour, AgentState.IN_A_QUEUE_CALL, call="a"),
        span("1001", NOON + 2 * hour, NOON + 2.5 * hour, AgentState.WRAP_UP, call="a"),
        span("1001", NOON + 2.5 * hour, NOON + 3 * hour, AgentState.IDLE, AgentStatus.ON_BREAK),
        span("1001", NOON + 3 * hour, NOON + 4 * hour, AgentState.WAITING),
        span("1001", NOON + 4 * hour, None, AgentState.IDLE, AgentStatus.LOGGED_OUT),
        handled("a", wait=10, talk=3000, hold=600, joined_at=NOON + hour - 10),
        offer("o1", "a", "1001", OfferResult.NO_ANSWER, at=NOON + 600),
        offer("o2", "a", "1001", OfferResult.ANSWERED, at=NOON + 3590),
    ]


def test_occupancy_and_utilisation_are_not_the_same(path: Path) -> None:
    database_with(path, *a_shift())
    with closing(open_reader(path)) as reader:
        (figures,) = report_agents(reader, Selection(), now=NOON + DAY)
    assert figures.occupancy == pytest.approx(1.5 / 3.5)
    assert figures.utilisation == pytest.approx(1.5 / 4)
    assert figures.aht_seconds == 3000 + 600 + 1800
    assert (figures.offered, figures.missed, figures.answered) == (2, 1, 1)
    assert figures.break_seconds == 1800


def test_an_agents_time_is_cut_at_the_ends_of_the_report(path: Path) -> None:
    database_with(path, *a_shift())
    with closing(open_reader(path)) as reader:
        (figures,) = report_agents(reader, Selection(since=NOON + 1800, until=NOON + 5400), now=NOON + DAY)
    assert (figures.available_seconds, figures.busy_seconds, figures.logged_in_seconds) == (1800, 1800, 3600)


def test_a_stretch_that_begins_with_the_report_is_counted_once(path: Path) -> None:
    database_with(path, *a_shift())
    with closing(open_reader(path)) as reader:
        (figures,) = report_agents(reader, Selection(since=NOON + 3600, until=NOON + 7200), now=NOON + DAY)
    assert (figures.available_seconds, figures.busy_seconds) == (0, 3600)


def test_a_stretch_that_goes_on_is_counted_until_now(path: Path) -> None:
    database_with(path, span("1001", NOON, None, AgentState.WAITING))
    with closing(open_reader(path)) as reader:
        (figures,) = report_agents(reader, Selection(), now=NOON + 90)
    assert figures.available_seconds == 90


def test_agent_days_agrees_with_the_report_of_each_day(path: Path) -> None:
    midnight = NOON + DAY / 2
    database_with(
        path,
        *a_shift()[:-4],
        span("1001", NOON + 3 * 3600, midnight - 60, AgentState.WAITING),
        span("1001", midnight - 60, midnight + DAY + 30, AgentState.IN_A_QUEUE_CALL),
        span("1001", midnight + DAY + 30, midnight + DAY + 40, AgentState.IDLE, AgentStatus.LOGGED_OUT),
    )
    days = view(path, "SELECT * FROM agent_days ORDER BY day")
    assert [day["day"] for day in days] == ["2026-11-22", "2026-11-23", "2026-11-24"]
    with closing(open_reader(path)) as reader:
        for number, day in enumerate(days):
            selection = Selection(since=midnight + (number - 1) * DAY, until=midnight + number * DAY)
            (figures,) = report_agents(reader, selection, now=midnight + 2 * DAY)
            assert day["logged_in"] == figures.logged_in_seconds
            assert day["available"] == figures.available_seconds
            assert day["in_calls"] + day["wrap_up"] == figures.busy_seconds  # type: ignore[operator]  # REAL
            assert day["on_break"] == figures.break_seconds
            assert figures.occupancy is not None
            assert figures.utilisation is not None
            assert day["occupancy_pct"] == round(100 * figures.occupancy, 1)
            assert day["utilisation_pct"] == round(100 * figures.utilisation, 1)


def called_back(call: CallRecord, previous: str) -> CallRecord:
    return evolve(call, arrival=evolve(call.arrival, callback=True), previous_visit=previous)


@pytest.mark.fault(20)
def test_a_caller_who_is_called_back_counts_once_by_what_became_of_it(path: Path) -> None:
    asked = [
        evolve(ended(f"asked {n}", wait=10, reason=Reason.EXIT_WITH_KEY), target="callback") for n in range(3)
    ]
    database_with(
        path,
        handled("answered", wait=8, talk=60),
        *asked,
        called_back(handled("reached", wait=1800, talk=60), "asked 0"),
        called_back(ended("never reached", wait=7200, reason=Reason.TIMEOUT), "asked 1"),
        called_back(waiting("pending", NOON), "asked 2"),
        # A key that leads somewhere else is the end of a call.
        ended("left", wait=30, reason=Reason.EXIT_WITH_KEY),
    )
    with closing(open_reader(path)) as reader:
        [figures] = report_calls(reader, Selection(), now=NOON + 9000)
    assert (figures.offered, figures.handled, figures.overflowed, figures.unfinished) == (5, 2, 2, 1)
    # They waited with nobody on the line, which is no wait of a caller's, and not in time.
    assert (figures.asa_seconds, figures.longest_wait_seconds) == (8, 30)
    assert figures.wait_percentile_seconds[99] == 8
    assert figures.service_level == 1 / 5
    [interval] = view(path, "SELECT * FROM queue_intervals")
    assert (interval["offered"], interval["answered"], interval["overflowed"]) == (5, 2, 2)
    assert (interval["asa_seconds"], interval["longest_wait_seconds"]) == (8, 30)
    assert interval["service_level_percent"] == 20


def test_queue_intervals_agrees_with_the_report_of_each_half_hour(path: Path) -> None:
    chance = random.Random(6)
    facts: list[Fact] = [QueueTargets(queue="b", service_level_seconds=35, short_abandon_seconds=10)]
    for number in range(600):
        joined_at, queue = NOON + round(chance.uniform(0, 4 * HALF_HOUR), 3), chance.choice("ab")
        if chance.random() < 0.6:
            talk, hold = round(chance.uniform(1, 600), 3), chance.choice([0.0, 30.0])
            wait = chance.randrange(60)
            facts.append(
                handled(str(number), wait=wait, talk=talk, hold=hold, joined_at=joined_at, queue=queue)
            )
        elif chance.random() < 0.05:
            facts.append(waiting(str(number), joined_at, queue))
        else:
            reason = chance.choice([reason for reason in Reason if reason is not Reason.BRIDGED])
            facts.append(
                ended(str(number), wait=chance.randrange(60), joined_at=joined_at, queue=queue, reason=reason)
            )
    database_with(path, *facts)
    intervals = view(path, "SELECT * FROM queue_intervals")
    assert len(intervals) == 8
    by_key = {(row["queue"], row["interval"]): row for row in intervals}
    with closing(open_reader(path)) as reader:
        for queue in "ab":
            for figures in report_calls(reader, Selection(queue=queue), now=NOW, by=By.HALF_HOUR):
                row = by_key.pop((queue, figures.group))
                for name in (
                    "offered",
                    "answered",
                    "abandoned",
                    "overflowed",
                    "refused",
                    "failed",
                    "unfinished",
                    "answered_in_t",
                    "abandoned_in_t",
                    "t_seconds",
                    "short_abandons",
                    "longest_wait_seconds",
                ):
                    assert row[name] == getattr(figures, name), name
                assert row["service_level_percent"] == _rounded(figures.service_level, 100)
                assert row["asa_seconds"] == _rounded(figures.asa_seconds, 1)
                assert row["aht_seconds"] == _rounded(figures.aht_seconds, 1)
                assert row["abandonment_percent"] == _rounded(figures.abandonment_rate, 100)
    assert by_key == {}


def _rounded(value: float | None, factor: float) -> object:
    return None if value is None else pytest.approx(factor * value, abs=0.0501)
