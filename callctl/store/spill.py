"""Keeps rows in a file beside the database while the database takes none.

One JSON object a line, in the order of recording: `{"put": "calls", "row": {…}}`. The file is only
appended to, and removed when all of it stands in the database. Writing its rows again changes nothing, so
it does not matter where a crash interrupted the replay.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from callctl.store.own_files import opener
from callctl.store.rows import KEYS, Action, Entry, as_of_now

TORN_LINE_BYTES = 1 << 20
"""How far back a line that a crash tore off is looked for; a row is a few kilobytes at most."""


@frozen
class Portion:
    """Some rows from the spill, the lines that could not be read, and where the next portion begins."""

    entries: list[Entry]
    unreadable: list[str]
    next_offset: int


class Spill:
    """The file. Used by one thread at a time."""

    def __init__(self, path: Path, history: Path) -> None:
        """`path` is the spill's own; what an earlier process left there is found and kept.

        `history` is the database that it is for, which says whose it is.
        """
        self.path = path
        self._opener = opener(history)
        self._replayed_bytes = 0
        self._rows_left = 0
        self._size = 0
        self.written_at: float | None = None
        """When an earlier process wrote to the file last, in epoch seconds; None if there was none."""

    @property
    def rows_left(self) -> int:
        """How many rows are still to be written to the database."""
        return self._rows_left

    def open(self) -> None:
        """Look at what is there, and cut off a last line that a crash left unfinished. Raises OSError."""
        self._replayed_bytes = self._rows_left = self._size = 0
        if not self.path.exists():
            return
        self.written_at = self.path.stat().st_mtime
        with self.path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - TORN_LINE_BYTES))
            tail = file.read()
            self._size = end - (len(tail) - (tail.rfind(b"\n") + 1))
            file.truncate(self._size)
            file.seek(0)
            self._rows_left = sum(1 for _ in file)

    def append(self, entries: Iterable[Entry]) -> None:
        """Add rows, and return when the disk has them. Raises OSError, and has added nothing then."""
        lines = [
            json.dumps({entry.action.value: entry.table, "row": entry.row}, ensure_ascii=False) + "\n"
            for entry in entries
        ]
        data = "".join(lines).encode()
        with open(self.path, "ab", buffering=0, opener=self._opener) as file:
            try:
                written = 0
                while written < len(data):
                    written += file.write(data[written:])
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._size)
                raise
        self._size += len(data)
        self._rows_left += len(lines)

    def read(self, limit: int) -> Portion:
        """Return the first rows, `limit` at most, that are not replayed yet. Raises OSError."""
        entries: list[Entry] = []
        unreadable: list[str] = []
        with self.path.open("rb") as file:
            file.seek(self._replayed_bytes)
            for _ in range(limit):
                line = file.readline()
                if not line:
                    break
                entry = _entry(line)
                if entry is None:
                    unreadable.append(line.decode("utf-8", "replace").rstrip("\n"))
                else:
                    entries.append(entry)
            return Portion(entries, unreadable, file.tell())

    def mark_replayed(self, portion: Portion) -> None:
        """Take note that the database has these rows; the last of them takes the file away."""
        self._replayed_bytes = portion.next_offset
        self._rows_left -= len(portion.entries) + len(portion.unreadable)
        if self._replayed_bytes >= self._size:
            self.path.unlink(missing_ok=True)
            self._replayed_bytes = self._rows_left = self._size = 0


def _entry(line: bytes) -> Entry | None:
    """Return the row of a line, or None for one that is none of ours."""
    try:
        decoded = json.loads(line)
        row = decoded.pop("row")
        ((action, table),) = decoded.items()
        entry = Entry(Action(action), table, row)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return as_of_now(entry) if table in KEYS and _is_row(row) else None


def _is_row(row: object) -> bool:
    # The names become part of a statement.
    return isinstance(row, dict) and all(
        name.isidentifier() and isinstance(value, str | int | float | None) for name, value in row.items()
    )
