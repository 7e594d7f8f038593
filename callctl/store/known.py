"""Which rows stand in the database and may change once more, so that only the change is written.

A row is written whole when it is new. Of a call that changes, an upsert would write all 40 columns anew,
and ten indexes with them, most of which hold nothing that ever changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from attrs import frozen

from callctl.store.rows import KEYS, Action, Entry, Value

CHANGING: Mapping[str, tuple[str, ...]] = {
    "calls": (
        "state",
        "outcome",
        "reason",
        "hung_up_by",
        "hangup_cause",
        "agent",
        "agent_uuid",
        "answered_at",
        "bridged_at",
        "ended_at",
        "wait_seconds",
        "talk_seconds",
        "hold_seconds",
        "offers",
    ),
    "offers": ("answered_at", "ended_at", "ring_seconds", "result", "cause"),
    "agent_spans": ("ended_at",),
}
"""The columns that change in the life of a row. Where another one does, the row is written whole."""

_Values = tuple[Value, ...]


@frozen
class Change:
    """The statement that changes a row which is there, and its parameters."""

    sql: str
    values: _Values


class KnownRows:
    """What was written of the rows that have not ended yet."""

    def __init__(self) -> None:
        self._fixed: dict[_Values, _Values] = {}
        """The columns that do not change, by table and key."""

    def __len__(self) -> int:
        return len(self._fixed)

    def clear(self) -> None:
        """Take no row for granted any more: what was written last may not be in the database."""
        self._fixed.clear()

    def change(self, entry: Entry) -> Change | None:
        """Return what `entry` changes in its row, or None where it is to be written whole.

        Either way it is taken for written then.
        """
        if entry.action is not Action.PUT or entry.table not in CHANGING:
            return None
        form, values = _form(entry.table, tuple(entry.row)), entry.values()
        key, fixed = (entry.table, *form.key(values)), form.fixed(values)
        is_known = self._fixed.get(key) == fixed
        if entry.row["ended_at"] is None:
            self._fixed[key] = fixed
        else:
            self._fixed.pop(key, None)
        return Change(form.sql, form.change(values)) if is_known else None


@frozen
class _Form:
    """How the values of a table's rows are taken apart."""

    key: Callable[[_Values], _Values]
    fixed: Callable[[_Values], _Values]
    change: Callable[[_Values], _Values]
    sql: str


@cache
def _form(table: str, columns: tuple[str, ...]) -> _Form:
    key, changing = KEYS[table], CHANGING[table]
    changes = ", ".join(f"{name} = ?" for name in changing)
    return _Form(
        key=_taking(columns, key),
        fixed=_taking(columns, [name for name in columns if name not in changing]),
        change=_taking(columns, (*changing, *key)),
        sql=f"UPDATE {table} SET {changes} WHERE " + " AND ".join(f"{name} = ?" for name in key),
    )


def _taking(columns: Sequence[str], names: Sequence[str]) -> Callable[[_Values], _Values]:
    places = [columns.index(name) for name in names]
    taken: Any = itemgetter(*places)
    return taken if len(places) > 1 else lambda values: (taken(values),)
