"""The disk under the database: it is full for a while, another program holds the database, or callctl dies.

All three are the real thing: writes fail in the kernel, a second connection holds a real lock, and after a
kill nothing of what was still in memory reaches the file.
"""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from callctl.model import Fact
from callctl.store.writer import Kept, Writer


class Disk:
    """What a database file is on, through all lives of callctl."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.is_full = False
        self._holder: sqlite3.Connection | None = None

    @property
    def is_sound(self) -> bool:
        """Whether everything that is written now stands in the database at once."""
        return not self.is_full and self._holder is None

    def lock(self) -> None:
        """Let another program hold the database."""
        self._holder = sqlite3.connect(self.database, isolation_level=None, timeout=0)
        try:
            self._holder.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            self.unlock()

    def unlock(self) -> None:
        """Let the other program end."""
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    @contextmanager
    def room(self) -> Iterator[None]:
        """Let every write to any file fail in this block, if the disk is full."""
        if not self.is_full:
            yield
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class MortalWriter(Writer):
    """The writer of one life: when callctl is killed, what it still has is gone."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.database, busy_seconds=0.0)
        self._disk = disk
        self._is_dead = False

    def die(self) -> None:
        """Write nothing any more, as a process that was killed."""
        self._is_dead = True

    def keep(self, facts: Sequence[Fact], *, try_database: bool, now: float) -> Kept:
        """Write as the disk allows."""
        if self._is_dead:
            return Kept(is_safe=True, spilled_rows=0)
        with self._disk.room():
            return super().keep(facts, try_database=try_database, now=now)
