"""Writes rows to the database, or keeps them in the spill while the database takes none. No task, no clock.

The journal calls `keep` from one thread at a time. Rows that the schema forbids can never be written: they
go to `<database>.rejected.jsonl` with the reason, so that one bad row holds up no other.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections.abc import Sequence, Set
from contextlib import closing
from pathlib import Path

import structlog
from attrs import frozen

from callctl.clock import iso_utc
from callctl.errors import StoreError
from callctl.model import DOWN, Fact
from callctl.store.connections import BUSY_SECONDS, connect, store_error, transaction
from callctl.store.event_builder import EventBuilder
from callctl.store.event_log import StoredEvent, events_after, last_sequence
from callctl.store.loading import epoch, load_agents, load_open_offers, load_told_calls
from callctl.store.own_files import beside, create, opener, real_path, time_in_name
from callctl.store.rows import CLOSE_EARLIER_SPANS, SETTLE_DOWNTIME, Action, Entry, Row, Value, entries_of
from callctl.store.schema import Progress, migrate, version_of
from callctl.store.spill import Spill

REPLAY_ROWS = 2000
"""How many rows of the spill go into one transaction: about 50 ms of holding the database."""

LOG_PROGRESS_SECONDS = 10.0
"""How often a long migration says how far it is."""

WAL_LIMIT_BYTES = 64 << 20
"""To what size the write-ahead log shrinks again after a reader has held it open for long."""


log = structlog.get_logger(__name__)

ALIVE_NOTED_SECONDS = 1.0
"""`meta.alive_at` is at most so much behind what else is written: not every batch needs to change it."""

_OPENED = (
    "INSERT INTO meta (key, value) VALUES ('opened_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_ALIVE = (
    "INSERT INTO meta (key, value) VALUES ('alive_at', ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


@frozen(kw_only=True)
class Kept:
    """What became of a batch: in the database if `error` is None and `spilled_rows` is 0.

    `is_safe` says that it stands in the database or in the spill. `commit_seconds` is the time that the
    last transaction took, None if there was none; `rejected` says of each forbidden row what is wrong.
    `events` are those that were not in the database before, in their order.
    """

    is_safe: bool
    spilled_rows: int
    error: str | None = None
    commit_seconds: float | None = None
    rejected: tuple[str, ...] = ()
    events: tuple[StoredEvent, ...] = ()


class FileGone(StoreError):
    """The database is not the file any more that was opened; `how` says what happened to it."""

    def __init__(self, how: str, words: str) -> None:
        super().__init__(words)
        self.how = how


class Writer:
    """The one connection that writes, and the spill beside it."""

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        """`busy_seconds` is how long another writer is waited for."""
        self._path = path
        self._busy_seconds = busy_seconds
        self._spill = Spill(beside(path, ".spill.jsonl"), path)
        self._rescued: Path | None = None
        self._rejects_path = beside(path, ".rejected.jsonl")
        self._connection: sqlite3.Connection | None = None
        self._settled: set[str] = set()
        self._alive_noted_at = -math.inf
        self._died_at: float | None = None
        self.told_through = 0
        """The sequence of the last event that `keep` has returned."""
        self._identity: tuple[int, int] | None = None
        """Device and inode of the database that was opened: readers find it by its name, and we must too."""

    def open(self) -> int:
        """Open and migrate the database; returns how many rows wait in the spill. Raises StoreError."""
        lost = sorted(self._rejects_path.parent.glob(f"{real_path(self._path).name}.rescued-*"))
        if lost and not self._path.exists():
            log.warning("beginning an empty history; callctl restore puts back", file=str(lost[-1]))
        try:
            connection = self._connect()
            self._died_at = _alive_at(connection)
            self.told_through = last_sequence(connection)
            self._spill.open()
            if self._died_at is not None and self._spill.written_at is not None:
                self._died_at = max(self._died_at, self._spill.written_at)
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error
        except OSError as error:
            raise StoreError(f"cannot read {self._spill.path}: {error.strerror}") from error
        return self._spill.rows_left

    def known_to_others(self) -> EventBuilder:
        """Return what makes events of facts, and knows what an earlier run has told. Raises StoreError.

        To be called once what that run left in the spill is written.
        """
        builder, connection = EventBuilder(), self._connect()
        builder.know(load_told_calls(connection), load_open_offers(connection), load_agents(connection))
        return builder

    def settle_downtime(self, now: float) -> None:
        """End what the agents did when an earlier run died or was stopped; `now` is in epoch seconds.

        To be called once what that run left in the spill is written. Raises StoreError.
        """
        if self._died_at is None:
            return  # A new database, or one of an older callctl, which did not say.
        values = {"died_at": iso_utc(min(self._died_at, now)), "reason": DOWN}
        try:
            connection = self._connect()
            with transaction(connection):
                for statement in SETTLE_DOWNTIME:
                    connection.execute(statement, values)
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error

    def close(self) -> None:
        """Close the connection; SQLite then tidies its files up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._settled.clear()

    def keep(self, facts: Sequence[Fact], *, try_database: bool, now: float) -> Kept:
        """Write `facts`, after all that waits in the spill, or add them to it. Never raises for the disk.

        With `try_database` false they go to the spill at once, as the database failed just before. One
        call replays REPLAY_ROWS of the spill at most; `spilled_rows` says what is left of it. Even without
        facts it is written that we are alive `now` (epoch seconds).
        """
        error: Exception | None = None
        rejected: tuple[str, ...] = ()
        try:
            entries, rejected = self._entries(facts)
            if try_database and not self._spill.rows_left:
                try:
                    return self._committed(entries, rejected, now)
                except (sqlite3.Error, StoreError) as caught:
                    error = caught
            if entries:
                self._spill.append(entries)
        except OSError as caught:
            # The rows are in neither place: the journal keeps them in memory.
            return Kept(is_safe=False, spilled_rows=self._spill.rows_left, error=self._words(error or caught))
        if error is None and try_database:
            try:
                return self._replayed(rejected, now)
            except (sqlite3.Error, StoreError, OSError) as caught:
                error = caught
        if isinstance(error, FileGone) and self._connection is not None:
            self._rescue(now)
            error = self._gone(error.how)
        return Kept(
            is_safe=True,
            spilled_rows=self._spill.rows_left,
            error=None if error is None else self._words(error),
            rejected=rejected,
        )

    def _entries(self, facts: Sequence[Fact]) -> tuple[list[Entry], tuple[str, ...]]:
        entries: list[Entry] = []
        rejected: list[str] = []
        for fact in facts:
            try:
                entries += entries_of(fact)
            except (ValueError, TypeError, OverflowError) as error:
                rejected.append(self._reject(f"{type(fact).__name__}: {error}", repr(fact)))
        return entries, tuple(rejected)

    def _committed(self, entries: Sequence[Entry], rejected: tuple[str, ...], now: float) -> Kept:
        seconds, more = self._commit(entries, self._settled, now)
        return Kept(
            is_safe=True,
            spilled_rows=0,
            commit_seconds=seconds,
            rejected=rejected + more,
            events=self._new_events(entries),
        )

    def _replayed(self, rejected: tuple[str, ...], now: float) -> Kept:
        portion = self._spill.read(REPLAY_ROWS)
        # Rows of an earlier run may be among them, and leave a span open once more.
        seconds, more = self._commit(portion.entries, set(), now)
        unreadable = tuple(self._reject("unreadable line in the spill", line) for line in portion.unreadable)
        self._spill.mark_replayed(portion)
        return Kept(
            is_safe=True,
            spilled_rows=self._spill.rows_left,
            commit_seconds=seconds,
            rejected=rejected + more + unreadable,
            events=self._new_events(portion.entries),
        )

    def _new_events(self, entries: Sequence[Entry]) -> tuple[StoredEvent, ...]:
        """Return the events that were just written, with their sequences."""
        if self._connection is None or not any(entry.table == "events" for entry in entries):
            return ()
        found: list[StoredEvent] = []
        while page := events_after(self._connection, self.told_through):
            found += page
            self.told_through = page[-1].sequence
        return tuple(found)

    def _connect(self) -> sqlite3.Connection:
        if self._identity is not None:
            self._check_identity()
        if self._connection is None:
            connection = connect(self._path, self._busy_seconds)
            try:
                version_of(connection, self._path)  # Another program's file is not even switched to WAL.
                connection.execute("PRAGMA journal_mode = WAL")
                # FULL: a commit is on the disk, not only with the kernel, before it is acknowledged. The
                # batches make that one fsync in 20 ms at most.
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
                migrate(self._path, connection, _log_progress())
                # A file that may only be read is found out here, and not with the first call.
                connection.execute(_OPENED)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._identity = _identity_of(self._path)
        return self._connection

    def _check_identity(self) -> None:
        """Raise FileGone if the database is no longer found by its name: what we write nobody would read."""
        try:
            is_ours = _identity_of(self._path) == self._identity
        except FileNotFoundError:
            raise self._gone("was deleted") from None
        except OSError as error:
            raise StoreError(f"the database {self._path} cannot be looked at: {error.strerror}") from error
        if not is_ours:
            raise self._gone("was replaced by another file")

    def _gone(self, how: str) -> FileGone:
        rescued = f"; all that it held is in {self._rescued}" if self._rescued else ""
        return FileGone(
            how,
            f"the database {self._path} {how} under the running callctl{rescued}; rows are kept beside it. "
            "Stop callctl, put back the right file (callctl restore FILE), or keep this one, and start it",
        )

    def _rescue(self, now: float) -> None:
        """Copy what the file held that is gone: it exists for as long as we have it open, and not longer."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        target = beside(self._path, f".rescued-{time_in_name(now)}")
        try:
            with closing(connection):
                # Otherwise the log, which is found by its name, would be taken for that of the new file.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                create(target, self._path)
                with closing(sqlite3.connect(target)) as copy:
                    connection.backup(copy, pages=-1)
                    copy.execute("PRAGMA journal_mode = DELETE")
        except (sqlite3.Error, OSError) as error:
            log.error("what the database held that is gone could not be copied", why=str(error))
            target.unlink(missing_ok=True)
            return
        self._rescued = target
        log.warning("what the database held that is gone was copied", file=str(target))

    def _commit(
        self, entries: Sequence[Entry], settled: set[str], now: float
    ) -> tuple[float, tuple[str, ...]]:
        """Write all in one transaction; a failure closes the connection, as it may be of no more use.

        `settled` are the agents of whom no span was left open by an earlier run; it learns more of them.
        """
        started = time.perf_counter()
        connection = self._connect()
        try:
            rejected: tuple[str, ...] = ()
            try:
                with transaction(connection):
                    agents = _write(connection, entries, settled)
                    if now >= self._alive_noted_at + ALIVE_NOTED_SECONDS:
                        connection.execute(_ALIVE, (iso_utc(now),))
                        self._alive_noted_at = now
                settled |= agents
            except Exception as error:
                if not _is_the_rows_fault(error):
                    raise
                with transaction(connection):
                    rejected = self._write_what_can_be(connection, entries)
        except BaseException:
            self.close()
            raise
        return time.perf_counter() - started, rejected

    def _write_what_can_be(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> tuple[str, ...]:
        rejected = []
        for entry in entries:
            connection.execute("SAVEPOINT one_row")
            try:
                _write(connection, [entry], frozenset())
            except Exception as error:
                if not _is_the_rows_fault(error):
                    raise
                connection.execute("ROLLBACK TO one_row")
                rejected.append(self._reject(f"{entry.table}: {error}", entry.row))
            connection.execute("RELEASE one_row")
        return tuple(rejected)

    def _reject(self, why: str, what: Row | str) -> str:
        line = json.dumps({"why": why, "row": what}, ensure_ascii=False, default=repr) + "\n"
        own = opener(self._path)
        with open(self._rejects_path, "a", encoding="utf-8", errors="replace", opener=own) as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        return why

    def _words(self, error: Exception) -> str:
        if isinstance(error, sqlite3.Error):
            return str(store_error(self._path, error))
        if isinstance(error, OSError):
            return f"cannot write {error.filename or self._spill.path}: {error.strerror}"
        return str(error)


def _alive_at(connection: sqlite3.Connection) -> float | None:
    row = connection.execute("SELECT value FROM meta WHERE key = 'alive_at'").fetchone()
    return None if row is None else epoch(str(row[0]))


def _log_progress() -> Progress:
    """Return what logs a migration's progress: each thing that is begun, and again every ten seconds."""
    last: tuple[str, float] = ("", 0.0)

    def told(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if what != last[0] or now - last[1] >= LOG_PROGRESS_SECONDS:
            last = (what, now)
            log.info("bringing the database to this version", what=what, done=done, total=total)

    return told


def _identity_of(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_the_rows_fault(error: Exception) -> bool:
    """Say whether a row is wrong, and not the database: a word, a check, a type, an unknown column."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode == sqlite3.SQLITE_ERROR
    return isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | OverflowError | ValueError)


def _write(connection: sqlite3.Connection, entries: Sequence[Entry], settled: Set[str]) -> set[str]:
    """Write rows, those of one table together, and end the open spans of agents who are not `settled`.

    Returns whose spans were written. Where rows are removed, agents and tiers keep their order.
    """
    keep_order = any(entry.action is Action.REMOVE for entry in entries)
    groups: dict[str, list[tuple[Value, ...]]] = {}
    in_order: list[Entry] = []
    for entry in entries:
        entry.check()
        if keep_order and entry.table in ("agents", "tiers"):
            in_order.append(entry)
        else:
            groups.setdefault(entry.sql(), []).append(entry.values())
    for sql, rows in groups.items():
        connection.executemany(sql, rows)
    for entry in in_order:
        connection.execute(entry.sql(), entry.values())
    agents = {str(entry.row["agent"]) for entry in entries if entry.table == "agent_spans"}
    connection.executemany(CLOSE_EARLIER_SPANS, [(agent,) for agent in agents - settled])
    return agents
