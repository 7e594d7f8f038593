"""Brings a database file to the schema of this callctl, step by step, after a copy of what was there.

Each step is one transaction that also raises SQLite's `user_version`, so a file is always at exactly one
version. `application_id` tells our files from those of other programs.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlite_utils
from attrs import frozen
from sqlite_utils.migrations import Migrations

from callctl.errors import StoreError
from callctl.store.connections import beside, connect, store_error
from callctl.store.tables import INDEXES, TABLES, TRIGGERS
from callctl.store.views import VIEWS

APPLICATION_ID = 0x63616C6C
"""Written into the file's header; `file` shows it as "call" in ASCII."""

STEPS = Migrations("callctl")


def _version(connection: sqlite3.Connection, number: int) -> None:
    connection.execute(f"PRAGMA user_version = {number}")


@STEPS(name="0001-tables")
def _tables(database: sqlite_utils.Database) -> None:
    for statement in (*TABLES, *INDEXES, *TRIGGERS):
        database.execute(statement.strip())
    database.execute(
        "INSERT INTO meta (key, value) VALUES ('created_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
    )
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    _version(database.conn, 1)


@STEPS(name="0002-views")
def _views(database: sqlite_utils.Database) -> None:
    for statement in VIEWS:
        database.execute(statement.strip())
    _version(database.conn, 2)


SCHEMA_VERSION = 2
"""The version that this callctl reads and writes: the number of steps."""


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


def migrate(path: Path, connection: sqlite3.Connection | None = None) -> Migrated:
    """Bring the database at `path` to SCHEMA_VERSION, creating it if there is none.

    `connection` is a writer's that is to be used; otherwise one is opened and closed. Whoever calls this
    holds the ServerLock. A file with data in it is copied to `<path>.before-version-N` first. Raises
    StoreError; a step that failed has changed nothing, and those before it stay.
    """
    try:
        if connection is not None:
            return _migrate(path, connection)
        with closing(connect(path)) as own:
            return _migrate(path, own)
    except sqlite3.Error as error:
        raise store_error(path, error) from error


def _migrate(path: Path, connection: sqlite3.Connection) -> Migrated:
    version = version_of(connection, path)
    if version == SCHEMA_VERSION:
        return Migrated(from_version=version, to_version=version, copy=None)
    copy = _copy(path, connection) if version else None
    STEPS.apply(sqlite_utils.Database(connection))
    return Migrated(from_version=version, to_version=SCHEMA_VERSION, copy=copy)


def _copy(path: Path, connection: sqlite3.Connection) -> Path:
    """Copy the file as it is; a copy left by a step that failed is overwritten, as nothing had changed."""
    target = beside(path, f".before-version-{SCHEMA_VERSION}")
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)
    return target
