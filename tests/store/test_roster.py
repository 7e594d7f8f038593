"""Agents and tiers, changed by hand while no server runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from attrs import evolve

from callctl.clock import SteadyClock
from callctl.errors import AgentExists, StoreError, UnknownAgent, UnknownTier
from callctl.model import AgentSettings, AgentState, AgentStatus, Tier
from callctl.store.journal import Journal
from callctl.store.roster import (
    add_agent,
    add_tier,
    editing,
    get_agent,
    load_agents,
    load_tiers,
    remove_agent,
    remove_tier,
    set_agent,
    set_status,
    set_tier,
)
from tests.store.samples import NOON

ANNA = AgentSettings(name="anna", contact="user/1001", skills={"english": 2})


def spans(path: Path) -> list[tuple[object, ...]]:
    with editing(path) as connection:
        return [
            tuple(row)
            for row in connection.execute(
                "SELECT agent, status, state, reason, seconds FROM agent_spans ORDER BY started_at"
            )
        ]


def test_a_new_agent_is_there_and_logged_out(path: Path) -> None:
    with editing(path) as connection:
        add_agent(connection, ANNA, NOON)
    with editing(path) as connection:
        (record,) = load_agents(connection)
    assert record.settings == ANNA
    assert (record.status, record.state) == (AgentStatus.LOGGED_OUT, AgentState.IDLE)


def test_an_agent_cannot_be_added_twice(path: Path) -> None:
    with editing(path) as connection:
        add_agent(connection, ANNA, NOON)
        with pytest.raises(AgentExists, match="'anna' already"):
            add_agent(connection, ANNA, NOON)


def test_settings_change_and_the_status_stays(path: Path) -> None:
    with editing(path) as connection:
        add_agent(connection, ANNA, NOON)
        set_status(connection, "anna", AgentStatus.AVAILABLE, NOON)
        set_agent(connection, evolve(ANNA, contact="user/2002"))
        record = get_agent(connection, "anna")
    assert record.settings.contact == "user/2002"
    assert record.status is AgentStatus.AVAILABLE


def test_a_status_is_a_new_span_and_ends_the_one_before(path: Path) -> None:
    with editing(path) as connection:
        add_agent(connection, ANNA, NOON)
        set_status(connection, "anna", AgentStatus.AVAILABLE, NOON + 10)
        set_status(connection, "anna", AgentStatus.ON_BREAK, NOON + 70, "lunch", until=NOON + 1800)
        assert get_agent(connection, "anna").status_until == NOON + 1800
    assert spans(path) == [
        ("anna", "Logged Out", "Idle", "", 10.0),
        ("anna", "Available", "Idle", "callctl was down", 60.0),
        ("anna", "On Break", "Idle", "lunch", None),
    ]


def test_who_becomes_available_starts_without_misses(path: Path) -> None:
    with editing(path) as connection:
        add_agent(connection, ANNA, NOON)
        connection.execute("UPDATE agents SET misses = 3")
        assert set_status(connection, "anna", AgentStatus.ON_BREAK, NOON).misses == 3
        assert set_status(connection, "anna", AgentStatus.AVAILABLE, NOON).misses == 0


def test_a_removed_agent_takes_its_tiers_along_and_leaves_its_history(path: Path) -> None:
    with editing(path) as connection:
        add_agent(connection, ANNA, NOON)
        add_tier(connection, Tier(queue="caller", agent="anna"))
        remove_agent(connection, "anna", NOON + 5)
        assert load_agents(connection) == []
        assert load_tiers(connection) == []
    assert spans(path) == [("anna", "Logged Out", "Idle", "", 5.0)]


def test_a_tier_is_added_changed_and_removed(path: Path) -> None:
    with editing(path) as connection:
        add_agent(connection, ANNA, NOON)
        add_tier(connection, Tier(queue="caller", agent="anna"))
        set_tier(connection, Tier(queue="caller", agent="anna", level=2, position=3))
        assert load_tiers(connection) == [Tier(queue="caller", agent="anna", level=2, position=3)]
        remove_tier(connection, "caller", "anna")
        assert load_tiers(connection) == []


def test_what_does_not_exist_is_named_in_the_error(path: Path) -> None:
    with editing(path) as connection:
        with pytest.raises(UnknownAgent, match=r"no agent 'bob'; there are none yet"):
            set_status(connection, "bob", AgentStatus.AVAILABLE, NOON)
        add_agent(connection, ANNA, NOON)
        with pytest.raises(UnknownAgent, match=r"no agent 'bob'; there are anna"):
            add_tier(connection, Tier(queue="caller", agent="bob"))
        with pytest.raises(UnknownTier, match=r"'anna' has no tier in the queue 'caller'"):
            remove_tier(connection, "caller", "anna")


def test_an_error_in_the_middle_leaves_nothing_of_the_edit(path: Path) -> None:
    def add_two() -> None:
        with editing(path) as connection:
            add_agent(connection, ANNA, NOON)
            add_agent(connection, ANNA, NOON)

    with pytest.raises(AgentExists):
        add_two()
    with editing(path) as connection:
        assert load_agents(connection) == []


async def test_nothing_is_edited_under_a_running_server(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(Journal(path, clock=SteadyClock(NOON)).run)
        with pytest.raises(StoreError, match="is using the database"), editing(path):
            pass
        nursery.cancel_scope.cancel()
