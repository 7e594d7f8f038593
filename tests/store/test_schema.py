"""The schema: it explains itself, moves forward in steps, and refuses what is not its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils
from attrs import evolve

from callctl.errors import StoreError
from callctl.model import AgentState, CallRecord, Fact, OfferResult
from callctl.store import schema
from callctl.store.connections import connect
from callctl.store.loading import load_open_calls, open_reader
from callctl.store.rows import KEYS, Entry, entries_of
from callctl.store.schema import SCHEMA_VERSION, migrate, open_history, steps
from callctl.store.tables import TABLES
from callctl.store.upkeep import integrity
from tests.store.samples import NOON, agent, database_with, handled, offer, span, waiting


def at_first_version(path: Path) -> None:
    """Make a database as the first step left it, with a call in it."""
    with closing(connect(path)) as connection:
        steps().apply(sqlite_utils.Database(connection), stop_before="0002-views")
        put(connection, "calls", waiting("a"))


def put(connection: sqlite3.Connection, table: str, *facts: Fact) -> None:
    """Write rows with those of their columns that the table has in this version."""
    known = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
    for fact in facts:
        for entry in entries_of(fact):
            row = {name: value for name, value in entry.row.items() if name in known}
            old = Entry(entry.action, entry.table, row)
            connection.execute(old.sql(), old.values())


def with_account_id(call: CallRecord, account_id: str) -> CallRecord:
    return evolve(call, arrival=evolve(call.arrival, account_id=account_id))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_new_database_has_the_present_version_and_no_copy(path: Path) -> None:
    migrated = migrate(path)
    assert (migrated.from_version, migrated.to_version, migrated.copy) == (0, SCHEMA_VERSION, None)
    assert version(path) == SCHEMA_VERSION
    assert migrate(path).from_version == SCHEMA_VERSION


def test_an_older_database_is_copied_first_and_keeps_its_rows(path: Path) -> None:
    at_first_version(path)
    migrated = migrate(path)
    assert (migrated.from_version, version(path)) == (1, SCHEMA_VERSION)
    assert migrated.copy is not None
    assert version(migrated.copy) == 1
    with closing(open_history(path)) as reader:
        assert load_open_calls(reader) == [waiting("a")]
    with closing(open_reader(migrated.copy)) as reader:
        assert [row["id"] for row in reader.execute("SELECT id FROM calls")] == ["a"]
    with pytest.raises(StoreError, match=r"has version 1, and this callctl reads 3: .* run callctl migrate"):
        open_history(migrated.copy)


def test_every_row_index_and_trigger_outlives_the_rebuilding_of_the_tables(path: Path) -> None:
    with closing(connect(path)) as connection:
        steps().apply(sqlite_utils.Database(connection), stop_before="0003-words-in-code")
        put(connection, "calls", *(handled(f"c{n}", wait=1, talk=2, joined_at=NOON + n) for n in range(5)))
        put(connection, "calls", waiting("ours"), with_account_id(waiting("theirs"), "acme"))
        put(connection, "offers", offer("o1", "c1", "1001", OfferResult.ANSWERED))
        put(connection, "agents", agent())
        put(connection, "agent_spans", span("1001", NOON, NOON + 5), span("1001", NOON + 5, None))
        # What people add of their own.
        connection.execute("CREATE INDEX by_lead ON calls (lead_number)")
        connection.execute("CREATE VIEW mine AS SELECT count(*) AS n FROM calls")
    seen: list[tuple[str, int, int]] = []
    migrate(path, progress=lambda what, done, total: seen.append((what, done, total)))
    database_with(fresh := path.with_name("fresh.db"))
    with closing(connect(path)) as connection, closing(connect(fresh)) as new:
        assert connection.execute("SELECT n FROM mine").fetchone()[0] == 7
        accounts = dict(connection.execute("SELECT id, account FROM calls WHERE outcome IS NULL").fetchall())
        assert accounts == {"ours": "default", "theirs": "acme"}
        everything = "SELECT name, sql FROM sqlite_schema WHERE name NOT IN ('by_lead', 'mine') ORDER BY name"
        assert list(map(tuple, connection.execute(everything))) == list(map(tuple, new.execute(everything)))
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'by_lead'").fetchone()[0]
        assert connection.execute("SELECT count(*) FROM agent_spans").fetchone()[0] == 2
        # The triggers work on the new tables.
        put(connection, "agent_spans", span("1001", NOON + 9, NOON + 12, AgentState.WRAP_UP, call="c1"))
        ((wrap_up,),) = connection.execute("SELECT wrap_up_seconds FROM calls WHERE id = 'c1'").fetchall()
        assert wrap_up == 3
    assert {what for what, _, _ in seen} >= {"copying", "rebuilding calls", "indexing calls"}
    assert all(0 <= done <= total for _, done, total in seen)


def test_rows_are_copied_in_portions_of_which_none_is_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "COPIED_ROWS", 3)
    with closing(connect(path)) as connection:
        steps().apply(sqlite_utils.Database(connection), stop_before="0003-words-in-code")
        put(connection, "calls", *(waiting(f"c{n}") for n in range(10)))
        connection.execute("DELETE FROM calls WHERE id IN ('c2', 'c3', 'c9')")
        put(connection, "agent_spans", *(span("1001", NOON + n, NOON + n + 1) for n in range(7)))
        put(connection, "agent_spans", *(span("1002", NOON + n, NOON + n + 1) for n in range(2)))
    seen: list[tuple[str, int, int]] = []
    migrate(path, progress=lambda what, done, total: seen.append((what, done, total)))
    with closing(connect(path)) as connection:
        ids = [row["id"] for row in connection.execute("SELECT id FROM calls ORDER BY rowid")]
        assert ids == ["c0", "c1", "c4", "c5", "c6", "c7", "c8"]
        assert connection.execute("SELECT count(*) FROM agent_spans").fetchone()[0] == 9
    assert [told[1:] for told in seen if told[0] == "rebuilding calls"] == [(0, 7), (3, 7), (6, 7), (7, 7)]


def test_a_word_that_a_later_callctl_wrote_is_named_and_not_a_traceback(path: Path) -> None:
    database_with(path, waiting("a"))
    with closing(connect(path)) as connection:
        connection.execute("UPDATE calls SET state = 'dreaming'")
    with closing(open_reader(path)) as reader, pytest.raises(StoreError, match="'dreaming' as state of a"):
        load_open_calls(reader)
    assert integrity(path) == ["1 rows of calls have the unknown state 'dreaming'"]


def test_a_step_that_fails_leaves_the_version_before_it(path: Path) -> None:
    at_first_version(path)
    with closing(sqlite3.connect(path)) as connection:
        # The last view of the third step cannot be made; the tables and views before it can.
        connection.execute("CREATE TABLE abandoned_callers (x)")
    with pytest.raises(StoreError, match="abandoned_callers already exists"):
        migrate(path)
    assert version(path) == 2
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall() == []
        assert connection.execute("SELECT id FROM calls").fetchall() == [("a",)]
        connection.execute("DROP TABLE abandoned_callers")
    assert migrate(path).to_version == SCHEMA_VERSION


def test_a_newer_database_is_refused_and_not_touched(path: Path) -> None:
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=f"version {SCHEMA_VERSION + 1} and comes from a newer callctl"):
        migrate(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_not_touched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        migrate(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("Dear Sir or Madam,\n" * 100)
    with pytest.raises(StoreError, match="is not a database"):
        migrate(path)


def test_every_table_and_column_explains_itself(path: Path) -> None:
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        for statement in TABLES:
            first, about, *lines = [line.strip() for line in statement.strip().splitlines()]
            assert about.startswith("-- "), first
            table = first.removeprefix("CREATE TABLE ").removesuffix(" (")
            for (column,) in connection.execute("SELECT name FROM pragma_table_xinfo(?)", (table,)):
                declared = next(line for line in lines if line.startswith(f"{column} "))
                assert " -- " in declared, f"{table}.{column}"


def test_every_table_is_strict(path: Path) -> None:
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        strict = dict(connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"))
    for table in KEYS:
        assert strict[table] == 1, table


@pytest.mark.parametrize("table", KEYS)
def test_the_words_of_a_column_stand_in_code_and_not_in_the_tables(table: str) -> None:
    """A new reason must not mean a new table."""
    (statement,) = [text for text in TABLES if f"CREATE TABLE {table} (" in text]
    assert "IN ('" not in statement


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'TIMEOUT'",
        "state = 'ended'",
        "ended_at = joined_at",
        "wait_seconds = -1",
        "offers = 'many'",
        "queue = NULL",
    ],
)
def test_a_row_that_makes_no_sense_is_forbidden(path: Path, change: str) -> None:
    database_with(path, waiting("a"), agent())
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(f"UPDATE calls SET {change}")


def test_times_in_the_database_are_read_as_utc(path: Path) -> None:
    database_with(path, waiting("a"))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT joined_at FROM calls").fetchall() == [("2026-11-22T12:00:00.000Z",)]
        ((seconds,),) = connection.execute("SELECT strftime('%s', joined_at) FROM calls").fetchall()
    assert float(seconds) == NOON
