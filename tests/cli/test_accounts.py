"""The command line lets nothing cross from one account into another, also while no server runs."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run

FILE = '[queue.caller]\n[queue.sales]\naccount = "acme"\n'


def test_an_agent_has_an_account_and_a_name_for_people(run: Run) -> None:
    assert run("agent", "add", "1001", "--account", "acme", "--display-name", "Ada").code == 0
    shown = run("agent", "show", "1001", "--json").json
    assert (shown["account"], shown["display_name"]) == ("acme", "Ada")
    assert run("agent", "set", "1001", "--display-name", "Grace").code == 0
    assert run("agent", "list", "--json").json[0]["display_name"] == "Grace"
    assert "acme" in run("agent", "list").out


def test_the_list_shows_accounts_only_where_there_are_several(run: Run) -> None:
    run("agent", "add", "1001")
    assert "account" not in run("agent", "list").out


def test_a_wrong_account_is_refused(run: Run) -> None:
    ran = run("agent", "add", "1001", "--account", "a/b")
    assert (ran.code, "no slash" in ran.err) == (2, True)


def test_a_place_in_a_queue_of_another_account_is_refused(run: Run) -> None:
    Path("callctl.toml").write_text(FILE)
    run("agent", "add", "1001")
    ran = run("tier", "add", "sales", "1001")
    assert ran.code == 1
    assert "agent 1001 of account default cannot serve queue sales of account acme" in ran.err
    assert run("tier", "list", "--json").json == []


def test_an_agent_stays_in_the_account_of_its_queues(run: Run) -> None:
    Path("callctl.toml").write_text(FILE)
    run("agent", "add", "1001", "--account", "acme")
    assert run("tier", "add", "sales", "1001").code == 0
    ran = run("agent", "set", "1001", "--account", "default")
    assert (ran.code, "cannot serve queue sales" in ran.err) == (1, True)
    assert run("agent", "set", "1001", "--account", "*").code == 0
