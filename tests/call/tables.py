"""The answer to `show …`, as FreeSWITCH writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from callctl.esl.table import SEPARATOR


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return these rows, all of the same columns, as an answer."""
    lines = [SEPARATOR.join(line) for line in [rows[0], *(row.values() for row in rows)]] if rows else []
    return "\n".join([*lines, "", f"{len(rows)} total.", ""])
