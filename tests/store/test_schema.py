"""The schema: it explains itself, moves forward in steps, and refuses what is not its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from enum import StrEnum
from pathlib import Path

import pytest
import sqlite_utils

from callctl.errors import StoreError
from callctl.model import (
    AgentState,
    AgentStatus,
    CallState,
    HungUpBy,
    OfferResult,
    Outcome,
    Reason,
)
from callctl.store.connections import connect
from callctl.store.loading import load_open_calls, open_reader
from callctl.store.rows import KEYS, entries_of
from callctl.store.schema import SCHEMA_VERSION, STEPS, migrate
from callctl.store.tables import TABLES
from tests.store.samples import NOON, agent, database_with, waiting


def at_first_version(path: Path) -> None:
    """Make a database as the first step left it, with a call in it."""
    with closing(connect(path)) as connection:
        STEPS.apply(sqlite_utils.Database(connection), stop_before="0002-views")
        for entry in entries_of(waiting("a")):
            connection.execute(entry.sql(), entry.values())


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
    for file in (path, migrated.copy):
        with closing(open_reader(file)) as reader:
            assert load_open_calls(reader) == [waiting("a")]


def test_a_step_that_fails_leaves_the_version_before_it(path: Path) -> None:
    at_first_version(path)
    with closing(sqlite3.connect(path)) as connection:
        # The last view of the second step cannot be made; those before it can.
        connection.execute("CREATE TABLE abandoned_callers (x)")
    with pytest.raises(StoreError, match="abandoned_callers already exists"):
        migrate(path)
    assert version(path) == 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall() == []
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


COLUMNS_OF_ENUMS: list[tuple[str, str, type[StrEnum]]] = [
    ("calls", "state", CallState),
    ("calls", "outcome", Outcome),
    ("calls", "reason", Reason),
    ("calls", "hung_up_by", HungUpBy),
    ("offers", "result", OfferResult),
    ("agents", "status", AgentStatus),
    ("agents", "state", AgentState),
    ("agent_spans", "status", AgentStatus),
    ("agent_spans", "state", AgentState),
]


@pytest.mark.parametrize(("table", "column", "kind"), COLUMNS_OF_ENUMS)
def test_the_checks_name_every_value_of_the_model(table: str, column: str, kind: type[StrEnum]) -> None:
    statement = next(text for text in TABLES if f"CREATE TABLE {table} (" in text)
    check = statement.split(f"CHECK ({column} IN (", 1)[1].split("))", 1)[0]
    assert {value.strip(" '\n") for value in check.split(",")} == {member.value for member in kind}


@pytest.mark.parametrize(
    "change",
    [
        "state = 'dreaming'",
        "reason = 'BOREDOM', outcome = 'failed'",
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
