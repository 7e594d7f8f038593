"""Where the files of the history lie, who may read them, and whose they are: one rule for all of them.

The history holds who called whom. It, and every file that is made beside it or from it (write-ahead log,
spill, lock, copies), can be read by its owner and at most by the owner's group. What root makes belongs to
whom the history belongs to, or else to the owner of the folder, as the service must be able to use it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from callctl.clock import iso_utc

NEW_MODE = 0o640
"""What a new history may be, less the process's umask: the group may read it, for reports and backups."""

OWNER_AND_GROUP = stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IWGRP
"""The most that a file has of the history's own mode, if that was widened on purpose."""


def real_path(path: Path) -> Path:
    """Return the one spelling of a path, through all symbolic links: two spellings are one database."""
    return Path(os.path.realpath(path))


def beside(path: Path, ending: str) -> Path:
    """Return the file beside the database whose name has this ending more, however the path is spelled."""
    real = real_path(path)
    return real.with_name(real.name + ending)


def time_in_name(at: float) -> str:
    """Return a time for a file's name, `20261122T155001123Z`: no colons, and sorted by time."""
    return re.sub(r"[-:.]", "", iso_utc(at))


def opener(history: Path) -> Callable[[str, int], int]:
    """Return an opener for `open`: a file that it creates is the history's, and nobody else may read it.

    `history` is the database that the file belongs to; it need not exist.
    """

    def open_own(name: str, flags: int) -> int:
        try:
            return os.open(name, flags & ~os.O_CREAT | os.O_CLOEXEC)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        model = _status_of(history)  # Before the file is there, as it may be the history itself.
        try:
            file = os.open(name, flags | os.O_EXCL | os.O_CLOEXEC, NEW_MODE)
        except FileExistsError:
            return os.open(name, flags & ~os.O_CREAT | os.O_CLOEXEC)  # Somebody was faster.
        if model is not None:
            os.fchmod(file, stat.S_IMODE(model.st_mode) & OWNER_AND_GROUP)
        if os.geteuid() == 0:
            owner = model or Path(name).parent.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)
        return file

    return open_own


def create(path: Path, history: Path) -> None:
    """Create an empty file that is the history's, for a program that fills it; leaves one that exists alone.

    Raises OSError.
    """
    os.close(opener(history)(str(path), os.O_RDWR | os.O_CREAT))


def shut_out_others(path: Path) -> bool:
    """Leave no rights on a database and its log to those who are neither owner nor group; say if any had."""
    had_rights = False
    for ending in ("", "-wal", "-shm"):
        part = beside(path, ending)
        if part.exists() and (mode := stat.S_IMODE(part.stat().st_mode)) & stat.S_IRWXO:
            part.chmod(mode & ~stat.S_IRWXO)
            had_rights = True
    return had_rights


def others_can_read(path: Path) -> bool:
    """Say whether anybody on this machine can read a file."""
    return bool(path.stat().st_mode & stat.S_IROTH)


def _status_of(history: Path) -> os.stat_result | None:
    try:
        return real_path(history).stat()
    except FileNotFoundError:
        return None
