"""What is old goes in small steps; what is wrong is found."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from callctl.errors import StoreError
from callctl.model import AgentState, CallEvent, Fact, OfferResult
from callctl.store.connections import BUSY_SECONDS, connect, transaction
from callctl.store.upkeep import PRUNE_CALLS, Pruned, integrity, prune
from tests.store.samples import NOON, damage, database_with, ended, offer, span, waiting
from tests.store.test_timeline import DECISION

DAY = 86_400


def old_and_new() -> list[Fact]:
    return [
        ended("a", wait=1, joined_at=NOON - 31 * DAY),
        CallEvent(call="a", at=NOON - 31 * DAY, event="joined"),
        DECISION,  # It is about the call a.
        offer("o1", "a", "anna", OfferResult.BUSY),
        waiting("still-there", NOON - 31 * DAY),
        ended("new", wait=1, joined_at=NOON - 29 * DAY),
        CallEvent(call="new", at=NOON - 29 * DAY, event="joined"),
        span("anna", NOON - 40 * DAY, NOON - 31 * DAY),
        span("anna", NOON - 31 * DAY, NOON - 29 * DAY),
        span("anna", NOON - 29 * DAY, None),
    ]


def table(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_old_calls_go_with_all_that_belongs_to_them_and_open_ones_stay(path: Path) -> None:
    database_with(path, *old_and_new())
    pruned = prune(path, 30, NOON, pause=lambda seconds: None)
    assert pruned == Pruned(calls=1, agent_spans=1, events=0)
    assert table(path, "SELECT id FROM calls ORDER BY id") == [("new",), ("still-there",)]
    assert table(path, "SELECT call_id FROM call_events") == [("new",)]
    assert table(path, "SELECT * FROM offers UNION ALL SELECT *, 1, 1 FROM decisions") == []
    assert table(path, "SELECT count(*) FROM agent_spans") == [(2,)]


def test_a_writer_gets_its_turn_after_every_step(path: Path) -> None:
    database_with(
        path,
        *[
            ended(f"call-{number}", wait=1, joined_at=NOON - 99 * DAY)
            for number in range(PRUNE_CALLS * 2 + 1)
        ],
    )
    turns: list[float] = []
    told: list[tuple[str, int, int]] = []

    def write_meanwhile(seconds: float) -> None:
        with closing(connect(path, busy_seconds=0)) as other, transaction(other):
            other.execute("UPDATE meta SET value = value")
        turns.append(seconds)

    pruned = prune(path, 30, NOON, lambda *news: told.append(news), write_meanwhile)
    assert pruned.calls == PRUNE_CALLS * 2 + 1
    assert len(turns) == 3
    assert all(0 < seconds < BUSY_SECONDS for seconds in turns)
    assert [done for what, done, total in told if what == "calls"] == [200, 400, 401, 401]


def test_pruning_everything_is_refused(path: Path) -> None:
    database_with(path, *old_and_new())
    with pytest.raises(StoreError, match="would be all calls"):
        prune(path, 0, NOON)
    assert table(path, "SELECT count(*) FROM calls") == [(3,)]


def test_a_sound_database_has_no_problems(path: Path) -> None:
    database_with(path, *old_and_new())
    assert integrity(path) == []


def test_gaps_and_overlaps_of_agents_time_are_found(path: Path) -> None:
    database_with(
        path,
        span("anna", NOON, NOON + 10, AgentState.WAITING),
        span("anna", NOON + 11, None, AgentState.WAITING),
        span("bob", NOON, None, AgentState.WAITING),
        span("bob", NOON + 5, None, AgentState.WAITING),
    )
    assert integrity(path) == [
        "2 gaps or overlaps in agents' time, the first of anna at 2026-11-22T12:00:10.000Z"
    ]


def test_rows_that_belong_to_no_call_are_found(path: Path) -> None:
    database_with(path, offer("o1", "nobody", "anna", OfferResult.BUSY))
    assert integrity(path) == ["1 rows of offers belong to no call"]


def test_damage_is_found(path: Path) -> None:
    database_with(path, *[waiting(f"call-{number}") for number in range(500)])
    damage(path)
    problems = integrity(path)
    assert problems
    assert all(problem.startswith("is damaged") for problem in problems)


def test_rows_that_wait_beside_the_database_are_reported(path: Path) -> None:
    database_with(path)
    path.with_name("callctl.db.spill.jsonl").touch()
    path.with_name("callctl.db.rejected.jsonl").touch()
    waiting_rows, rejected_rows = integrity(path)
    assert "rows wait in" in waiting_rows
    assert "the schema forbids" in rejected_rows


def test_an_older_version_is_told_to_migrate(path: Path) -> None:
    database_with(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    (problem,) = integrity(path)
    assert "run callctl migrate" in problem
