"""The database is copied, put back, brought up to date, cut down and exported from the command line."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callctl.cli import upkeep
from callctl.store.connections import ServerLock
from tests.cli.conftest import Run
from tests.cli.history import ADA, BOB, CYD, NINE, morning, write


@pytest.fixture(autouse=True)
def history(run: Run) -> None:
    write(Path("callctl.db"), morning())


def calls(run: Run) -> list[str]:
    return [row["uuid"] for row in run("call", "list", "--json").json]


def test_what_was_backed_up_can_be_put_back(run: Run) -> None:
    assert run("backup", "copy.db").out == "wrote copy.db\n"
    Path("callctl.db").unlink()
    assert run("restore", "copy.db").code == 0
    assert calls(run) == [CYD, BOB, ADA]


def test_a_restore_keeps_what_was_there(run: Run) -> None:
    run("backup", "copy.db")
    ran = run("restore", "copy.db")
    (kept,) = Path().glob("callctl.db.before-restore-*")
    assert kept.name in ran.out


def test_the_work_is_told_in_plain_lines_elsewhere_than_on_a_terminal(run: Run) -> None:
    assert run("backup", "copy.db").err == "copying …\nchecking …\n"


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["backup", "callctl.db"], 1, "callctl.db exists already"),
        (["backup", "no/where.db"], 1, "no/where.db"),
        (["restore", "missing.db"], 1, "missing.db"),
        (["restore", "callctl.toml"], 1, "callctl.toml"),
        (["prune", "--older-than", "0"], 2, "--older-than"),
        (["prune"], 2, "Missing option '--older-than'"),
        (["export", "--format", "xml"], 2, "'xml' is not one of"),
        (["export", "--queue", "nowhere"], 1, "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    run: Run, arguments: list[str], code: int, expected: str
) -> None:
    Path("callctl.toml").write_text("# no database\n")
    ran = run(*arguments)
    assert ran.code == code
    assert expected in ran.err.splitlines()[-1]
    assert calls(run) == [CYD, BOB, ADA]


def test_while_a_server_runs_a_backup_works_and_a_restore_is_refused(run: Run) -> None:
    with ServerLock(Path("callctl.db").absolute()):
        assert run("backup", "copy.db").code == 0
        assert run("restore", "copy.db").code == 1
        assert run("migrate").code == 1


def test_a_database_that_is_up_to_date_is_left_alone(run: Run) -> None:
    ran = run("migrate")
    assert ran.code == 0
    assert "already" in ran.out
    assert not list(Path().glob("*.before-version-*"))


def test_what_is_old_is_removed_except_what_has_not_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep.time, "time", lambda: NINE + 3 * 86_400)
    assert run("prune", "--older-than", "5").out.startswith("removed 0 calls")
    assert run("prune", "--older-than", "2").out.startswith("removed 2 calls")
    assert calls(run) == [CYD]


def test_calls_are_exported_as_csv_json_and_queue_log(run: Run) -> None:
    assert [row["uuid"] for row in csv.DictReader(run("export").out.splitlines())] == [ADA, BOB, CYD]
    exported = json.loads(run("export", "--format", "json", "--queue", "sales").out)
    assert [row["uuid"] for row in exported] == [CYD]
    lines = run(
        "export", "--format", "queue-log", "--from", datetime.fromtimestamp(NINE, UTC).isoformat()
    ).out
    assert "|CONNECT|" in lines
    assert "|ABANDON|" in lines
