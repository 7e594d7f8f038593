"""Looks after a database that grows: removes what is old, and looks for what is wrong."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from attrs import frozen

from callctl.clock import iso_utc
from callctl.errors import StoreError
from callctl.store.connections import connect, open_reader, store_error, transaction
from callctl.store.event_log import PRUNED_THROUGH
from callctl.store.loading import select
from callctl.store.own_files import beside
from callctl.store.rows import WORDS, Value
from callctl.store.schema import SCHEMA_VERSION, Progress, no_progress, version_of

PRUNE_CALLS = 200
"""How many calls, with all that belongs to them, go in one step: the database is held for about 20 ms."""

PRUNE_EVENTS = 2000
"""How many events go in one step: about 20 ms as well."""

PRUNE_PAUSE_SECONDS = 0.05
"""The pause between two steps. The journal's 20 ms batches come in between, so no call waits for us."""

DAY_SECONDS = 86_400


@frozen(kw_only=True)
class Pruned:
    """What `prune` removed."""

    calls: int
    agent_spans: int
    events: int


def prune(
    path: Path,
    older_than_days: float,
    now: float,
    progress: Progress = no_progress,
    pause: Callable[[float], None] = time.sleep,
) -> Pruned:
    """Remove calls that joined, spans and tokens that ended, and events, from so many days before `now`.

    Calls that have not ended stay. A server may go on writing: the work is done in small transactions,
    with a `pause` after each. Raises StoreError; what was removed until then stays removed.
    """
    if older_than_days <= 0:
        raise StoreError(
            f"calls older than {older_than_days:g} days would be all calls; give at least one day"
        )
    before: dict[str, Value] = {"before": iso_utc(now - older_than_days * DAY_SECONDS), "step": PRUNE_CALLS}
    with closing(open_reader(path)) as reader:
        version_of(reader, path)
        (calls, spans) = select(reader, _COUNT_OLD, before)[0]
    try:
        with closing(connect(path)) as connection:
            steps = _Steps(connection, progress, pause)
            removed_calls = steps.run("calls", _PRUNE_CALLS, before, calls)
            removed_spans = steps.run("agents' time", (_PRUNE_SPANS,), before, spans)
            steps.run("tokens", (_PRUNE_TOKENS,), before, 0)
            ((through,),) = select(connection, _LAST_OLD_EVENT, before)
            removed_events = 0
            if through:
                oldest = {"through": through, "step": PRUNE_EVENTS, "key": PRUNED_THROUGH}
                removed_events = steps.run("events", _PRUNE_EVENTS, oldest, 0)
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    return Pruned(calls=removed_calls, agent_spans=removed_spans, events=removed_events)


_COUNT_OLD = """
SELECT (SELECT count(*) FROM calls WHERE joined_at < :before AND ended_at IS NOT NULL),
  (SELECT count(*) FROM agent_spans WHERE started_at < :before AND ended_at < :before)
"""

_OLD_CALLS = (
    "SELECT id FROM calls WHERE joined_at < :before AND ended_at IS NOT NULL ORDER BY joined_at LIMIT :step"
)

_PRUNE_CALLS = (
    f"DELETE FROM call_events WHERE call_id IN ({_OLD_CALLS})",
    f"DELETE FROM offers WHERE call_id IN ({_OLD_CALLS})",
    f"DELETE FROM decisions WHERE call_id IN ({_OLD_CALLS})",
    f"DELETE FROM calls WHERE id IN ({_OLD_CALLS})",
)
"""The call itself goes last, as it says which rows belong to it."""

_PRUNE_SPANS = """
DELETE FROM agent_spans WHERE (agent, started_at) IN (
  SELECT agent, started_at FROM agent_spans WHERE started_at < :before AND ended_at < :before
  ORDER BY started_at LIMIT :step)
"""

_PRUNE_TOKENS = "DELETE FROM tokens WHERE expires_at < :before"
"""One that was revoked stays until it would have expired: without the row it would count again."""


# Events stand nearly in the order of their times. What is removed is a beginning of them, so that a reader
# who was away for long can be told that it has missed some.
_LAST_OLD_EVENT = """
SELECT coalesce(
  (SELECT min(sequence) - 1 FROM events WHERE at >= :before), (SELECT max(sequence) FROM events), 0)
"""

