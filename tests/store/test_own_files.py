"""The files of the history: nobody else reads them, root takes them from nobody, one file has one lock."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlite_utils
import trio
import trio.testing

from callctl.clock import SteadyClock
from callctl.errors import StoreError
from callctl.store.backup import back_up_into, backup, restore
from callctl.store.connections import ServerLock, connect
from callctl.store.journal import Journal
from callctl.store.roster import editing
from callctl.store.schema import migrate, steps
from tests.store.samples import NOON, database_with, waiting

SERVICE = 12_345
"""A user id of nobody, in the place of the service's."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may give files away")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Let everybody read what is made with no further thought, as on most machines."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the database as another program would."""
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def leave_everything(path: Path) -> None:
    """Run on the database and leave every file there that there can be: log, spill, rejected rows, lock."""
    async with trio.open_nursery() as nursery:
        journal = Journal(path, clock=SteadyClock(NOON), busy_seconds=0, in_thread=False)
        await nursery.start(journal.run)
        journal.record(waiting("a"), waiting("never", joined_at=float("nan")))
        await journal.flush()
        with locked(path):
            journal.record(waiting("b"))
            await trio.sleep(1)
            names = {file.name for file in path.parent.iterdir()}
            endings = ("", "-wal", "-shm", ".lock", ".spill.jsonl", ".rejected.jsonl")
            assert names >= {f"callctl.db{ending}" for ending in endings}
            nursery.cancel_scope.cancel()
            await trio.lowlevel.checkpoint_if_cancelled()


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir() if file.is_file()}


def owners(folder: Path) -> set[tuple[int, int]]:
    return {(file.stat().st_uid, file.stat().st_gid) for file in folder.iterdir() if file.is_file()}


@pytest.mark.fault(26)
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o640), (0o077, 0o600), (0o000, 0o640)])
async def test_nobody_else_reads_the_history_nor_what_lies_beside_it(
    path: Path, autojump_clock: trio.testing.MockClock, umask: int, mode: int
) -> None:
    os.umask(umask)
    await leave_everything(path)
    assert set(modes(path.parent).values()) == {mode}


@pytest.mark.fault(26)
def test_nor_any_copy_of_it(path: Path, tmp_path: Path) -> None:
    database_with(path, waiting("a"))
    path.chmod(0o644)  # As an older callctl made it.
    backup(path, tmp_path / "copy.db")
    back_up_into(tmp_path / "series", path, keep=2, now=NOON)
    restore(path, tmp_path / "copy.db", NOON)
    found = modes(tmp_path) | modes(tmp_path / "series")
    assert len(found) >= 5
    del found["callctl.db.before-restore-20261122T120000000Z"]  # The old file, as it was.
    assert {name: mode for name, mode in found.items() if mode & 0o007} == {}


@pytest.mark.fault(26)
def test_a_history_of_an_older_callctl_is_closed_to_others_when_it_is_migrated(path: Path) -> None:
    with closing(connect(path)) as connection:
        steps().apply(sqlite_utils.Database(connection), stop_before="0003-words-in-code")
    path.chmod(0o644)
    migrated = migrate(path)
    assert migrated.copy is not None
    assert set(modes(path.parent).values()) == {0o640}
    path.chmod(0o644)  # Who wants that can have it.
    assert migrate(path).copy is None
    assert modes(path.parent)["callctl.db"] == 0o644


@needs_root
@pytest.mark.fault(26)
async def test_what_root_makes_is_the_services(
    path: Path, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    os.chown(tmp_path, SERVICE, SERVICE)
    with editing(path):
        pass
    assert owners(tmp_path) == {(SERVICE, SERVICE)}, "the folder's, as there was no history"
    await leave_everything(path)
    assert owners(tmp_path) == {(SERVICE, SERVICE)}


@needs_root
@pytest.mark.fault(26)
def test_what_root_restores_can_be_opened_by_the_service(path: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "of the service").mkdir()
    database = folder / "callctl.db"
    database_with(path, waiting("a"))
    path.chmod(0o600)
    os.chown(folder, SERVICE, SERVICE)
    restore(database, path, NOON)
    assert owners(folder) == {(SERVICE, SERVICE)}
    os.chown(database, SERVICE, SERVICE + 1)
    database.chmod(0o660)
    restore(database, path, NOON + 1)
    status = database.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (SERVICE, SERVICE + 1, 0o660)


def a_symbolic_link(name: Path, path: Path) -> None:
    name.symlink_to(path)


def a_hard_link(name: Path, path: Path) -> None:
    name.hardlink_to(path)


@pytest.mark.fault(25)
@pytest.mark.parametrize("link", [a_symbolic_link, a_hard_link])
def test_a_second_name_of_a_database_is_no_second_database(
    path: Path, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    database_with(path)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    link(name := elsewhere / "other.db", path)
    with ServerLock(path):
        with pytest.raises(StoreError, match=rf"a callctl \(pid {os.getpid()}\) is using .*{name}"):
            ServerLock(name).acquire()
        with pytest.raises(StoreError, match="is using"), editing(name):
            pass
    with ServerLock(name), pytest.raises(StoreError, match="is using"):
        ServerLock(path).acquire()


@pytest.mark.fault(25)
async def test_a_database_that_the_server_made_just_now_has_one_lock_as_well(
    path: Path, tmp_path: Path
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(Journal(path, clock=SteadyClock(NOON)).run)
        (name := tmp_path / "other.db").hardlink_to(path)
        with pytest.raises(StoreError, match="is using"):
            ServerLock(name).acquire()
        nursery.cancel_scope.cancel()


@pytest.mark.fault(25)
async def test_what_lies_beside_a_database_is_found_by_every_name(
    path: Path, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    (name := tmp_path / "link.db").symlink_to(path)
    await leave_everything(path)
    async with trio.open_nursery() as nursery:
        journal = Journal(name, clock=SteadyClock(NOON), in_thread=False)
        await nursery.start(journal.run)
        nursery.cancel_scope.cancel()
    with closing(connect(path)) as connection:
        assert [row["id"] for row in connection.execute("SELECT id FROM calls ORDER BY id")] == ["a", "b"]


@pytest.mark.fault(25)
def test_a_restore_by_a_symbolic_link_replaces_the_database_and_not_the_link(
    path: Path, tmp_path: Path
) -> None:
    database_with(path, waiting("new"))
    database_with(tmp_path / "old.db", waiting("old"))
    (name := tmp_path / "link.db").symlink_to(path)
    restore(name, tmp_path / "old.db", NOON)
    assert name.is_symlink()
    with closing(connect(path)) as connection:
        assert [row["id"] for row in connection.execute("SELECT id FROM calls")] == ["old"]


def test_a_lock_ends_with_its_process_however_that_ends(path: Path) -> None:
    database_with(path)
    holder = "import sys; from pathlib import Path; from callctl.store.connections import ServerLock;"
    holder += "ServerLock(Path(sys.argv[1])).acquire(); print('locked', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StoreError, match=f"pid {process.pid}"):
            ServerLock(path).acquire()
        process.send_signal(signal.SIGKILL)
        process.wait()
    with ServerLock(path):
        pass
