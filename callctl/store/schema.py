"""Brings a database file to the schema of this callctl, step by step, after a copy of what was there.

Each step is one transaction that also raises SQLite's `user_version`, so a file is always at exactly one
version. `application_id` tells our files from those of other programs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import sqlite_utils
from attrs import frozen
from sqlite_utils.migrations import Migrations

from callctl.errors import StoreError
from callctl.model import DEFAULT_ACCOUNT
from callctl.records.caller_identity import person_of
from callctl.store import old_tables
from callctl.store.connections import connect, open_reader, store_error
from callctl.store.own_files import beside, create, shut_out_others
from callctl.store.tables import (
    CALL_EVENTS,
    DECISIONS,
    EVENTS,
    INDEXES,
    META,
    QUEUE_TARGETS,
    QUEUES,
    REBUILT,
    TIERS,
    TOKENS,
    TRIGGERS,
)
from callctl.store.views import VIEWS

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much; for a progress bar or a line."""


def no_progress(what: str, done: int, total: int) -> None:
    """Tell nobody."""


APPLICATION_ID = 0x63616C6C
"""Written into the file's header; `file` shows it as "call" in ASCII."""

SCHEMA_VERSION = 3
"""The version that this callctl reads and writes: the number of steps."""

COPIED_ROWS = 20_000
"""How many rows a rebuild copies between two reports of its progress: about half a second's."""


def steps(progress: Progress = no_progress) -> Migrations:
    """Return the steps, in order; `progress` is told of those that take long."""
    migrations = Migrations("callctl")

    @migrations(name="0001-tables")
    def _tables(database: sqlite_utils.Database) -> None:
        rebuilt = (old_tables.CALLS, old_tables.OFFERS, old_tables.AGENTS, old_tables.AGENT_SPANS)
        for statement in (*rebuilt, CALL_EVENTS, TIERS, DECISIONS, QUEUE_TARGETS, META):
            database.execute(statement.strip())
        for statement in (*old_tables.INDEXES, *TRIGGERS):
            database.execute(statement)
        database.execute(
            "INSERT INTO meta (key, value) VALUES ('created_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
        )
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _version(database.conn, 1)

    @migrations(name="0002-views")
    def _views(database: sqlite_utils.Database) -> None:
        # The third step makes the views anew, whatever they were.
        _version(database.conn, 2)

    @migrations(name="0003-words-in-code")
    def _words_in_code(database: sqlite_utils.Database) -> None:
        for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall():
            if name in VIEWS:
                database.execute(f"DROP VIEW {name}")
        database.conn.create_function("person_of", 1, person_of, deterministic=True)
        # Otherwise views that people have added would be led to the old tables by the renaming.
        database.execute("PRAGMA legacy_alter_table = 1")
        try:
            for name in REBUILT:
                _rebuild(database.conn, name, progress)
        finally:
            database.execute("PRAGMA legacy_alter_table = 0")
        database.execute(TOKENS.strip())
        database.execute(EVENTS.strip())
        database.execute(QUEUES.strip())
        for statement in VIEWS.values():
            database.execute(statement.strip())
        _version(database.conn, 3)

    return migrations


def _version(connection: sqlite3.Connection, number: int) -> None:
    connection.execute(f"PRAGMA user_version = {number}")


_NEW_VALUES = {
    # Tokens of an account saw the calls that the dialplan had sent with its `account_id`, and still do.
    ("calls", "account"): f"coalesce(nullif(account_id, ''), '{DEFAULT_ACCOUNT}')",
    ("calls", "person"): "person_of(caller_number)",
}
"""What the rows of an old table get in a new column, where that is not the column's default."""


def _rebuild(connection: sqlite3.Connection, table: str, progress: Progress) -> None:
    """Make `table` as it is now, and copy its rows; its indexes and triggers are kept, also added ones."""
    found = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql <> ''",
        (table,),
    ).fetchall()
    kept = [statement for (statement,) in found if statement not in old_tables.INDEXES]
    kept += [statement for statement in INDEXES if f" ON {table} (" in statement]
    old = f"{table}_of_version_2"
    connection.execute(f"ALTER TABLE {table} RENAME TO {old}")
    connection.execute(REBUILT[table].strip())
    _copy_rows(connection, old, table, progress)
    connection.execute(f"DROP TABLE {old}")
    for number, statement in enumerate(kept):
        progress(f"indexing {table}", number, len(kept))
        connection.execute(statement)
    progress(f"indexing {table}", len(kept), len(kept))


