"""The journal: what is recorded comes to stand in the database, whatever the database does meanwhile."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve

from callctl.clock import SteadyClock
from callctl.errors import StoreError
from callctl.model import AgentRemoved, AgentState, CallEvent, Fact, Tier
from callctl.store.connections import connect
from callctl.store.journal import BATCH_ROWS, BATCH_SECONDS, LAST_RETRY_SECONDS, Journal
from callctl.store.loading import load_agents, load_open_calls, load_tiers, open_reader
from callctl.store.writer import REPLAY_ROWS
from tests.store.samples import NOON, agent, handled, span, waiting

Rows = list[tuple[object, ...]]


def rows(path: Path, sql: str) -> Rows:
    with closing(open_reader(path)) as reader:
        return [tuple(row) for row in reader.execute(sql)]


def journal_on(path: Path) -> Journal:
    return Journal(path, clock=SteadyClock(NOON), busy_seconds=0)


def journal_without_thread(path: Path) -> Journal:
    """Return a journal for a virtual clock, which would run on while a thread works."""
    return Journal(path, clock=SteadyClock(NOON), busy_seconds=0, in_thread=False)


async def write(path: Path, *facts: Fact) -> None:
    """Start a journal, record, and stop it."""
    async with trio.open_nursery() as nursery:
        journal = journal_on(path)
        await nursery.start(journal.run)
        journal.record(*facts)
        nursery.cancel_scope.cancel()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the database as another program would."""
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_what_was_flushed_is_in_the_database(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_on(path)
        await nursery.start(journal.run)
        journal.record(waiting("a"), CallEvent(call="a", at=NOON, event="joined"))
        await journal.flush()
        assert rows(path, "SELECT id, state FROM calls") == [("a", "waiting")]
        assert rows(path, "SELECT call_id, event FROM call_events") == [("a", "joined")]
        assert journal.statistics().pending_rows == 0
        assert journal.statistics().commits == 1
        nursery.cancel_scope.cancel()


async def test_what_was_recorded_is_written_after_the_batch_time(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        journal.record(waiting("a"))
        await trio.sleep(BATCH_SECONDS / 2)
        assert rows(path, "SELECT id FROM calls") == []
        await trio.sleep(BATCH_SECONDS)
        assert rows(path, "SELECT id FROM calls") == [("a",)]
        nursery.cancel_scope.cancel()


async def test_a_full_batch_does_not_wait_for_the_batch_time(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        journal.record(*[waiting(f"call-{number}") for number in range(BATCH_ROWS)])
        await trio.sleep(BATCH_SECONDS / 2)
        assert rows(path, "SELECT count(*) FROM calls") == [(BATCH_ROWS,)]
        nursery.cancel_scope.cancel()


async def test_a_cancellation_writes_everything_recorded_so_far(path: Path) -> None:
    calls = [waiting(f"call-{number}") for number in range(BATCH_ROWS * 2 + 1)]
    await write(path, *calls)
    assert rows(path, "SELECT count(*) FROM calls") == [(len(calls),)]


async def test_writing_a_fact_twice_changes_nothing(path: Path) -> None:
    facts = (waiting("a"), CallEvent(call="a", at=NOON, event="joined"), Tier(queue="caller", agent="1001"))
    await write(path, *facts)
    await write(path, *facts)
    assert rows(path, "SELECT count(*) FROM calls") == [(1,)]
    assert rows(path, "SELECT count(*) FROM call_events") == [(1,)]
    assert rows(path, "SELECT count(*) FROM tiers") == [(1,)]


async def test_the_last_of_many_facts_about_a_row_stands_and_costs_no_memory(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_on(path)
        await nursery.start(journal.run)
        for offers in range(1000):
            journal.record(evolve(waiting("a"), offers=offers))
        assert journal.statistics().pending_rows == 1
        await journal.flush()
        assert rows(path, "SELECT offers FROM calls") == [(999,)]
        nursery.cancel_scope.cancel()


async def test_removing_an_agent_removes_its_tiers_but_not_those_given_afterwards(path: Path) -> None:
    first, second = Tier(queue="a", agent="1001"), Tier(queue="b", agent="1001")
    await write(path, agent(), first, AgentRemoved(agent="1001"), agent(), second)
    with closing(open_reader(path)) as reader:
        assert load_agents(reader) == [agent()]
        assert load_tiers(reader) == [second]


async def test_a_span_that_a_crash_left_open_ends_where_the_next_begins(path: Path) -> None:
    await write(path, span("1001", NOON, None, AgentState.WAITING))
    await write(path, span("1001", NOON + 60, None, AgentState.IDLE))
    found = rows(path, "SELECT started_at, ended_at, seconds FROM agent_spans ORDER BY started_at")
    assert found == [
        ("2026-11-22T12:00:00.000Z", "2026-11-22T12:01:00.000Z", 60.0),
        ("2026-11-22T12:01:00.000Z", None, None),
    ]


async def test_a_second_server_on_the_file_is_refused_by_the_pid_of_the_first(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(journal_on(path).run)
        with pytest.raises(StoreError, match=rf"pid {os.getpid()}\) is using the database"):
            await journal_on(path).run()
        nursery.cancel_scope.cancel()
    await write(path, waiting("a"))  # The lock went with the first.


async def test_a_locked_database_costs_no_row_and_is_written_when_it_is_free(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_on(path)
        await nursery.start(journal.run)
        with locked(path):
            journal.record(waiting("a"))
            with pytest.raises(StoreError, match="locked by another program"):
                await journal.flush()
            journal.record(waiting("b"))
            with pytest.raises(StoreError, match="locked by another program"):
                await journal.flush()
            statistics = journal.statistics()
            assert statistics.error is not None
            assert (statistics.pending_rows, statistics.spilled_rows) == (0, 2)
        journal.record(waiting("c"))
        await journal.flush()
        assert rows(path, "SELECT id FROM calls ORDER BY rowid") == [("a",), ("b",), ("c",)]
        assert journal.statistics().error is None
        assert journal.statistics().spilled_rows == 0
        nursery.cancel_scope.cancel()


async def test_a_journal_that_failed_recovers_by_itself(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        with locked(path):
            journal.record(waiting("a"))
            await trio.sleep(60)
            assert journal.statistics().error is not None
        await trio.sleep(LAST_RETRY_SECONDS)
        assert journal.statistics().error is None
        assert rows(path, "SELECT id FROM calls") == [("a",)]
        nursery.cancel_scope.cancel()


async def test_what_could_not_be_written_until_the_end_is_written_at_the_next_start(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    calls = [waiting(f"call-{number}") for number in range(REPLAY_ROWS + 1)]
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            journal = journal_without_thread(path)
            await nursery.start(journal.run)
            stack.enter_context(locked(path))
            journal.record(*calls)
            nursery.cancel_scope.cancel()
    assert journal.statistics().spilled_rows == len(calls)
    assert rows(path, "SELECT count(*) FROM calls") == [(0,)]
    await write(path, handled("call-0", wait=1, talk=1))  # It ends before the spill is replayed.
    async with trio.open_nursery() as nursery:
        await nursery.start(journal_without_thread(path).run)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert rows(path, "SELECT state, count(*) FROM calls GROUP BY state") == [
        ("ended", 1),
        ("waiting", len(calls) - 1),
    ]
    assert not path.with_name("callctl.db.spill.jsonl").exists()


async def test_a_database_that_is_locked_at_the_start_is_refused_after_the_busy_time(path: Path) -> None:
    await write(path, waiting("a"))
    with locked(path), pytest.raises(StoreError, match="locked by another program"):
        await journal_on(path).run()


WRITER = """
import sys, trio
from pathlib import Path
from callctl.clock import SteadyClock
from callctl.store.journal import Journal
from callctl.store.writer import REPLAY_ROWS
from tests.store.samples import waiting

async def main():
    async with trio.open_nursery() as nursery:
        journal = Journal(Path(sys.argv[1]), clock=SteadyClock())
        await nursery.start(journal.run)
        number = 0
        while True:
            for _ in range(50):
                number += 1
                journal.record(waiting(f"call-{number}"))
            await journal.flush()
            print(number, flush=True)

trio.run(main)
"""


def test_what_a_killed_writer_acknowledged_is_there(path: Path) -> None:
    for acknowledgements in (1, 7, 20):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(acknowledgements):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout if line.endswith("\n"))])
        process.wait()
        process.stdout.close()
        with closing(open_reader(path)) as reader:
            found = {record.arrival.call for record in load_open_calls(reader)}
        assert {f"call-{number}" for number in range(1, acknowledged + 1)} <= found
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
