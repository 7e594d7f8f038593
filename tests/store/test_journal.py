"""The journal: what is recorded comes to stand in the database, whatever the database does meanwhile."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
import trio
import trio.testing
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from callctl.clock import SteadyClock
from callctl.errors import StoreError
from callctl.model import AgentRemoved, AgentState, AgentStatus, CallEvent, Fact, Tier, TierRemoved
from callctl.store.backup import restore
from callctl.store.connections import connect
from callctl.store.journal import BATCH_ROWS, BATCH_SECONDS, LAST_RETRY_SECONDS, Journal
from callctl.store.loading import load_agents, load_open_calls, load_tiers, open_reader
from callctl.store.upkeep import integrity
from callctl.store.writer import REPLAY_ROWS, Kept, Writer
from tests.store.samples import NOON, agent, database_with, handled, no_file_grows_beyond, span, waiting

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


def write_a_letter(path: Path) -> None:
    """Put something there that is no database at all."""
    path.write_text("Dear Sir or Madam,\n" * 100)


def contents(path: Path) -> bytes:
    """Return the whole file."""
    return path.read_bytes()


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


async def test_many_changes_of_an_agent_are_one_row_unless_it_is_removed_between(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_on(path)
        await nursery.start(journal.run)
        for misses in range(100):
            journal.record(evolve(agent(), misses=misses), Tier(queue="a", agent="1001", level=misses))
        assert journal.statistics().pending_rows == 2
        journal.record(AgentRemoved(agent="1001"), agent())
        assert journal.statistics().pending_rows == 4
        await journal.flush()
        nursery.cancel_scope.cancel()
    with closing(open_reader(path)) as reader:
        assert load_agents(reader) == [agent()]
        assert load_tiers(reader) == []


some_names = st.sampled_from(["1001", "1002"])
some_queues = st.sampled_from(["a", "b"])
roster_facts = st.one_of(
    st.builds(lambda name, misses: evolve(agent(name), misses=misses), some_names, st.integers(0, 9)),
    st.builds(Tier, queue=some_queues, agent=some_names, level=st.integers(0, 9)),
    st.builds(AgentRemoved, agent=some_names),
    st.builds(TierRemoved, queue=some_queues, agent=some_names),
)


@settings(deadline=None)
@given(st.lists(st.tuples(roster_facts, st.booleans()), max_size=12))
def test_agents_and_tiers_come_out_as_if_each_fact_were_written_alone(steps: list[tuple[Fact, bool]]) -> None:
    async def record(path: Path) -> None:
        async with trio.open_nursery() as nursery:
            journal = journal_without_thread(path)
            await nursery.start(journal.run)
            for fact, ends_a_batch in steps:
                journal.record(fact)
                if ends_a_batch:
                    await journal.flush()
            nursery.cancel_scope.cancel()

    with TemporaryDirectory() as folder:
        together, alone = Path(folder) / "together.db", Path(folder) / "alone.db"
        trio.run(record, together)
        database_with(alone, *(fact for fact, _ in steps))
        with closing(open_reader(together)) as reader, closing(open_reader(alone)) as other:
            assert load_agents(reader) == load_agents(other)
            assert load_tiers(reader) == load_tiers(other)


async def test_a_span_that_a_crash_left_open_ends_where_the_next_begins(path: Path) -> None:
    await write(path, span("1001", NOON, None, AgentState.IN_A_QUEUE_CALL))
    await write(path, span("1001", NOON + 60, None, AgentState.IDLE))
    found = rows(path, "SELECT started_at, ended_at, seconds FROM agent_spans ORDER BY started_at")
    assert found == [
        ("2026-11-22T12:00:00.000Z", "2026-11-22T12:01:00.000Z", 60.0),
        ("2026-11-22T12:01:00.000Z", None, None),
    ]


async def test_an_open_span_of_an_earlier_run_ends_as_well_if_it_was_in_the_spill(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            journal = journal_without_thread(path)
            await nursery.start(journal.run)
            stack.enter_context(locked(path))
            journal.record(span("1001", NOON, None, AgentState.RECEIVING))
            nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        assert rows(path, "SELECT state, ended_at FROM agent_spans") == [("Receiving", None)]
        journal.record(span("1001", NOON + 1, None, AgentState.IDLE))
        await journal.flush()
        nursery.cancel_scope.cancel()
    assert rows(path, "SELECT state, ended_at FROM agent_spans ORDER BY started_at") == [
        ("Receiving", "2026-11-22T12:00:01.000Z"),
        ("Idle", None),
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
    async with trio.open_nursery() as nursery:
        await nursery.start(journal_without_thread(path).run)
        # Whoever starts reads next who was there, and would not know those in the spill.
        assert rows(path, "SELECT count(*) FROM calls") == [(len(calls),)]
        nursery.cancel_scope.cancel()
    assert not path.with_name("callctl.db.spill.jsonl").exists()
    await write(path, handled("call-0", wait=1, talk=1))
    assert rows(path, "SELECT state, count(*) FROM calls GROUP BY state") == [
        ("ended", 1),
        ("waiting", len(calls) - 1),
    ]


async def test_a_start_that_cannot_write_what_was_left_is_refused(
    path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        with locked(path):
            journal.record(waiting("a"))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
            await trio.lowlevel.checkpoint_if_cancelled()

    def fail(self: Writer, facts: Sequence[Fact], *, try_database: bool, now: float) -> Kept:
        return Kept(is_safe=True, spilled_rows=1, error="the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "keep", fail)
        with pytest.raises(StoreError, match="the disk is full"):
            await journal_without_thread(path).run()
    await write(path)
    assert rows(path, "SELECT id FROM calls") == [("a",)]


async def test_a_database_that_is_locked_at_the_start_is_refused_after_the_busy_time(path: Path) -> None:
    await write(path, waiting("a"))
    with locked(path), pytest.raises(StoreError, match="locked by another program"):
        await journal_on(path).run()


async def test_what_is_no_database_of_ours_is_refused_at_the_start(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = contents(path)
    with pytest.raises(StoreError, match="another program"):
        await journal_on(path).run()
    assert contents(path) == before
    write_a_letter(path)
    with pytest.raises(StoreError, match="is not a database; move it away"):
        await journal_on(path).run()
    with pytest.raises(StoreError, match=r"cannot create .*/no-such-folder/callctl\.db\.lock"):
        await journal_on(path.parent / "no-such-folder" / "callctl.db").run()


async def test_a_damaged_database_is_refused_at_the_start_with_what_to_do(path: Path) -> None:
    await write(path, waiting("a"))
    with path.open("r+b") as file:
        file.seek(100)  # Behind the header, where the list of tables begins.
        file.write(b"\xff" * 4000)
    with pytest.raises(StoreError, match=r"is damaged; .* callctl restore FILE"):
        await journal_on(path).run()


async def test_a_database_that_may_only_be_read_is_refused_at_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(path, waiting("a"))

    def connect_to_read(path: Path, busy_seconds: float) -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )

    # Permissions would not stop a test that is run by root.
    monkeypatch.setattr("callctl.store.writer.connect", connect_to_read)
    with pytest.raises(StoreError, match="cannot be written; give callctl the right"):
        await journal_on(path).run()


async def test_a_full_disk_costs_no_row_that_fits_in_memory(
    path: Path, autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [waiting(f"call-{number}") for number in range(5000)]
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        with no_file_grows_beyond(10_000):
            journal.record(*calls[:4000])
            await trio.sleep(60)
            journal.record(*calls[4000:])
            with pytest.raises(StoreError):
                await journal.flush()
            assert journal.statistics().error is not None
            assert journal.statistics().pending_rows == len(calls)
        await journal.flush()
        assert rows(path, "SELECT count(*) FROM calls") == [(len(calls),)]
        assert journal.statistics().error is None
        nursery.cancel_scope.cancel()
    # One line when it began and one when it was over, and not one for each attempt.
    logged = capsys.readouterr().out
    assert logged.count("cannot be written now") == 1
    assert logged.count("written again") == 1


async def test_memory_is_bounded_and_what_is_lost_is_counted_and_said(
    path: Path,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("callctl.store.journal.MOST_PENDING_ROWS", 10)
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        with no_file_grows_beyond(0):
            for number in range(25):
                journal.record(waiting(f"call-{number}"))
            await trio.sleep(60)
            assert journal.statistics().pending_rows == 10
            assert journal.statistics().lost_rows == 15
            journal.record(evolve(waiting("call-9"), offers=3))  # It has its place in memory already.
            assert journal.statistics().lost_rows == 15
        await journal.flush()
        nursery.cancel_scope.cancel()
    assert rows(path, "SELECT count(*), max(offers) FROM calls") == [(10, 3)]
    assert "history is being lost" in capsys.readouterr().out


async def test_a_row_that_the_schema_forbids_holds_up_no_other_and_is_kept_beside(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    impossible = evolve(waiting("bad"), offers=-1)
    beyond = evolve(waiting("worse"), offers=1 << 70)
    never = waiting("worst", joined_at=float("nan"))
    unheard_of = evolve(waiting("weird"), state="dreaming")
    async with trio.open_nursery() as nursery:
        journal = journal_on(path)
        await nursery.start(journal.run)
        journal.record(waiting("a"), impossible, beyond, never, unheard_of, waiting("b"))
        await journal.flush()
        assert journal.statistics().rejected_rows == 4
        nursery.cancel_scope.cancel()
    assert rows(path, "SELECT id FROM calls ORDER BY id") == [("a",), ("b",)]
    kept = [json.loads(line) for line in path.with_name("callctl.db.rejected.jsonl").read_text().splitlines()]
    ids = [isinstance(line["row"], str) or line["row"]["id"] for line in kept]
    assert ids == [True, "bad", "worse", "weird"]
    assert "CHECK constraint failed" in kept[1]["why"]
    said = capsys.readouterr().out
    assert said.count("the database forbids rows") == 1
    assert "times=4" in said
    assert kept[3]["why"] == "calls: 'dreaming' is no state that this callctl knows"


@pytest.mark.usefixtures("capsys")  # Else the log goes to a file, which cannot grow either.
async def test_a_fact_that_comes_while_the_writer_fails_is_newer_than_the_one_it_hands_back(
    path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        keep = Writer.keep

        def keep_while_something_happens(
            writer: Writer, facts: Sequence[Fact], *, try_database: bool, now: float
        ) -> Kept:
            journal.record(evolve(waiting("a"), offers=2))
            monkeypatch.setattr(Writer, "keep", keep)
            return keep(writer, facts, try_database=try_database, now=now)

        with no_file_grows_beyond(0):
            monkeypatch.setattr(Writer, "keep", keep_while_something_happens)
            journal.record(evolve(waiting("a"), offers=1))
            await trio.sleep(1)
            assert journal.statistics().pending_rows == 1
        await journal.flush()
        assert rows(path, "SELECT offers FROM calls") == [(2,)]
        nursery.cancel_scope.cancel()


async def test_a_flush_waits_for_all_of_the_spill(path: Path) -> None:
    calls = [waiting(f"call-{number}") for number in range(REPLAY_ROWS + BATCH_ROWS)]
    async with trio.open_nursery() as nursery:
        journal = journal_on(path)
        await nursery.start(journal.run)
        with locked(path):
            journal.record(*calls)
            while journal.statistics().spilled_rows < len(calls):
                with pytest.raises(StoreError):
                    await journal.flush()
        await journal.flush()
        assert rows(path, "SELECT count(*) FROM calls") == [(len(calls),)]
        nursery.cancel_scope.cancel()


async def test_a_flush_after_the_end_says_that_nothing_was_written(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_on(path)
        await nursery.start(journal.run)
        nursery.cancel_scope.cancel()
    journal.record(waiting("late"))
    assert journal.statistics().lost_rows == 1
    with pytest.raises(StoreError, match="closed"):
        await journal.flush()


async def test_many_flushes_at_once_return_together(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_on(path)
        await nursery.start(journal.run)

        async def record_and_flush(number: int) -> None:
            journal.record(waiting(f"call-{number}"))
            await journal.flush()
            assert rows(path, f"SELECT id FROM calls WHERE id = 'call-{number}'")

        async with trio.open_nursery() as flushes:
            for number in range(50):
                flushes.start_soon(record_and_flush, number)
        assert journal.statistics().commits < 25
        nursery.cancel_scope.cancel()


WRITER = """
import sys, trio
from pathlib import Path
from callctl.clock import SteadyClock
from callctl.store.journal import Journal
from callctl.store.upkeep import integrity
from callctl.store.writer import REPLAY_ROWS, Kept, Writer
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


