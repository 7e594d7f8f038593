"""Connections to the database file: the writer's, the readers', and the lock that keeps a second server out.

Everything that SQLite can complain about is turned here into a StoreError that says what to do.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from callctl.errors import DatabaseInUse, StoreError

BUSY_SECONDS = 5.0
"""How long a statement waits for another writer: longer than any step of ours holds the database."""


READER_CACHE_KIBIBYTES = 32_000
"""What a reader may keep of the file: with SQLite's 2 MB a report of a month takes half as long again."""


def connect(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open the file for writing, creating it if there is none, and return the connection.

    It is in autocommit mode, so that every transaction is begun by name, and may be used by one thread
    after another. Raises sqlite3.Error.
    """
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open an existing database to read it, also while a server writes; nothing can be changed with it.

    Raises StoreError if there is no such file or it cannot be opened.
    """
    if not path.exists():
        raise StoreError(f"there is no database {path}; callctl serve creates it")
    with ExitStack() as closing:
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?mode=ro",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            closing.callback(connection.close)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA query_only = 1")
            connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIBIBYTES}")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.Error as error:
            raise store_error(path, error) from error
        closing.pop_all()
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block as one transaction that holds the write lock from its beginning, or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk makes SQLite roll back by itself, and there is nothing left to undo then.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class ServerLock:
    """The right to be the only server on a database: a lock on the file `<database>.lock` beside it.

    The kernel releases it with the process, however that ends. The file stays; it holds the pid.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the database's."""
        self._path = path
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises StoreError, naming the other process, when it is taken."""
        lock_path = beside(self._path, ".lock")
        try:
            file = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"cannot create {lock_path}: {error.strerror}; may we write there?") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.read(file, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            raise DatabaseInUse(
                f"a callctl (pid {pid}) is using the database {self._path}; stop it first, "
                "or give this one another database",
                pid,
            ) from error
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        """Take the lock for the block."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""
        self.release()


def beside(path: Path, ending: str) -> Path:
    """Return the file beside the database whose name has this ending more."""
    return path.with_name(path.name + ending)


_WHAT_TO_DO = {
    sqlite3.SQLITE_BUSY: "is locked by another program; end what holds it (an open sqlite3 shell?)",
    sqlite3.SQLITE_LOCKED: "is locked by another program; end what holds it (an open sqlite3 shell?)",
    sqlite3.SQLITE_FULL: "cannot grow: its disk is full; make room",
    sqlite3.SQLITE_READONLY: "cannot be written; give callctl the right to write it and its folder",
    sqlite3.SQLITE_PERM: "cannot be opened; give callctl the right to read and write it",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; does its folder exist, and may we write there?",
    sqlite3.SQLITE_IOERR: "cannot be read or written; look after its disk",
    sqlite3.SQLITE_NOTADB: "is not a database; move it away, or name another one",
    sqlite3.SQLITE_CORRUPT: "is damaged; stop callctl and put back a backup with callctl restore FILE",
}


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """Return `error`, which came from the database at `path`, in words that say what to do."""
    return StoreError(f"the database {path} {_WHAT_TO_DO.get(_code(error), 'cannot be used')} ({error})")


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether the file that was read is at fault: damaged, or not a database at all."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary code: the lower byte, as the rest tells variants apart. Python's own have 0."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
