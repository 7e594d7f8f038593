"""Exports the calls of any period, as CSV or JSON, line by line, so that a year fits in any memory."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator

from callctl.errors import StoreError
from callctl.records.printable import csv_cell, printable_json
from callctl.store.reports import Selection
from callctl.store.rows import Value

JSON_COLUMNS = ("skills", "variables", "came_through")
"""Columns that hold JSON themselves: in a JSON export they are values, and not text."""


def export_csv(connection: sqlite3.Connection, selection: Selection) -> Iterator[str]:
    """Yield the selected calls as lines of CSV (RFC 4180), oldest first: every column of `calls`, by name.

    What callers and agents chose is made safe for people and spreadsheets (`csv_cell`). Raises what
    `Selection.check` raises, and StoreError.
    """
    columns, rows = _calls(connection, selection)
    yield _csv_line(columns)
    for row in rows:
        yield _csv_line(map(csv_cell, row))


def export_json(connection: sqlite3.Connection, selection: Selection) -> Iterator[str]:
    """Yield the selected calls as the lines of one JSON list of objects, oldest first.

    Raises what `Selection.check` raises, and StoreError.
    """
    columns, rows = _calls(connection, selection)
    opening = "["
    for row in rows:
        yield opening + "\n" + printable_json(_json_object(dict(zip(columns, row, strict=True))))
        opening = ","
    yield "\n]\n" if opening == "," else "[]\n"


def _calls(
    connection: sqlite3.Connection, selection: Selection
) -> tuple[tuple[str, ...], Iterator[tuple[Value, ...]]]:
    selection.check(connection)
    cursor = connection.cursor()
    cursor.row_factory = None
    try:
        cursor.execute(
            f"SELECT * FROM calls WHERE {selection.conditions('joined_at')} ORDER BY joined_at, id",
            selection.parameters,
        )
    except sqlite3.Error as error:
        raise StoreError(f"the database cannot be read: {error}") from error
    return tuple(column[0] for column in cursor.description), _rows(cursor)


def _rows(cursor: sqlite3.Cursor) -> Iterator[tuple[Value, ...]]:
    try:
        # `yield from` would close the cursor where nobody wants more rows, after its connection was closed.
        for row in cursor:  # noqa: UP028
            yield row
    except sqlite3.Error as error:
        raise StoreError(f"the database cannot be read: {error}") from error


def _csv_line(values: Iterable[object]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(values)
    return line.getvalue()


def _json_object(row: dict[str, Value]) -> str:
    values = {
        name: json.loads(value) if name in JSON_COLUMNS and isinstance(value, str) else value
        for name, value in row.items()
    }
    return json.dumps(values, ensure_ascii=False)