def test_what_a_killed_writer_acknowledged_is_there(path: Path, pytestconfig: pytest.Config) -> None:
    chance = Random(1)
    for _ in range(pytestconfig.getoption("--kills") or 3):
        acknowledgements = chance.randint(1, 30)
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


@pytest.mark.fault(23)
@pytest.mark.parametrize(("status", "column"), [("Available", "available"), ("On Break", "on_break")])
async def test_while_callctl_is_down_nobody_is_available_or_on_a_break(
    path: Path, autojump_clock: trio.testing.MockClock, status: str, column: str
) -> None:
    state = AgentState.WAITING if status == "Available" else AgentState.IDLE

    async def live(since: float, seconds: float, *facts: Fact) -> None:
        journal = Journal(path, clock=SteadyClock(since), in_thread=False)
        async with trio.open_nursery() as nursery:
            await nursery.start(journal.run)
            journal.record(*facts)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()

    begin = span("1001", NOON, None, state, AgentStatus(status))
    await live(NOON, 100, begin)
    again = NOON + 100 + 3600
    await live(again, 0, span("1001", again, None, state, AgentStatus(status)))
    await live(again + 60, 20, span("1001", again + 60, again + 70, state, AgentStatus(status)))
    [(seconds, logged_in)] = rows(path, f"SELECT {column}, logged_in FROM agent_days")
    # It writes every ten seconds that it is alive.
    assert 100 <= seconds <= 100 + 10 + 10 + 10
    assert logged_in == seconds
    assert integrity(path) == []


