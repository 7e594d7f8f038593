"""Agents and tiers are changed in the database while no server runs, and the history knows of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from callctl.cli import target
from callctl.store.connections import ServerLock
from callctl.store.loading import epoch
from tests.cli.conftest import Run


def test_without_a_database_there_is_nobody(run: Run) -> None:
    assert run("agent", "list", "--json").json == []
    assert run("tier", "list", "--json").json == []
    assert not Path("callctl.db").exists()


def test_an_agent_is_added_with_all_its_settings(run: Run) -> None:
    ran = run(
        *(
            "agent",
            "add",
            "1001",
            "--contact",
            "user/1001",
            "--contact-on",
            "fs2=user/1",
            "--skill",
            "english=5",
        ),
        *("--skill", "billing", "--wrap-up-time", "7.5", "--max-no-answer", "3", "--status", "available"),
    )
    assert (ran.code, ran.out) == (0, "agent 1001 added, Available\n")
    shown = run("agent", "show", "1001", "--json").json
    assert shown["status"] == "Available"
    assert shown["state"] == "Waiting"
    assert shown["contacts"] == {"fs2": "user/1"}
    assert shown["skills"] == {"english": 5, "billing": 1}
    assert shown["wrap_up_time"] == 7.5
    assert shown["max_no_answer"] == 3


def test_an_agent_without_a_status_is_logged_out(run: Run) -> None:
    assert run("agent", "add", "1001").out == "agent 1001 added, Logged Out\n"
    assert run("agent", "list", "--json").json[0]["status"] == "Logged Out"


def test_what_is_not_given_stays(run: Run) -> None:
    run("agent", "add", "1001", "--contact", "user/1001", "--wrap-up-time", "7")
    assert run("agent", "set", "1001", "--busy-delay-time", "3").code == 0
    shown = run("agent", "show", "1001", "--json").json
    assert (shown["contact"], shown["wrap_up_time"], shown["busy_delay_time"]) == ("user/1001", 7, 3)


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["login", "1001"], "Available", ""),
        (["logout", "1001"], "Logged Out", ""),
        (["pause", "1001", "--reason", "lunch"], "On Break", "lunch"),
        (["unpause", "1001"], "Available", ""),
        (["set", "1001", "--status", "available (on demand)"], "Available (On Demand)", ""),
        (["set", "1001", "--status", "On Break", "--reason", "lunch"], "On Break", "lunch"),
    ],
)
def test_a_status_is_set_for_a_reason(run: Run, arguments: list[str], status: str, reason: str) -> None:
    run("agent", "add", "1001")
    assert run("agent", *arguments).code == 0
    (row,) = run("agent", "list", "--json").json
    assert (row["status"], row["reason"]) == (status, reason)


def test_each_status_is_a_span_of_the_history(run: Run) -> None:
    run("agent", "add", "1001", "--status", "available")
    run("agent", "pause", "1001", "--reason", "lunch")
    with sqlite3.connect("callctl.db") as connection:
        spans = connection.execute(
            "SELECT status, reason, ended_at IS NULL FROM agent_spans ORDER BY started_at"
        )
        assert list(spans)[-2:] == [("Available", "callctl was down", 0), ("On Break", "lunch", 1)]
    connection.close()


def test_a_timed_pause_has_an_end(run: Run) -> None:
    run("agent", "add", "1001")
    assert run("agent", "pause", "1001", "--minutes", "30").code == 0
    with sqlite3.connect("callctl.db") as connection:
        (until,) = connection.execute("SELECT status_until FROM agents").fetchone()
    connection.close()
    assert until is not None


def test_a_tier_is_added_changed_and_removed(run: Run) -> None:
    run("agent", "add", "1001")
    assert run("tier", "add", "caller", "1001").out == "agent 1001 serves queue caller\n"
    assert run("tier", "list", "--json").json == [
        {"queue": "caller", "agent": "1001", "level": 1, "position": 1}
    ]
    assert run("tier", "set", "caller", "1001", "--position", "4").code == 0
    assert run("tier", "list", "--agent", "1001", "--json").json[0]["position"] == 4
    assert run("tier", "list", "--queue", "other", "--json").json == []
    assert run("tier", "remove", "caller", "1001").code == 0
    assert run("tier", "list", "--json").json == []


def test_a_removed_agent_takes_its_tiers_along(run: Run) -> None:
    run("agent", "add", "1001")
    run("tier", "add", "caller", "1001")
    assert run("agent", "remove", "1001").out == "agent 1001 removed\n"
    assert run("agent", "list", "--json").json == []
    assert run("tier", "list", "--json").json == []


def test_a_table_has_a_line_for_each_agent(run: Run) -> None:
    run("agent", "add", "1001", "--contact", "user/1001")
    run("agent", "add", "1002", "--contact", "sofia/gateway/somewhere-far-away-with-a-long-name/1002")
    run("tier", "add", "caller", "1001")
    head, first, second = run("agent", "list").out.splitlines()
    assert head.split()[:2] == ["name", "status"]
    assert "user/1001" in first
    assert "sofia/gateway/somewhere-far-away-with-a-long-name/1002" in second
    assert run("agent", "list", "--queue", "caller").out.count("\n") == 2


@pytest.mark.fault(30)
def test_the_list_says_since_when_until_when_and_how_long_an_agent_has_talked(run: Run) -> None:
    run("agent", "add", "1001", "--contact", "user/1001")
    run("agent", "pause", "1001", "--reason", "lunch", "--minutes", "30")
    (row,) = run("agent", "list", "--json").json
    assert 1790 < epoch(row["until"]) - epoch(row["since"]) <= 1800
    assert (row["talk_seconds"], row["registered"]) == (0, None)
    head, line = run("agent", "list").out.splitlines()
    assert head.split() == [
        *("name", "status", "state", "since", "until", "reason", "registered", "contact", "queues"),
        *("calls", "talk", "misses"),
    ]
    since, until = (row[name].replace("T", " ")[:19] for name in ("since", "until"))
    assert f"{since}  {until}  lunch" in line
    assert "0:00" in line


class TestAgentsOfTheFile:
    TEXT = '[agent.1001]\ncontact = "user/1"\nwrap-up-time = 5\ntiers = { caller = { level = 2 } }\n'

    @pytest.fixture(autouse=True)
    def file(self, run: Run) -> None:
        Path("callctl.toml").write_text(self.TEXT)

    def test_they_are_agents_before_any_server_ran(self, run: Run) -> None:
        (row,) = run("agent", "list", "--json").json
        assert (row["name"], row["queues"], row["status"]) == ("1001", ["caller"], "Logged Out")
        assert run("tier", "list", "--json").json[0]["level"] == 2

    def test_their_status_can_be_changed(self, run: Run) -> None:
        assert run("agent", "login", "1001").code == 0
        shown = run("agent", "show", "1001", "--json").json
        assert (shown["status"], shown["wrap_up_time"]) == ("Available", 5)

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["agent", "set", "1001", "--wrap-up-time", "1"], "agent 1001 stands in callctl.toml:1"),
            (["agent", "remove", "1001"], "agent 1001 stands in callctl.toml:1"),
            (
                ["tier", "set", "caller", "1001", "--level", "1"],
                "tier of agent 1001 in queue caller stands in",
            ),
            (["tier", "remove", "caller", "1001"], "stands in callctl.toml:4; change it there"),
        ],
    )
    def test_what_the_file_says_is_changed_in_the_file(
        self, run: Run, arguments: list[str], expected: str
    ) -> None:
        ran = run(*arguments)
        assert ran.code == 1
        assert expected in ran.err

    def test_a_settings_change_in_the_file_shows_at_once(self, run: Run) -> None:
        run("agent", "login", "1001")
        Path("callctl.toml").write_text(self.TEXT.replace("5", "6"))
        shown = run("agent", "show", "1001", "--json").json
        assert (shown["status"], shown["wrap_up_time"]) == ("Available", 6)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["agent", "show", "9"], 1, "there is no agent 9"),
        (["agent", "set", "9", "--wrap-up-time", "1"], 1, "there is no agent 9"),
        (["agent", "login", "9"], 1, "there is no agent '9'"),
        (["agent", "remove", "9"], 1, "there is no agent '9'"),
        (["agent", "add", "1001"], 1, "there is an agent '1001' already"),
        (
            ["agent", "add", "1002", "--contact", "user/1001"],
            1,
            "user/1001 is the contact of agent 1001 already",
        ),
        (["agent", "add", "1/2"], 2, "a name has no slash"),
        (["agent", "add", ""], 2, "1 to 100 printable characters"),
        (["agent", "add", "a\nb"], 2, "1 to 100 printable characters"),
        (["agent", "set", "1001"], 2, "nothing to set"),
        (["agent", "set", "1001", "--status", "asleep"], 2, "'asleep' is not one of"),
        (["agent", "set", "1001", "--wrap-up-time", "-1"], 2, "-1"),
        (["agent", "set", "1001", "--contact", "user/1\nx"], 2, "must be one line"),
        (["agent", "set", "1001", "--contact-on", "fs2"], 2, "is not of the form SWITCH=DIAL_STRING"),
        (["agent", "set", "1001", "--skill", "english=good"], 2, "is not of the form NAME[=LEVEL]"),
        (["agent", "pause", "1001", "--minutes", "0"], 2, "0"),
        (["tier", "add", "calller", "1001"], 1, 'there is no queue calller; did you mean "caller"?'),
        (["tier", "add", "caller", "9"], 1, "there is no agent 9"),
        (["tier", "add", "caller", "1001", "--level", "0"], 2, "--level"),
        (["tier", "set", "caller", "1001"], 2, "nothing to set"),
        (["tier", "set", "caller", "1001", "--level", "2"], 1, "agent 1001 does not serve queue caller"),
        (["tier", "remove", "caller", "1001"], 1, "the agent '1001' has no tier"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    run: Run, arguments: list[str], code: int, expected: str
) -> None:
    run("agent", "add", "1001", "--contact", "user/1001")
    ran = run(*arguments)
    assert ran.code == code
    assert expected in ran.err
    assert ran.err.count("\n") == 1
    assert [row["name"] for row in run("agent", "list", "--json").json] == ["1001"]


@pytest.mark.fault(17)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["add", "${x}"], "a name has no brace"),
        (["add", "a{b"], "a name has no brace"),
        (["add", "a:_:b"], "no ':_:'"),
        (["add", ".."], "stands in paths"),
        (["add", "2", "--contact", "user/a:_:b"], "must be a dial string without ':_:'"),
        (["set", "1001", "--contact", "1001"], "such as user/1001, not '1001'"),
        (["set", "1001", "--contact-on", "fs1=user/a{b"], "such as user/1001, not 'user/a{b'"),
    ],
)
def test_an_agent_who_could_never_be_rung_is_refused(run: Run, arguments: list[str], expected: str) -> None:
    run("agent", "add", "1001", "--contact", "user/1001")
    ran = run("agent", *arguments)
    assert ran.code == 2
    assert expected in ran.err
    assert [(row["name"], row["contact"]) for row in run("agent", "list", "--json").json] == [
        ("1001", "user/1001")
    ]


def test_a_tier_is_added_once(run: Run) -> None:
    run("agent", "add", "1001")
    run("tier", "add", "caller", "1001")
    assert "serves queue caller already" in run("tier", "add", "caller", "1001").err


def test_while_a_server_runs_the_database_refuses_changes_but_can_be_read(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "BETWEEN_SECONDS", 0.1)
    run("agent", "add", "1001")
    with ServerLock(Path("callctl.db").absolute()):
        ran = run("agent", "login", "1001")
        assert run("agent", "list", "--json").json[0]["status"] == "Logged Out"
    assert ran.code == 1
    assert "pid" in ran.err


def test_a_file_that_is_no_database_is_named(run: Run) -> None:
    Path("callctl.db").write_bytes(b"no database at all, but long enough for a header" * 100)
    for arguments in (["agent", "list"], ["agent", "add", "1"]):
        ran = run(*arguments)
        assert ran.code == 1
        assert "callctl.db" in ran.err
