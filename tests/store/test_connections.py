"""What becomes of connections to the database file, where it is not what it should be."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import trio

from callctl.clock import SteadyClock
from callctl.errors import StoreError
from callctl.store.backup import backup, restore
from callctl.store.connections import ServerLock, connect, open_reader
from callctl.store.journal import Journal
from callctl.store.roster import editing
from callctl.store.schema import migrate, open_history
from callctl.store.upkeep import integrity, prune
from callctl.store.writer import Writer


def open_files(folder: Path) -> list[str]:
    """Return the files in `folder` that this process has open."""
    return [each.path for each in psutil.Process().open_files() if Path(each.path).parent == folder]


@pytest.mark.fault(2)
def test_a_reader_that_cannot_read_leaves_no_file_open(path: Path) -> None:
    path.write_bytes(b"nothing like a database" * 1000)
    with pytest.raises(StoreError) as refused:
        open_reader(path)
    # The error still holds the frames in which the connection was opened.
    assert refused.traceback
    assert open_files(path.parent) == []


def nothing_like_a_database(path: Path) -> None:
    path.write_bytes(b"nothing like a database" * 1000)


def of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()


def of_a_newer_callctl(path: Path) -> None:
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")


def edit(path: Path) -> None:
    with editing(path):
        pass


def run_a_journal(path: Path) -> None:
    async def run() -> None:
        await Journal(path, clock=SteadyClock()).run()

    try:
        trio.run(run)
    except* StoreError as group:
        raise group.exceptions[0] from None


ENTRANCES: dict[str, Callable[[Path], object]] = {
    "backup": lambda path: backup(path, path.with_name("copy.db")),
    "restore": lambda path: restore(path.with_name("other.db"), path, 0.0),
    "history": open_history,
    "migrate": migrate,
    "edit": edit,
    "journal": run_a_journal,
    "writer": lambda path: Writer(path).open(),
    "prune": lambda path: prune(path, 30, 1e9),
    "integrity": integrity,
}


@pytest.mark.parametrize("spoil", [nothing_like_a_database, of_another_program, of_a_newer_callctl])
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_whatever_refuses_a_file_leaves_none_open(
    path: Path, entrance: str, spoil: Callable[[Path], None]
) -> None:
    spoil(path)
    assert open_files(path.parent) == []
    with pytest.raises(StoreError) as refused:
        ENTRANCES[entrance](path)
    assert refused.traceback
    assert open_files(path.parent) == []


@pytest.mark.parametrize("entrance", ["edit", "journal", "restore"])
def test_who_does_not_get_the_lock_leaves_no_file_open(path: Path, entrance: str) -> None:
    migrate(path)
    locked = path.with_name("other.db") if entrance == "restore" else path
    with ServerLock(locked):
        before = open_files(path.parent)
        with pytest.raises(StoreError, match="is using the database") as refused:
            ENTRANCES[entrance](path)
        assert refused.traceback
        assert open_files(path.parent) == before
    assert open_files(path.parent) == []


def test_a_full_disk_takes_the_lock_from_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "write", refuse)
        lock = ServerLock(path)
        lock.acquire()
    with pytest.raises(StoreError, match="is using the database"), ServerLock(path):
        pass
    lock.release()
    assert open_files(path.parent) == []


def test_a_connection_that_is_closed_leaves_no_file_open(path: Path) -> None:
    migrate(path)
    with closing(connect(path)) as connection:
        connection.execute("SELECT count(*) FROM calls").fetchone()
        assert open_files(path.parent) != []
    assert open_files(path.parent) == []
