"""Measures the history at a million calls: `python -m tests.store.benchmark --calls 1000000`.

It fills a database with a call centre's years, through the same rows as the journal, and then asks the
questions that people ask, while the journal goes on writing calls beside it. What must be met: `history
limit 20`, one call's timeline and a day's report within 100 ms, a month's report within 2 s; the first
answer is shown apart, as it waits for the disk and not for us. Not a test, as it takes minutes; exits 1 when
a limit is missed.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from attrs import evolve

from callctl.clock import SteadyClock
from callctl.model import (
    AgentState,
    CallEvent,
    Decision,
    Fact,
    OfferResult,
    PassedOver,
    Reason,
    Strategy,
)
from callctl.store.backup import backup
from callctl.store.connections import connect, transaction
from callctl.store.journal import Journal
from callctl.store.loading import open_reader
from callctl.store.reports import By, Selection, report_agents, report_calls
from callctl.store.rows import Value, entries_of
from callctl.store.schema import migrate
from callctl.store.timeline import CallFilter, call_timeline, list_calls
from tests.store.samples import NOON, ended, handled, offer, span, waiting

CALLS_A_DAY = 5000
"""A month of 150,000 calls, so that a million are 200 days."""

DAY = 86_400
AGENTS = [f"10{number:02}" for number in range(80)]
QUEUES = ["caller", "support", "sales"]
ROUNDS = 5


def calls(count: int, until: float, chance: random.Random) -> Iterator[Fact]:
    """Yield all facts about so many calls, the last of which joined at `until`."""
    for number in range(count):
        joined_at = until - (count - number) * DAY / CALLS_A_DAY
        key = f"{chance.getrandbits(128):032x}"
        queue, number_called = chance.choice(QUEUES), f"+4930{chance.randrange(10**7):07}"
        wait, talk = chance.expovariate(1 / 25), chance.expovariate(1 / 180)
        yield CallEvent(call=key, at=joined_at, event="joined", detail=f"{queue}, position 1")
        if chance.random() < 0.12:
            record = ended(key, wait=wait, joined_at=joined_at, queue=queue, number=number_called)
            yield evolve(record, arrival=evolve(record.arrival, uuid=key), position_at_entry=1)
            yield CallEvent(call=key, at=joined_at + wait, event="ended", detail=Reason.CALLER_HANGUP)
            continue
        agent, bridged_at = AGENTS[number % len(AGENTS)], joined_at + wait
        record = handled(
            key, wait=wait, talk=talk, joined_at=joined_at, queue=queue, number=number_called, agent=agent
        )
        yield evolve(record, arrival=evolve(record.arrival, uuid=key), position_at_entry=1)
        yield Decision(
            id=f"d{key}",
            at=bridged_at - 4,
            call=key,
            queue=queue,
            strategy=Strategy.LONGEST_IDLE_AGENT,
            chosen=(agent,),
            order=(agent, *AGENTS[:3]),
            passed_over=(PassedOver(agent=AGENTS[5], why="in a queue call"),),
        )
        yield offer(f"o{key}", key, agent, OfferResult.ANSWERED, at=bridged_at - 4, ring=4)
        for at, event in (
            (bridged_at - 4, "offered"),
            (bridged_at, "agent-answered"),
            (bridged_at, "bridged"),
        ):
            yield CallEvent(call=key, at=at, event=event, detail=agent)
        yield CallEvent(call=key, at=bridged_at + talk, event="ended", detail=Reason.BRIDGED)
        yield span(agent, bridged_at - 4, bridged_at, AgentState.RECEIVING, call=key)
        yield span(agent, bridged_at, bridged_at + talk, AgentState.IN_A_QUEUE_CALL, call=key)
        yield span(agent, bridged_at + talk, bridged_at + talk + 30, AgentState.WRAP_UP, call=key)
        yield span(agent, bridged_at + talk + 30, bridged_at + talk + 600, AgentState.WAITING)


def fill(path: Path, count: int, until: float) -> None:
    """Write so many calls in large transactions."""
    migrate(path)
    started = time.perf_counter()
    facts = calls(count, until, random.Random(count))
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        while portion := list(islice(facts, 20_000)):
            groups: dict[str, list[tuple[Value, ...]]] = {}
            for fact in portion:
                for entry in entries_of(fact):
                    groups.setdefault(entry.sql(), []).append(entry.values())
            with transaction(connection):
                for sql, rows in groups.items():
                    connection.executemany(sql, rows)
    size = path.stat().st_size / 2**20
    print(f"filled with {count} calls in {time.perf_counter() - started:.0f} s, {size:.0f} MiB")


def questions(
    reader: sqlite3.Connection, until: float, some_call: str
) -> dict[str, tuple[Callable[[], object], float | None]]:
    """Return what people ask, and how many seconds the answer may take (None: as long as it takes)."""
    day = Selection(since=until - 2 * DAY, until=until - DAY)
    month = Selection(since=until - 31 * DAY, until=until - DAY)

    def ask(sql: str) -> Callable[[], object]:
        return lambda: reader.execute(sql).fetchall()

    return {
        "history limit 20": (ask("SELECT * FROM history LIMIT 20"), 0.1),
        "call show": (lambda: call_timeline(reader, some_call), 0.1),
        "call show, by 8 characters": (lambda: call_timeline(reader, some_call[:8]), 0.1),
        "call list of a queue": (lambda: list_calls(reader, CallFilter(queue="sales")), 0.1),
        "call list, live": (lambda: list_calls(reader, CallFilter(live=True)), 0.1),
        "a day's report": (lambda: report_calls(reader, day, now=until), 0.1),
        "a day's report by half-hour": (lambda: report_calls(reader, day, now=until, by=By.HALF_HOUR), 0.1),
        "a day's report of one queue": (
            lambda: report_calls(reader, evolve(day, queue="sales"), now=until),
            0.1,
        ),
        "a day's report by agent": (lambda: report_agents(reader, day, now=until), 0.1),
        "a month's report": (lambda: report_calls(reader, month, now=until), 2),
        "a month's report by day": (lambda: report_calls(reader, month, now=until, by=By.DAY), 2),
        "a month's report by agent": (lambda: report_agents(reader, month, now=until), 2),
        "agent_days of a day": (
            ask(f"SELECT * FROM agent_days WHERE day = date({until - DAY}, 'unixepoch')"),
            None,
        ),
        "queue_intervals limit 48": (ask("SELECT * FROM queue_intervals LIMIT 48"), None),
        "abandoned_callers limit 20": (ask("SELECT * FROM abandoned_callers LIMIT 20"), None),
    }


async def measure(path: Path, until: float) -> bool:
    """Ask each question some times while the journal writes, print the times, and return if all were met."""
    met = True
    clock = SteadyClock(until)
    async with trio.open_nursery() as nursery:
        journal = Journal(path, clock=clock)
        await nursery.start(journal.run)

        async def go_on_writing() -> None:
            number = 0
            while True:
                for _ in range(5):
                    number += 1
                    journal.record(waiting(f"live-{number}", clock.now()))
                await trio.sleep(0.05)  # 100 calls a second.

        nursery.start_soon(go_on_writing)
        with closing(open_reader(path)) as reader:
            (some_call,) = reader.execute(
                "SELECT uuid FROM calls WHERE joined_at > date(?, 'unixepoch') AND agent <> ''",
                (until - 10 * DAY,),
            ).fetchone()
            for name, (answer, limit) in questions(reader, until, some_call).items():
                seconds = [await trio.to_thread.run_sync(_timed, answer) for _ in range(ROUNDS)]
                first, *others = seconds
                late = limit is not None and max(others) > limit
                met = met and not late
                shown = f"{first * 1000:8.1f} {min(others) * 1000:8.1f} {max(others) * 1000:8.1f} ms"
                print(f"{name:30} {shown}{'   MISSED' if late else ''}", flush=True)
        with TemporaryDirectory(dir=path.parent) as folder:
            target = Path(folder) / "backup.db"
            copying = await trio.to_thread.run_sync(_timed, lambda: backup(path, target))
        statistics = journal.statistics()
        print(f"{'backup, checked':30} {copying * 1000:8.0f} ms")
        print(f"{'the journal meanwhile':30} {statistics.commits} commits, error: {statistics.error}")
        nursery.cancel_scope.cancel()
    return met and statistics.error is None


def _timed(answer: Callable[[], object]) -> float:
    started = time.perf_counter()
    answer()
    return time.perf_counter() - started


def main() -> int:
    """Fill, measure, and say whether everything was in time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--database", type=Path, help="where to make it, or what to use if it is there")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        path: Path = options.database or Path(folder) / "benchmark.db"
        if not path.exists():
            fill(path, options.calls, NOON)
        print(f"{'':30} {'first':>8} {'fastest':>8} {'slowest':>8}", flush=True)
        return 0 if trio.run(measure, path, NOON) else 1


if __name__ == "__main__":
    sys.exit(main())
