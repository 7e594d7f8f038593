"""The single writer: takes facts from anybody at once, and writes them in batches by one thread.

Recording never waits for the disk. Facts gather in memory for 20 ms, until there are 512, or until a talk
begins, and go to the database in one transaction; while it takes none, they go to a file beside it, and from
there to the database as soon as that is possible again, also after a restart. A later fact about the same row
replaces an earlier one that still waits, so an outage costs memory for rows and not for their changes.

Of the facts events are made, for other systems, and each is written in one transaction with the fact that it
follows from: a crash loses none of which the history knows, and doubles none.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
import trio
from attrs import define, frozen

from callctl.clock import SteadyClock
from callctl.errors import StoreError
from callctl.model import AgentRemoved, CallRecord, CallState, Fact, QueueRemoved, TierRemoved
from callctl.refusals import Refusal, Refusals
from callctl.store.connections import BUSY_SECONDS, ServerLock
from callctl.store.event_builder import EventBuilder
from callctl.store.event_log import StoredEvent
from callctl.store.rows import coalescing_key
from callctl.store.views import ALIVE_SECONDS
from callctl.store.writer import Kept, Writer

log = structlog.get_logger(__name__)

T = TypeVar("T")

BATCH_SECONDS = 0.02
BATCH_ROWS = 512
"""A batch is written when its first fact is this old, or when there are so many."""

MOST_PENDING_ROWS = 100_000
"""The bound on memory, about 100 MB. It is reached only when neither database nor spill can be written."""

FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 5.0
"""The pause after a failure doubles from the first to the last, so that a short lock costs little time."""


@frozen(kw_only=True)
class JournalStatistics:
    """How the journal stands. `error` says in words why the database takes no rows now, or is None.

    `rejected_rows` counts what the schema forbids, which is kept in a file of its own, and `lost_rows`
    what went nowhere, because database and spill could not be written until memory was full, or the end.
    """

    pending_rows: int
    spilled_rows: int
    last_commit_seconds: float
    commits: int
    error: str | None
    rejected_rows: int
    lost_rows: int


@define(eq=False)
class _Waits:
    """What waits to be written, with its first and last number in the order of recording.

    The last is that of the last event which follows from it.
    """

    fact: Fact
    first: int
    last: int


def _is_a_talk(fact: Fact) -> bool:
    """Say whether a caller talks. If the talk ends while callctl is down, nothing but this row knows it."""
    return isinstance(fact, CallRecord) and fact.state is CallState.TALKING


class Journal:
    """Writes facts down. `run` is its life; `record` may be called from its start to its end."""

    def __init__(
        self,
        path: Path,
        *,
        clock: SteadyClock,
        busy_seconds: float = BUSY_SECONDS,
        in_thread: bool = True,
        writer: Writer | None = None,
    ) -> None:
        """`busy_seconds` is how long a lock of another program is waited for.

        With `in_thread` false the rows are written in Trio's own thread: for simulations, as a virtual
        clock runs on while a thread works, and would make every run different. Their `writer` fails on
        purpose.
        """
        self._clock = clock
        self._in_thread = in_thread
        self._limiter = trio.CapacityLimiter(1)
        self._lock = ServerLock(path)
        self._writer = writer or Writer(path, busy_seconds)
        self._is_closed = False
        # What waits, by key, in the order of its first number.
        self._pending: dict[Hashable, _Waits] = {}
        self._events = EventBuilder()
        self._told_through = 0
        self._listeners: list[Callable[[Sequence[StoredEvent]], object]] = []
        self._recorded = self._removals = 0
        self._safe_through = 0
        self._committed_through = 0
        self._attempts = 0
        self._error: str | None = None
        self._is_stuck = False
        self._retry_seconds = 0.0
        self._retry_at = 0.0
        self._kept_at = clock.now()
        self._spilled_rows = self._rejected_rows = self._lost_rows = self._commits = 0
        self._last_commit_seconds = 0.0
        self._work = trio.Event()
        self._enough = trio.Event()
        self._hurry = trio.Event()
        self._attempted = trio.Event()

    def record(self, *facts: Fact) -> None:
        """Take facts to write them down soon. Never waits and never raises."""
        now = self._clock.now()
        for fact in facts:
            waits = self._take(fact)
            for event in self._events.observe(fact, now):
                self._take(event)
            if waits is not None:
                waits.last = self._recorded
        self._work.set()
        if len(self._pending) >= BATCH_ROWS or any(map(_is_a_talk, facts)):
            self._enough.set()

    def _take(self, fact: Fact) -> _Waits | None:
        """Let a fact wait, or lose it."""
        self._recorded += 1
        # A fact that nothing replaces is its own key: no other has its number.
        key = coalescing_key(fact, self._removals) or self._recorded
        if isinstance(fact, AgentRemoved | QueueRemoved | TierRemoved):
            self._removals += 1
        waits = self._pending.get(key)
        if waits is not None:
            waits.fact = fact
        elif self._is_closed or len(self._pending) >= MOST_PENDING_ROWS:
            self._lose(1)
        else:
            waits = self._pending[key] = _Waits(fact, self._recorded, self._recorded)
        return waits

    @property
    def told_through(self) -> int:
        """The sequence of the last event that stands in the database, while the journal runs."""
        return self._told_through

    def listen(self, listener: Callable[[Sequence[StoredEvent]], object]) -> Callable[[], None]:
        """Have `listener` called with events as soon as they stand in the database; returns what ends that.

        It is called in Trio's thread, and must neither wait nor raise.
        """
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    async def flush(self) -> None:
        """Return when everything recorded before stands in the database, on the disk.

        Raises StoreError if it could not be written there; it is then kept beside it, and written later.
        A cancellation changes nothing.
        """
        target, attempts_before = self._recorded, self._attempts
        while self._committed_through < target:
            if self._is_closed:
                raise StoreError("the journal is closed, and not everything was written")
            self._hurry.set()
            self._enough.set()
            self._work.set()
            await self._attempted.wait()
            if self._error is not None and self._attempts > attempts_before:
                raise StoreError(self._error)
        await trio.lowlevel.checkpoint()

    def statistics(self) -> JournalStatistics:
        """Return how the journal stands."""
        return JournalStatistics(
            pending_rows=len(self._pending),
            spilled_rows=self._spilled_rows,
            last_commit_seconds=self._last_commit_seconds,
            commits=self._commits,
            error=self._error,
            rejected_rows=self._rejected_rows,
            lost_rows=self._lost_rows,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the database, migrating it, say "started", and write until cancelled.

        What an earlier run had to spill stands in the database by then. Raises StoreError when it cannot be
        opened or written, or another server uses it. A cancellation leaves everything recorded so far in
        the database, or in the spill if it takes nothing; that takes `busy_seconds` and a disk's time for
        the rows at most.
        """
        try:
            self._spilled_rows = await self._call(self._open)
            try:
                await self._write_what_was_left()
                self._events = await self._call(self._writer.known_to_others)
                self._told_through = self._writer.told_through
                await self._call(partial(self._writer.settle_downtime, self._clock.now()))
                task_status.started()
                while True:
                    await self._wait_for_work()
                    await self._keep_batch(try_database=self._is_time_for_the_database())
            finally:
                with trio.CancelScope(shield=True):
                    await self._keep_the_rest()
        finally:
            self._close()

    async def aside(self, function: Callable[[], T]) -> T:
        """Run what takes the disk's time, such as reading, where the rows are written as well."""
        return await self._call(function)

    def _open(self) -> int:
        self._lock.acquire()
        rows = self._writer.open()
        self._lock.hold_file()
        return rows

    async def _write_what_was_left(self) -> None:
        """Write the spill of an earlier run, as whoever starts reads next what the database knows."""
        if self._spilled_rows:
            log.info("writing what an earlier run could not", rows=self._spilled_rows)
        while self._spilled_rows:
            await self._keep_batch(try_database=True)
            if self._error is not None:
                raise StoreError(self._error)

    async def _keep_the_rest(self) -> None:
        """Write what waits, or spill it after the first failure, or give up after the second."""
        try_database = True
        if not self._pending and self._error is None:
            await self._keep_batch(try_database=True)  # That we were alive until now.
        while self._pending and (try_database or not self._is_stuck):
            await self._keep_batch(try_database=try_database)
            try_database = self._error is None
        await self._call(self._writer.close)

    def _close(self) -> None:
        self._is_closed = True
        self._lose(len(self._pending))
        self._pending.clear()
        self._attempted.set()
        self._lock.release()

    async def _wait_for_work(self) -> None:
        if self._spilled_rows and self._error is None:
            # The rest of the spill, portion by portion, so that others get at the database in between.
            await trio.lowlevel.checkpoint()
            return
        # Without an error it is time to write that we are alive, even if nothing else is to be written.
        due_at = self._retry_at if self._error is not None else self._kept_at + ALIVE_SECONDS
        with trio.move_on_at(self._clock.deadline(due_at)):
            if self._is_stuck:
                await self._hurry.wait()
            await self._work.wait()
            with trio.move_on_after(BATCH_SECONDS):
                await self._enough.wait()

    def _is_time_for_the_database(self) -> bool:
        return self._error is None or self._hurry.is_set() or self._clock.now() >= self._retry_at

    async def _keep_batch(self, *, try_database: bool) -> None:
        batch = self._take_batch()
        self._work, self._enough, self._hurry = trio.Event(), trio.Event(), trio.Event()
        if self._pending:
            self._work.set()
        if len(self._pending) >= BATCH_ROWS:
            self._enough.set()
        self._attempts += 1
        self._kept_at = self._clock.now()
        facts = [waits.fact for waits in batch.values()]
        with trio.CancelScope(shield=True):
            keep = partial(self._writer.keep, facts, try_database=try_database, now=self._kept_at)
            kept = await self._call(keep)
        if not kept.is_safe:
            for key, waits in batch.items():
                if (newer := self._pending.pop(key, None)) is not None:
                    waits.fact, waits.last = newer.fact, newer.last
            self._pending = {**batch, **self._pending}
        self._note(kept, try_database=try_database)
        self._attempted.set()
        self._attempted = trio.Event()
        if kept.events:
            self._told_through = kept.events[-1].sequence
            for listener in list(self._listeners):
                listener(kept.events)

    def _take_batch(self) -> dict[Hashable, _Waits]:
        """Take out what is written next: about BATCH_ROWS, and never a fact without its events.

        Nor is an event before another that was recorded earlier. So whatever was recorded up to the last
        change of anything in the batch is in it as well.
        """
        batch: dict[Hashable, _Waits] = {}
        through = 0
        for key, waits in self._pending.items():
            if len(batch) >= BATCH_ROWS and waits.first > through:
                break
            batch[key] = waits
            through = max(through, waits.last)
        for key in batch:
            del self._pending[key]
        return batch

    def _note(self, kept: Kept, *, try_database: bool) -> None:
        self._is_stuck = not kept.is_safe
        self._spilled_rows = kept.spilled_rows
        if kept.commit_seconds is not None:
            self._commits += 1
            self._last_commit_seconds = kept.commit_seconds
        if kept.is_safe:
            oldest = next(iter(self._pending.values()), None)
            self._safe_through = self._recorded if oldest is None else oldest.first - 1
            if not kept.spilled_rows:
                self._committed_through = self._safe_through
        if kept.rejected:
            Refusals.of_this_run().note(
                Refusal.ROWS_FORBIDDEN,
                log.error,
                "the database forbids rows, which are kept in a file beside it",
                amount=len(kept.rejected),
                why=kept.rejected[0],
            )
        self._rejected_rows += len(kept.rejected)
        if try_database or kept.error is not None:
            self._note_error(kept.error)

    def _note_error(self, error: str | None) -> None:
        if error is None:
            if self._error is not None:
                log.info("the history is written again", spilled_rows=self._spilled_rows)
            self._retry_seconds = 0.0
        else:
            if error != self._error:
                log.error("the history cannot be written now", why=error, is_kept=not self._is_stuck)
            doubled = max(2 * self._retry_seconds, FIRST_RETRY_SECONDS)
            self._retry_seconds = min(doubled, LAST_RETRY_SECONDS)
            self._retry_at = self._clock.now() + self._retry_seconds
        self._error = error

    def _lose(self, rows: int) -> None:
        if rows:
            why = self._error or "the journal is closed"
            Refusals.of_this_run().note(
                Refusal.ROWS_LOST, log.error, "history is being lost", amount=rows, why=why
            )
        self._lost_rows += rows

    async def _call(self, function: Callable[[], T]) -> T:
        if self._in_thread:
            return await trio.to_thread.run_sync(function, limiter=self._limiter)
        await trio.lowlevel.checkpoint()
        return function()