def _copy_rows(connection: sqlite3.Connection, old: str, new: str, progress: Progress) -> None:
    before = [str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?)", (old,))]
    now = [str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?)", (new,))]
    values = {name: name if name in before else _NEW_VALUES.get((new, name)) for name in now}
    columns = [name for name, value in values.items() if value is not None]
    copy = (
        f"INSERT INTO {new} ({', '.join(columns)})"
        f" SELECT {', '.join(str(values[name]) for name in columns)} FROM {old}"
    )
    key = "agent, started_at" if new == "agent_spans" else "rowid"
    (total,) = connection.execute(f"SELECT count(*) FROM {old}").fetchone()
    done, last = 0, connection.execute(f"SELECT {key} FROM {old} ORDER BY {key} LIMIT 1").fetchone()
    while last is not None:
        progress(f"rebuilding {new}", done, total)
        places = ", ".join("?" * len(last))
        # The key of the first row of the next portion is where this one ends.
        following = connection.execute(
            f"SELECT {key} FROM {old} WHERE ({key}) >= ({places}) ORDER BY {key} LIMIT 1 OFFSET ?",
            (*last, COPIED_ROWS),
        ).fetchone()
        end = f" AND ({key}) < ({places})" if following is not None else ""
        done += connection.execute(
            f"{copy} WHERE ({key}) >= ({places}){end} ORDER BY {key}",
            (*last, *(following or ())),
        ).rowcount
        last = following
    progress(f"rebuilding {new}", total, total)


@frozen(kw_only=True)
class Migrated:
    """What `migrate` did: from which version to which, and where it copied the file to before."""

    from_version: int
    to_version: int
    copy: Path | None


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of the database, 0 for an empty one.

    Raises StoreError when the file is another program's or newer than this callctl, and sqlite3.Error
    when it cannot be read.
    """
    application_id = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if tables == 0 and application_id in (0, APPLICATION_ID):
        return 0
    if application_id != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program, and is left alone; name another file")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the database {path} has version {version} and comes from a newer callctl; "
            f"this one knows version {SCHEMA_VERSION}: install the newer callctl again"
        )
    return version


def open_history(path: Path) -> sqlite3.Connection:
    """Open an existing database to read calls, agents and tiers from it; nothing can be changed with it.

    Raises StoreError if there is none, it cannot be opened, or it has another version than this callctl's.
    """
    reader = open_reader(path)
    try:
        version = version_of(reader, path)
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"the database {path} has version {version}, and this callctl reads {SCHEMA_VERSION}: "
                "start the server anew with this callctl, or run callctl migrate"
            )
    except sqlite3.Error as error:
        reader.close()
        raise store_error(path, error) from error
    except StoreError:
        reader.close()
        raise
    return reader


def migrate(
    path: Path, connection: sqlite3.Connection | None = None, progress: Progress = no_progress
) -> Migrated:
    """Bring the database at `path` to SCHEMA_VERSION, creating it if there is none.

    `connection` is a writer's that is to be used; otherwise one is opened and closed. The caller holds the
    ServerLock. A file with data in it is copied to `<path>.before-version-N` first. Raises StoreError; a
    step that failed has changed nothing, and those before it stay.
    """
    try:
        if connection is not None:
            return _migrate(path, connection, progress)
        with closing(connect(path)) as own:
            return _migrate(path, own, progress)
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    except OSError as error:
        raise StoreError(f"cannot copy the database {path}: {error.strerror}") from error


def _migrate(path: Path, connection: sqlite3.Connection, progress: Progress) -> Migrated:
    version = version_of(connection, path)
    if version == SCHEMA_VERSION:
        return Migrated(from_version=version, to_version=version, copy=None)
    # A history of an older callctl could be read by everybody. Who wants that may allow it again.
    shut_out_others(path)
    copy = _copy(path, connection, progress) if version else None
    steps(progress if version else no_progress).apply(sqlite_utils.Database(connection))
    return Migrated(from_version=version, to_version=SCHEMA_VERSION, copy=copy)


def _copy(path: Path, connection: sqlite3.Connection, progress: Progress) -> Path:
    """Copy the file as it is; a copy left by a step that failed is overwritten, as nothing had changed."""
    target = beside(path, f".before-version-{SCHEMA_VERSION}")
    target.unlink(missing_ok=True)
    create(target, path)
    with closing(sqlite3.connect(target)) as copy:
        progress("copying", 0, 1)
        connection.backup(copy)
        progress("copying", 1, 1)
    return target
