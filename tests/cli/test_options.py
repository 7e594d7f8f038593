"""What many commands share: the configuration is checked whole, times are read, output is for its reader."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest

from callctl.cli import output
from callctl.cli.options import moment
from callctl.cli.output import print_record, print_rows, progress_bar, text_of
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T15:30", datetime(2026, 11, 22, 15, 30, tzinfo=UTC)),
        ("2026-11-22T15:30Z", datetime(2026, 11, 22, 15, 30, tzinfo=UTC)),
        ("2026-11-22T15:30:01.5+02:00", datetime(2026, 11, 22, 13, 30, 1, 500_000, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_utc_unless_it_says_otherwise(text: str, expected: datetime) -> None:
    assert moment(text).epoch() == expected.timestamp()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22", datetime(2026, 11, 21, 23, tzinfo=UTC)),
        ("2026-07-22T15:30", datetime(2026, 7, 22, 13, 30, tzinfo=UTC)),
        ("2026-11-22T15:30Z", datetime(2026, 11, 22, 15, 30, tzinfo=UTC)),
    ],
)
def test_or_as_local_time_if_that_is_asked_for(text: str, expected: datetime) -> None:
    assert moment(text).epoch(local_time=True) == expected.timestamp()


@pytest.mark.usefixtures("berlin")
def test_today_is_the_local_day_after_yesterday_and_before_now() -> None:
    today, yesterday = (moment(word).epoch() for word in ("Today", "yesterday"))
    assert today <= moment("now").epoch()
    for at in (today, yesterday):
        assert datetime.fromtimestamp(at, ZoneInfo("Europe/Berlin")).hour == 0
    assert 82_000 < today - yesterday < 91_000  # A day on which the clocks change has 23 or 25 hours.


@pytest.mark.parametrize("text", ["", "tomorrow", "22.11.2026", "2026-13-01", "2026-02-30", "12:00", "1e9"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        moment(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[queue.caller]\noverflow = [{ to = "queue:nowhere", waited = 5 }]\n',
            "there is no queue 'nowhere'",
        ),
        (
            '[queue.caller]\noverflow = [{ to = "queue:b", waited = 5 }]\n'
            '[queue.b]\noverflow = [{ to = "queue:caller", waited = 5 }]\n',
            "go round in a loop",
        ),
        ('[queue.caller]\nhours = { open = ["Mon 25:00-26:00"] }\n', "callctl.toml: queue 'caller': "),
    ],
)
def test_what_queues_say_of_each_other_is_checked_before_any_command_runs(
    run: Run, text: str, expected: str
) -> None:
    Path("callctl.toml").write_text(text)
    ran = run("agent", "list")
    assert ran.code == 2
    assert expected in ran.err
    assert ran.err.count("\n") == 1


def test_what_is_in_force_is_shown(run: Run) -> None:
    Path("callctl.toml").write_text("[server]\ndrain-timeout = 7\n")
    ran = run("config", "show")
    assert ran.code == 0
    assert "drain-timeout = 7                                 # callctl.toml:2\n" in ran.out


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (2.0, "2"),
        (2.345, "2.3"),
        (7, "7"),
        ({"a": 1.0, "b": None}, "a: 1, b: "),
        (["a", 2], "a, 2"),
        ("[bold]x", "[bold]x"),
    ],
)
def test_a_cell_shows_its_value_as_people_write_it(value: object, shown: str) -> None:
    assert text_of(value) == shown


def test_elsewhere_than_on_a_terminal_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"name": "x" * 500, "other": "[red]y"}], ("name", "other"), as_json=False)
    out = capsys.readouterr().out
    assert "x" * 500 in out
    assert "[red]y" in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_json_keeps_what_is_not_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    print_record({"name": "Zoë"}, as_json=True)
    assert capsys.readouterr().out == '{\n  "name": "Zoë"\n}\n'
    print_record({"name": "Zoë", "b": None}, as_json=False)
    assert capsys.readouterr().out == "name  Zoë\nb\n"


def test_on_a_terminal_progress_is_a_bar_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(output.sys, "stderr", Terminal())
    shown: list[object] = []
    monkeypatch.setattr(output.Progress, "update", lambda _self, task, **values: shown.append((task, values)))
    monkeypatch.setattr(output, "Console", lambda stderr: None)
    monkeypatch.setattr(output.Progress, "start", lambda _self: None)
    monkeypatch.setattr(output.Progress, "stop", lambda _self: None)
    with progress_bar() as progress:
        progress("copying", 0, 1)
        progress("checking", 0, 1)
        progress("copying", 1, 1)
    assert shown == [
        (0, {"completed": 0, "total": 1}),
        (1, {"completed": 0, "total": 1}),
        (0, {"completed": 1, "total": 1}),
    ]
    assert capsys.readouterr().out == ""
