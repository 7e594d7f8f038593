"""Copies the database while calls go on, and puts a copy back.

A backup is taken in one step from a reader's snapshot: smaller steps start anew at every write, and never
come to their end under load. It gets its name only when it has been checked and is on the disk.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from callctl.errors import StoreError
from callctl.store.connections import ServerLock, is_damage, open_reader, store_error
from callctl.store.own_files import beside, create, real_path, time_in_name
from callctl.store.schema import Progress, no_progress, version_of


def backup(path: Path, target: Path, progress: Progress = no_progress) -> None:
    """Copy the database at `path` to the new file `target`; a server may go on writing meanwhile.

    Raises StoreError when `target` exists, when there is no room for it, or when the copy turns out to be
    damaged, which means that the database is. Nothing is left behind then.
    """
    if target.exists():
        raise StoreError(f"{target} exists already; a backup never overwrites a file")
    with closing(open_reader(path)) as source:
        _check_version(source, path)
        _copy(source, path, target, progress, history=path)


def restore(path: Path, backup_path: Path, now: float, progress: Progress = no_progress) -> Path | None:
    """Put a backup in the place of the database at `path`, and return where the old one was kept.

    `now` (epoch seconds) becomes part of that name; None is returned where there was no database. Rows
    that wait in the spill beside it stay, and are written at the next start. Raises StoreError when a
    server runs on the database, or when the backup cannot be used; nothing has changed then.
    """
    path = real_path(path)
    with ServerLock(path):
        restored = beside(path, ".restored")
        restored.unlink(missing_ok=True)
        with closing(open_reader(backup_path)) as source:
            _check_version(source, backup_path)
            _copy(source, backup_path, restored, progress, history=path)
        kept = None
        if path.exists():
            kept = beside(path, f".before-restore-{time_in_name(now)}")
            # What the old file has not taken over from its log yet belongs to it, and not to the new one.
            for ending in ("", "-wal", "-shm"):
                part = beside(path, ending)
                if part.exists():
                    part.rename(beside(kept, ending))
        restored.rename(path)
        _sync_folder(path)
    return kept


def back_up_into(folder: Path, path: Path, *, keep: int, now: float) -> Path:
    """Make one of a series of backups in `folder`, named by the time, and delete all but the `keep` newest.

    Returns the new file. Raises StoreError as `backup` does; the older ones all stay then.
    """
    target = folder / f"callctl-{time_in_name(now)}.db"
    with _folder_of_backups(folder):
        folder.mkdir(parents=True, exist_ok=True)
        backup(path, target)
        series = sorted(file for file in folder.iterdir() if _IN_SERIES.fullmatch(file.name))
        for file in series[: max(0, len(series) - keep)]:
            file.unlink(missing_ok=True)
        for file in folder.iterdir():
            if _UNFINISHED.fullmatch(file.name):
                file.unlink(missing_ok=True)  # of a process that ended in the midst of it
    return target


def next_due(folder: Path, every_seconds: float, now: float) -> float:
    """Return when the series in `folder` wants its next backup: at once, if it has none.

    Raises StoreError where the folder cannot be looked at.
    """
    with _folder_of_backups(folder):
        if not folder.is_dir():
            return now
        made = [file.stat().st_mtime for file in folder.iterdir() if _IN_SERIES.fullmatch(file.name)]
        return max(now, max(made, default=0.0) + every_seconds)


_IN_SERIES = re.compile(r"callctl-\d{8}T\d{9}Z\.db")
_UNFINISHED = re.compile(r"callctl-\d{8}T\d{9}Z\.db\.unfinished")
"""The names that `back_up_into` gives; no other file in the folder is ever touched."""


@contextmanager
def _folder_of_backups(folder: Path) -> Iterator[None]:
    """Raise StoreError for what goes wrong with the folder in the block, and say what to do."""
    try:
        yield
    except OSError as error:
        todo = ""
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            todo = f"; callctl must be able to write there (under systemd: ReadWritePaths={folder})"
        raise StoreError(f"no backups in {folder}: {error.strerror or error}{todo}") from error


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    try:
        if version_of(connection, path) == 0:
            raise StoreError(f"the database {path} is empty")
    except sqlite3.Error as error:
        raise store_error(path, error) from error


def _copy(source: sqlite3.Connection, path: Path, target: Path, progress: Progress, *, history: Path) -> None:
    """Copy `source`, which is open at `path`, to `target`, checked and on the disk.

    Whose the copy is, and who may read it, is as for the database `history`.
    """
    unfinished = beside(target, ".unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        create(unfinished, history)
        with closing(sqlite3.connect(unfinished)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # It is synced as a whole, below.
            progress("copying", 0, 1)
            source.backup(copy, pages=-1)
            progress("copying", 1, 1)
            copy.execute("PRAGMA journal_mode = DELETE")  # One file, that can be carried anywhere.
            progress("checking", 0, 1)
            (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
            progress("checking", 1, 1)
        if verdict != "ok":
            raise StoreError(f"the database {path} is damaged ({verdict}); restore an earlier backup")
        _sync(unfinished)
        unfinished.rename(target)
        _sync_folder(target)
    except sqlite3.Error as error:
        raise store_error(path if is_damage(error) else target, error) from error
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _sync_folder(path: Path) -> None:
    """Make the new name itself survive a power cut."""
    _sync(path.absolute().parent)
