"""Backups are whole, checked and new files; a restore checks first and throws nothing away."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from callctl.clock import SteadyClock
from callctl.errors import StoreError
from callctl.store.backup import back_up_into, backup, next_due, restore
from callctl.store.connections import ServerLock, connect
from callctl.store.journal import Journal
from callctl.store.loading import load_open_calls, open_reader
from callctl.store.schema import SCHEMA_VERSION
from tests.store.samples import NOON, damage, database_with, no_file_grows_beyond, waiting


def calls_in(path: Path) -> list[str]:
    with closing(open_reader(path)) as reader:
        return [record.arrival.call for record in load_open_calls(reader)]


def test_a_backup_is_one_file_with_everything_in_it(path: Path, tmp_path: Path) -> None:
    database_with(path, waiting("a"))
    target = tmp_path / "copies" / "backup.db"
    target.parent.mkdir()
    told: list[tuple[str, int, int]] = []
    backup(path, target, lambda *news: told.append(news))
    assert calls_in(target) == ["a"]
    assert [file.name for file in target.parent.iterdir() if "-" not in file.name] == ["backup.db"]
    assert {what for what, done, total in told if done == total} == {"copying", "checking"}
    assert target.stat().st_mode == path.stat().st_mode


async def test_a_backup_under_writes_holds_what_was_committed(path: Path, tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        journal = Journal(path, clock=SteadyClock(NOON))
        await nursery.start(journal.run)
        journal.record(*[waiting(f"call-{number}") for number in range(2000)])
        await journal.flush()
        journal.record(*[waiting(f"later-{number}") for number in range(2000)])
        await trio.to_thread.run_sync(backup, path, tmp_path / "backup.db")
        nursery.cancel_scope.cancel()
    assert {f"call-{number}" for number in range(2000)} <= set(calls_in(tmp_path / "backup.db"))


def test_a_backup_never_overwrites_a_file(path: Path, tmp_path: Path) -> None:
    database_with(path)
    target = tmp_path / "backup.db"
    target.write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        backup(path, target)
    assert target.read_text() == "precious"


def test_a_backup_that_cannot_be_written_leaves_nothing_behind(path: Path, tmp_path: Path) -> None:
    database_with(path, *[waiting(f"call-{number}") for number in range(500)])
    folder = tmp_path / "copies"
    with pytest.raises(StoreError, match=r"cannot write .*copies/backup.db: No such file"):
        backup(path, folder / "backup.db")
    folder.mkdir()
    with no_file_grows_beyond(50_000), pytest.raises(StoreError, match=r"copies/backup.db cannot"):
        backup(path, folder / "backup.db")
    assert list(folder.iterdir()) == []


def test_a_damaged_database_makes_no_backup(path: Path, tmp_path: Path) -> None:
    database_with(path, *[waiting(f"call-{number}") for number in range(500)])
    damage(path)
    with pytest.raises(StoreError, match="is damaged"):
        backup(path, tmp_path / "backup.db")
    assert not (tmp_path / "backup.db").exists()


def test_there_is_no_backup_of_nothing(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        backup(path, tmp_path / "backup.db")


def test_a_restore_puts_the_backup_in_place_and_keeps_the_old_file(path: Path, tmp_path: Path) -> None:
    database_with(path, waiting("a"))
    backup(path, tmp_path / "backup.db")
    database_with(path, waiting("b"))
    kept = restore(path, tmp_path / "backup.db", NOON)
    assert calls_in(path) == ["a"]
    assert kept is not None
    assert kept.name == "callctl.db.before-restore-20261122T120000000Z"
    assert calls_in(kept) == ["a", "b"]


def test_what_the_old_file_had_only_in_its_log_is_kept_with_it(path: Path, tmp_path: Path) -> None:
    database_with(path, waiting("a"))
    backup(path, tmp_path / "backup.db")
    with closing(connect(path)) as crashed:
        crashed.execute("PRAGMA journal_mode = WAL")
        crashed.execute("UPDATE calls SET queue = 'only in the log'")
        # As after a crash: the log is there, and nobody has tidied it into the file.
        kept = restore(path, tmp_path / "backup.db", NOON)
    assert kept is not None
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT queue FROM calls").fetchall() == [("only in the log",)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT queue FROM calls").fetchall() == [("caller",)]


def test_a_restore_replaces_a_damaged_database(path: Path, tmp_path: Path) -> None:
    database_with(path, *[waiting(f"call-{number}") for number in range(500)])
    backup(path, tmp_path / "backup.db")
    damage(path)
    restore(path, tmp_path / "backup.db", NOON)
    assert len(calls_in(path)) == 500


def test_a_restore_where_nothing_was_makes_the_database(path: Path, tmp_path: Path) -> None:
    database_with(path, waiting("a"))
    path.rename(tmp_path / "backup.db")
    assert restore(path, tmp_path / "backup.db", NOON) is None
    assert calls_in(path) == ["a"]


def test_no_restore_under_a_running_server(path: Path, tmp_path: Path) -> None:
    database_with(path, waiting("a"))
    backup(path, tmp_path / "backup.db")
    with ServerLock(path), pytest.raises(StoreError, match="is using the database"):
        restore(path, tmp_path / "backup.db", NOON)


@pytest.mark.parametrize("kind", ["text", "damaged", "foreign", "newer", "empty"])
def test_what_is_no_good_backup_changes_nothing(path: Path, tmp_path: Path, kind: str) -> None:
    database_with(path, waiting("a"))
    bad = tmp_path / "bad.db"
    if kind == "text":
        bad.write_text("this is a letter, and no database\n" * 100)
    elif kind == "damaged":
        database_with(bad, *[waiting(f"call-{number}") for number in range(500)])
        damage(bad)
    else:
        with closing(sqlite3.connect(bad)) as connection:
            if kind == "foreign":
                connection.execute("CREATE TABLE other (x)")
            elif kind == "newer":
                connection.close()
                database_with(bad)
                with closing(sqlite3.connect(bad)) as newer:
                    newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    if kind == "empty":
        bad.touch()
    with pytest.raises(StoreError):
        restore(path, bad, NOON)
    assert calls_in(path) == ["a"]
    assert not list(tmp_path.glob("*before-restore*"))
    assert not list(tmp_path.glob("*.restored*"))


def test_a_series_keeps_the_newest_and_touches_no_other_file(path: Path, tmp_path: Path) -> None:
    database_with(path, waiting("a"))
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "callctl-mine.db").write_text("precious")
    made = [back_up_into(folder, path, keep=2, now=NOON + 3600 * hour) for hour in range(4)]
    assert sorted(file.name for file in folder.glob("*.db")) == sorted(
        ["callctl-mine.db", made[2].name, made[3].name]
    )
    assert calls_in(made[3]) == ["a"]


def test_a_series_that_fails_keeps_the_old_ones(path: Path, tmp_path: Path) -> None:
    database_with(path, *[waiting(f"call-{number}") for number in range(500)])
    folder = tmp_path / "backups"
    first = back_up_into(folder, path, keep=1, now=NOON)
    damage(path)
    with pytest.raises(StoreError, match="damaged"):
        back_up_into(folder, path, keep=1, now=NOON + 60)
    assert list(folder.iterdir()) == [first]


@pytest.mark.fault(29)
@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EIO])
def test_a_folder_that_cannot_be_used_is_said_with_what_to_do(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(code, os.strerror(code), str(folder))

    database_with(path, waiting("a"))
    monkeypatch.setattr(Path, "iterdir", refuse)
    todo = "" if code == errno.EIO else f".*ReadWritePaths={tmp_path}"
    with pytest.raises(StoreError, match=f"no backups in {tmp_path}: {os.strerror(code)}{todo}"):
        next_due(tmp_path, 3600, now=NOON)
    with pytest.raises(StoreError, match=f"no backups in {tmp_path}: {os.strerror(code)}{todo}"):
        back_up_into(tmp_path, path, keep=1, now=NOON)


def test_what_an_interrupted_backup_left_in_the_folder_goes_with_the_next(path: Path, tmp_path: Path) -> None:
    database_with(path, waiting("a"))
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "callctl-20260101T000000000Z.db.unfinished").touch()
    made = back_up_into(folder, path, keep=2, now=NOON)
    assert list(folder.iterdir()) == [made]


def test_a_series_is_due_at_once_and_then_a_while_after_its_newest(tmp_path: Path) -> None:
    assert next_due(tmp_path / "nowhere", 3600, now=1e9) == 1e9
    (tmp_path / "callctl-20260101T000000000Z.db").touch()
    (tmp_path / "something-else.db").touch()
    os.utime(tmp_path / "callctl-20260101T000000000Z.db", (1e9, 1e9))
    assert next_due(tmp_path, 3600, now=1e9 + 60) == 1e9 + 3600
    assert next_due(tmp_path, 3600, now=1e9 + 7200) == 1e9 + 7200