_PRUNE_EVENTS = (
    "INSERT INTO meta (key, value) VALUES (:key, :through)"
    " ON CONFLICT (key) DO UPDATE SET value = max(value + 0, excluded.value + 0)",
    "DELETE FROM events WHERE sequence IN"
    " (SELECT sequence FROM events WHERE sequence <= :through ORDER BY sequence LIMIT :step)",
)


@frozen
class _Steps:
    connection: sqlite3.Connection
    progress: Progress
    pause: Callable[[float], None]

    def run(self, what: str, statements: tuple[str, ...], parameters: dict[str, Value], total: int) -> int:
        """Run the statements, each time in one transaction, until the last removes nothing more."""
        removed = 0
        while True:
            with transaction(self.connection):
                for statement in statements:
                    rows = self.connection.execute(statement, parameters).rowcount
            removed += rows
            self.progress(what, removed, max(total, removed))
            if not rows:
                return removed
            self.pause(PRUNE_PAUSE_SECONDS)


def integrity(path: Path, progress: Progress = no_progress) -> list[str]:
    """Return what is wrong with the database at `path`, in words; an empty list means that it is sound.

    Only reads, so a server may go on writing. Raises StoreError when it cannot be read at all, or is not
    ours.
    """
    problems: list[str] = []
    with closing(open_reader(path)) as reader:
        try:
            version = version_of(reader, path)
        except sqlite3.Error as error:
            raise store_error(path, error) from error
        if version < SCHEMA_VERSION:
            return [f"has version {version}, and this callctl writes {SCHEMA_VERSION}: run callctl migrate"]
        for number, (what, find) in enumerate(_FINDINGS.items()):
            progress(what, number, len(_FINDINGS))
            problems += find(reader)
            if problems and find is _damage:
                return problems  # What is read from a damaged file says nothing.
        progress("done", len(_FINDINGS), len(_FINDINGS))
    spill, rejects = beside(path, ".spill.jsonl"), beside(path, ".rejected.jsonl")
    if spill.exists():
        problems.append(f"rows wait in {spill}; a server writes them when the database can be written")
    if rejects.exists():
        problems.append(f"rows that the schema forbids are in {rejects}; look at each line's reason")
    return problems


def _damage(reader: sqlite3.Connection) -> list[str]:
    try:
        verdicts = [str(row[0]) for row in reader.execute("PRAGMA integrity_check(10)")]
    except sqlite3.DatabaseError as error:
        verdicts = [str(error)]  # So damaged that SQLite cannot even look through it.
    if verdicts == ["ok"]:
        return []
    return [f"is damaged: {verdict}; put back a backup with callctl restore FILE" for verdict in verdicts]


def _orphans(reader: sqlite3.Connection) -> list[str]:
    problems = []
    for table in ("offers", "call_events", "decisions"):
        ((count,),) = select(
            reader, f"SELECT count(*) FROM {table} WHERE call_id NOT IN (SELECT id FROM calls)"
        )
        if count:
            problems.append(f"{count} rows of {table} belong to no call")
    return problems


def _broken_spans(reader: sqlite3.Connection) -> list[str]:
    rows = select(
        reader,
        """
        SELECT count(*) AS breaks, agent, min(ended_or_open) AS at FROM (
          SELECT agent, coalesce(ended_at, 'open') AS ended_or_open,
            lead(started_at) OVER (PARTITION BY agent ORDER BY started_at) AS next
          FROM agent_spans)
        WHERE next <> ended_or_open
        """,
    )
    breaks, agent, at = rows[0]
    return [f"{breaks} gaps or overlaps in agents' time, the first of {agent} at {at}"] if breaks else []


def _unknown_words(reader: sqlite3.Connection) -> list[str]:
    problems = []
    for table, columns in WORDS.items():
        for column, kind in columns.items():
            known = ", ".join(f"'{member.value}'" for member in kind)
            rows = select(
                reader,
                f"SELECT {column}, count(*) FROM {table} WHERE {column} NOT IN ({known}) GROUP BY {column}",
            )
            problems += [
                f"{count} rows of {table} have the unknown {column} {word!r}" for word, count in rows
            ]
    return problems


_FINDINGS: dict[str, Callable[[sqlite3.Connection], list[str]]] = {
    "looking for damage": _damage,
    "looking for rows of no call": _orphans,
    "looking at agents' time": _broken_spans,
    "looking for unknown words": _unknown_words,
}