async def test_a_talk_goes_on_while_callctl_is_down_and_nobody_comes_to_any_time_who_is_logged_out(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    for since, name, state, status in (
        (NOON, "1001", AgentState.IN_A_QUEUE_CALL, AgentStatus.AVAILABLE),
        (NOON, "1002", AgentState.IDLE, AgentStatus.LOGGED_OUT),
        (NOON + 3600, "1001", AgentState.WAITING, AgentStatus.AVAILABLE),
    ):
        journal = Journal(path, clock=SteadyClock(since), in_thread=False)
        async with trio.open_nursery() as nursery:
            await nursery.start(journal.run)
            journal.record(span(name, since, None, state, status))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
    spans = rows(path, "SELECT agent, state, seconds FROM agent_spans ORDER BY agent, started_at")
    assert spans == [
        ("1001", "In a queue call", 3600),
        ("1001", "Waiting", None),
        ("1002", "Idle", None),
    ]


def was_deleted(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink()


def was_replaced(path: Path) -> None:
    database_with(other := path.with_name("other.db"), waiting("theirs"))
    other.rename(path)


def was_moved(path: Path) -> None:
    path.rename(path.with_name("away.db"))


def came_back(path: Path) -> None:
    path.with_name("away.db").rename(path)


@pytest.mark.fault(25)
@pytest.mark.parametrize("happened", [was_deleted, was_replaced])
async def test_a_database_that_is_gone_is_noticed_and_nothing_is_lost(
    path: Path, autojump_clock: trio.testing.MockClock, happened: Callable[[Path], None]
) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        journal.record(waiting("before"))
        await journal.flush()
        happened(path)
        await trio.sleep(6)  # Nothing has to happen for it to be noticed.
        how = happened.__name__.replace("_", " ")
        error = journal.statistics().error
        assert error is not None
        assert how in error
        journal.record(waiting("after"))
        await trio.sleep(60)
        statistics = journal.statistics()
        assert (statistics.spilled_rows, statistics.pending_rows, statistics.lost_rows) == (1, 0, 0)
        with pytest.raises(StoreError, match=how):
            await journal.flush()
        nursery.cancel_scope.cancel()
    [rescued] = path.parent.glob("callctl.db.rescued-*")
    assert str(rescued) in error
    assert rows(rescued, "SELECT id FROM calls") == [("before",)]
    if happened is was_deleted:
        restore(path, rescued, NOON)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal_without_thread(path).run)
        nursery.cancel_scope.cancel()
    kept = "before" if happened is was_deleted else "theirs"
    assert rows(path, "SELECT id FROM calls ORDER BY id") == sorted([("after",), (kept,)])
    assert integrity(path) == []


@pytest.mark.fault(25)
async def test_a_database_that_is_gone_at_the_stop_costs_no_row(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        was_deleted(path)
        journal.record(waiting("a"))
        nursery.cancel_scope.cancel()
    await write(path)
    assert rows(path, "SELECT id FROM calls") == [("a",)]


async def test_a_database_that_comes_back_by_its_name_is_written_again(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        journal = journal_without_thread(path)
        await nursery.start(journal.run)
        was_moved(path)
        await trio.sleep(10)
        journal.record(waiting("a"))
        await trio.sleep(10)
        came_back(path)
        await trio.sleep(10)
        assert journal.statistics().error is None
        assert rows(path, "SELECT id FROM calls") == [("a",)]
        nursery.cancel_scope.cancel()
