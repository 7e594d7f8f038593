"""The demo as a newcomer meets it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.cli.terminal import on_terminal


def test_the_demo_shows_its_callers_on_a_terminal(tmp_path: Path) -> None:
    code, shown = on_terminal(
        "demo", "--calls", "2", "--rate", "10", "--seed", "1", "--database", "demo.db", folder=tmp_path
    )
    assert code == 0, shown
    assert "Traceback" not in shown
    before_the_summary, _, _ = shown.partition("outcome")
    assert "49301100001" in before_the_summary


def test_the_demo_leaves_a_database_alone_that_is_there(tmp_path: Path, run: Run) -> None:
    database = tmp_path / "callctl.db"
    database.write_bytes(b"")
    ran = run("demo", "--calls", "1", "--database", str(database))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"callctl: {database} is there already; give the demo a file of its own\n"
    assert database.read_bytes() == b""
