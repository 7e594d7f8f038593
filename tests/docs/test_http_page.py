"""The page about HTTP has every route with its least scope, as the table of operations says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from callctl.api.operations import API, Operation, operations_of
from callctl.model import Scope

PAGE = Path(__file__).parents[2] / "examples/http.md"


class _Nothing:
    """Stands where the table's maker wants a server; nothing is asked of it here."""

    def __getattr__(self, name: str) -> _Nothing:
        return self


NOTHING: Any = _Nothing()


def line_of(operation: Operation) -> str:
    path = operation.path.removeprefix(API)
    scope = f"`{operation.scope}`" if operation.scope else "none"
    if operation.every_account:
        scope += " of account `*`"
    if operation.is_open_to_monitoring:
        scope += "; none on loopback"
    if operation.scope is None:
        agent = "everything"
    elif operation.scope is Scope.AGENT:
        agent = operation.for_agent or "for itself"
    else:
        agent = operation.for_agent or "nothing"
    return f"| `{operation.method} {path}` | {scope} | {agent} | {operation.summary} |"


def test_the_page_has_every_route_with_its_least_scope() -> None:
    expected = [line_of(operation) for operation in operations_of(NOTHING, NOTHING)]
    written = re.findall(r"^\| `[A-Z]+ /.*\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert written == expected, "python -m tests.docs.test_http_page writes the table anew"


def write() -> None:
    """Put the table of operations into the page: python -m tests.docs.test_http_page."""
    rows = [line_of(operation) for operation in operations_of(NOTHING, NOTHING)]
    kept = [line for line in PAGE.read_text("utf-8").splitlines() if not re.match(r"\| `[A-Z]+ /", line)]
    header = next(number for number, line in enumerate(kept) if line.startswith("| route |"))
    kept[header + 2 : header + 2] = rows
    PAGE.write_text("\n".join(kept) + "\n", "utf-8")


if __name__ == "__main__":
    write()
