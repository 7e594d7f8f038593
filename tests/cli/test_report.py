"""Reports print the store's figures with their formulas, for people, spreadsheets and programs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from callctl.model import CallRecord, CallState
from tests.cli.conftest import Run
from tests.cli.history import HOSTILE, NINE, arrival, is_harmless, morning, write
from tests.cli.terminal import on_terminal


@pytest.fixture(autouse=True)
def history(run: Run) -> None:
    write(Path("callctl.db"), morning())


def test_the_figures_of_a_queue(run: Run) -> None:
    (row,) = run("report", "--queue", "caller", "--json").json
    assert (row["offered"], row["answered"], row["handled"], row["abandoned"]) == (2, 1, 1, 1)
    assert (row["service_level"], row["formula"], row["threshold_seconds"]) == (0.5, "abandons-against", 20)
    assert (row["asa_seconds"], row["aht_seconds"]) == (10, 60)


def test_formula_and_threshold_are_parameters(run: Run) -> None:
    ran = run("report", "--queue", "caller", "--service-level", "answered-only", "--threshold", "9", "--json")
    (row,) = ran.json
    assert (row["service_level"], row["formula"], row["threshold_seconds"]) == (0, "answered-only", 9)


def test_a_line_for_each_queue(run: Run) -> None:
    rows = run("report", "--by", "queue", "--json").json
    assert [(row["group"], row["offered"], row["unfinished"]) for row in rows] == [
        ("caller", 2, 0),
        ("sales", 1, 1),
    ]


def test_a_line_for_each_agent(run: Run) -> None:
    rows = run("report", "--by", "agent", "--json").json
    assert [(row["agent"], row["offered"], row["answered"]) for row in rows] == [
        ("1001", 1, 1),
        ("1002", 1, 0),
    ]


def test_on_a_narrow_terminal_a_long_line_stands_below_each_other(tmp_path: Path) -> None:
    code, shown = on_terminal("report", folder=tmp_path, columns=80)
    assert code == 0
    assert "\noffered           3\nanswered          1\n" in shown


def test_on_a_terminal_a_value_is_never_broken(tmp_path: Path) -> None:
    code, shown = on_terminal("call", "list", folder=tmp_path, columns=60)
    assert code == 0
    lines = [line for line in shown.splitlines() if " sales " in line]
    assert len(lines) == 1, shown


def test_people_see_percentages_and_the_formulas_below(run: Run) -> None:
    lines = run("report", "--queue", "caller").out.splitlines()
    assert lines[0].split()[:4] == ["group", "offered", "answered", "handled"]
    assert "50.0%" in lines[1]
    assert "service_level = abandons-against: answered in T / offered; T is the threshold" in lines
    assert "aht = (talk + hold + wrap-up) / answered calls that have ended" in lines


def test_agents_figures_name_their_formulas(run: Run) -> None:
    out = run("report", "--by", "agent").out
    assert "occupancy = (talk + hold + wrap-up) / (the same + available)" in out
    assert "service_level" not in out


def test_csv_has_a_head_and_full_numbers(run: Run) -> None:
    rows = list(csv.DictReader(run("report", "--by", "hour", "--csv").out.splitlines()))
    assert [row["group"] for row in rows] == ["2026-11-22 09:00"]
    assert rows[0]["offered"] == "3"
    assert rows[0]["asa_seconds"] == "10.0"


@pytest.mark.fault(6)
def test_a_queue_is_no_formula_and_cannot_steer_the_terminal(run: Run) -> None:
    # In an old history a queue may be called anything, as the dialplan named it.
    eves = [arrival(f"{number}-eve", NINE, "1", queue=name) for number, name in enumerate(("=1+1", HOSTILE))]
    write(Path("callctl.db"), [CallRecord(arrival=eve, state=CallState.WAITING) for eve in eves])
    rows = run("report", "--by", "queue", "--csv").out
    groups = {row["group"] for row in csv.DictReader(rows.splitlines())}
    assert "'=1+1" in groups
    for out in (rows, run("report", "--by", "queue").out):
        assert "owned" in out
        assert is_harmless(out)


def test_a_period_without_calls_says_so(run: Run) -> None:
    assert run("report", "--by", "queue", "--to", "2020-01-01").out == "no calls\n"
    assert run("report", "--by", "queue", "--to", "2020-01-01", "--csv").out == ""
    assert run("report", "--by", "queue", "--to", "2020-01-01", "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--from", "2026-11-23", "--to", "2026-11-22"], 1, "before it begins"),
        (["--from", "22.11.2026"], 2, "'22.11.2026' is no time"),
        (["--queue", "nowhere"], 1, "no call ever came to a queue 'nowhere'"),
        (["--agent", "nobody"], 1, "there was never an agent 'nobody'"),
        (["--by", "moon"], 2, "'moon' is not one of"),
        (["--service-level", "good"], 2, "'good' is not one of"),
        (["--threshold", "-1"], 2, "--threshold"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(
    run: Run, arguments: list[str], code: int, expected: str
) -> None:
    ran = run("report", *arguments)
    assert ran.code == code
    assert expected in ran.err
    assert ran.err.count("\n") == 1


def test_without_a_database_there_is_nothing_to_report(run: Run) -> None:
    Path("callctl.db").unlink()
    ran = run("report")
    assert ran.code == 1
    assert "there is no database" in ran.err
