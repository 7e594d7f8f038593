"""The answers to `show …`, as rows.

Asked for as text with a separator they are a third of what JSON makes of them, and FreeSWITCH is done with
them in a quarter of the time (1,600 channels: 12 ms for 44), in which it obeys no other order of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SEPARATOR = "<|>"
"""Stands between the columns: nothing that a caller is likely to be called."""

_TOTAL = re.compile(r"\d+ total\.")


def rows_of(answer: str, *columns: str) -> Iterator[tuple[str, ...]]:
    """Yield these columns of every row of the answer to `show … as delim <|>`.

    The first line names the columns, the last one tells how many rows there are, and without any it is
    alone, as in `show_function` of mod_commands.c. A value may hold line feeds; one that held the separator
    would shift what stands behind it. Raises ValueError, before the first row, for what is no such answer.
    """
    *lines, total = answer.strip().split("\n")
    if not _TOTAL.fullmatch(total):
        raise ValueError(f"this is no table: {answer[:60]!r}")
    if not lines:
        return
    names = lines[0].split(SEPARATOR)
    if missing := set(columns) - set(names):
        raise ValueError(f"the table has no column {', '.join(sorted(missing))}")
    wanted = [names.index(column) for column in columns]
    separators, end = len(names) - 1, max(wanted) + 1
    row = ""
    for line in lines[1:]:
        row = f"{row}\n{line}" if row else line
        if row.count(SEPARATOR) >= separators:
            values = row.split(SEPARATOR, end)
            yield tuple([values[index] for index in wanted])
            row = ""
