"""Connections to the database file: the writer's, the readers', and the lock that keeps a second server out.

Everything that SQLite can complain about is turned here into a StoreError that says what to do.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from callctl.errors import DatabaseInUse, StoreError
from callctl.store.own_files import beside, create, opener

BUSY_SECONDS = 5.0
"""How long a statement waits for another writer: longer than any step of ours holds the database."""


READER_CACHE_KIBIBYTES = 32_000
"""What a reader may keep of the file: with SQLite's 2 MB a report of a month takes half as long again."""


def connect(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open the file for writing, creating it if there is none, and return the connection.

    It is in autocommit mode, so that every transaction is begun by name, and may be used by one thread
    after another. Raises sqlite3.Error.
    """
    # SQLite would let everybody read a file that it creates, and give its log the same rights.
    with suppress(OSError):  # What is in the way, SQLite finds as well, and says in words that we know.
        create(path, path)
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
    """The right to be the only server on a database: a lock beside the file, and one on the file itself.

    The one beside it is on `<database>.lock`, which holds the pid, and is there before the database is. The
    one on the file itself holds whatever the file is called: it may have a second name (a hard link) in
    another folder. The kernel releases both with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the database's, in any spelling."""
        self._path = path
        self._file: int | None = None
        self._database: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises DatabaseInUse when it is taken, and StoreError when that is not known."""
        lock_path = beside(self._path, ".lock")
        try:
            file = opener(self._path)(str(lock_path), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise StoreError(f"cannot create {lock_path}: {error.strerror}; may we write there?") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.read(file, 20).decode("ascii", "replace").strip()
            os.close(file)
            raise self._taken(pid) from error
        self._file = file
        # On a full disk nobody learns who has it; it is held all the same.
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.write(file, f"{os.getpid()}\n".encode())
        try:
            self.hold_file()
        except StoreError:
            self.release()
            raise

    def hold_file(self) -> None:
        """Lock the database itself, if it is there by now; raises DatabaseInUse when another has it."""
        if self._database is not None:
            return
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # There is none yet, or we may not read it: whoever opens it next says so, in words.
        try:
            # Not a lock of the kind that SQLite takes, so that neither is in the way of the other.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = _who_locks(file)
            os.close(file)
            raise self._taken(pid, " under another name") from error
        except OSError:
            os.close(file)  # A file system without such locks: the file beside the database must do.
            return
        # Open for as long as we are: closing it would give up SQLite's own locks of this process (close(2)).
        self._database = file

    def _taken(self, pid: str, how: str = "") -> DatabaseInUse:
        pid = pid or "unknown"
        return DatabaseInUse(
            f"a callctl (pid {pid}) is using the database {self._path}{how}; stop it first, "
            "or give this one another database",
            pid,
        )

    def release(self) -> None:
        """Give the lock back, if it is held."""
        for file in (self._database, self._file):
            if file is not None:
                os.close(file)
        self._file = self._database = None

    def __enter__(self) -> Self:
        """Take the lock for the block."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""
        self.release()


def _who_locks(file: int) -> str:
    """Return the pid of the process that holds flock(2)'s lock on this file, "" if that is not known."""
    status = os.fstat(file)
    name = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    held = [line.split() for line in locks if " -> " not in line]
    return next((words[4] for words in held if words[1] == "FLOCK" and words[5] == name), "")


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
