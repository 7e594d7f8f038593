"""Queues of the database: served like those of callctl.toml, over restarts and reloads."""

from __future__ import annotations

from typing import Any

import trio
from attrs import evolve

from callctl.api.client import ControlClient, path_of
from callctl.config.paths import control_socket
from callctl.model import AgentStatus, OverflowRule, QueueSettings
from callctl.sim.people import Caller
from tests.server.conftest import CALLER, HANGS_UP, Theatre

SALES = QueueSettings(name="sales", account="acme", ring_timeout=2)


async def put(t: Theatre, name: str, **settings: Any) -> None:
    """Add a queue or change it as `callctl queue` does."""
    client = ControlClient(control_socket(t.database))
    await trio.to_thread.run_sync(client.put, path_of("queues", name), settings)


async def test_a_queue_of_the_database_serves_after_a_restart(theatre) -> None:
    async with theatre() as t:
        await put(t, "sales", account="acme", ring_timeout=2)
    async with theatre() as t:
        t.hire("1001", HANGS_UP, "sales", account="acme")
        await t.call(Caller(variables={"queue": "sales"}))
    [call] = t.rows("calls")
    assert (call["queue"], call["account"], call["reason"]) == ("sales", "acme", "BRIDGED")
    assert [row["queue"] for row in t.rows("queue_targets", order="queue")] == ["caller", "sales"]


async def test_a_reload_keeps_the_queues_of_the_database(theatre) -> None:
    async with theatre() as t:
        server = t.stage.server
        await put(t, "sales", account="acme", ring_timeout=2)
        await server.reload(server.config)
        t.hire("1001", HANGS_UP, "sales", account="acme")
        await t.call(Caller(variables={"queue": "sales"}))
    assert [row["queue"] for row in t.rows("calls")] == ["sales"]


async def test_the_file_wins_over_the_database_and_gives_the_queue_back(theatre) -> None:
    async with theatre() as t:
        server = t.stage.server
        await put(t, "sales", account="acme", max_callers=7)
        file = {"caller": CALLER, "sales": evolve(SALES, max_callers=3)}
        await server.reload(evolve(server.config, queues=file))
        assert server._queues["sales"].max_callers == 3
        await server.reload(evolve(server.config, queues={"caller": CALLER}))
        assert server._queues["sales"].max_callers == 7
        assert not server.dispatcher.ask(lambda d, now: d.queue("sales", now)).is_removed


async def test_a_caller_goes_on_waiting_while_the_queue_is_changed_and_removed(theatre) -> None:
    async with theatre() as t:
        await put(t, "sales", account="acme", ring_timeout=2)
        t.stage.switch.place_call(Caller(variables={"queue": "sales"}))
        await t.until(lambda: t.waiting() == 1)
        await put(t, "sales", account="acme", strategy="ring-all")
        client = ControlClient(control_socket(t.database))
        await trio.to_thread.run_sync(client.delete, path_of("queues", "sales"))
        assert t.waiting() == 1
        await put(t, "sales", account="acme")
        t.hire("1001", HANGS_UP, "sales", account="acme")
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()
    [call] = t.rows("calls")
    assert (call["queue"], call["reason"], call["agent"]) == ("sales", "BRIDGED", "1001")


async def test_who_waits_in_a_removed_queue_is_still_offered_to_its_agents(theatre) -> None:
    async with theatre() as t:
        await put(t, "sales", account="acme", ring_timeout=2)
        t.hire("1001", HANGS_UP, "sales", account="acme")
        t.stage.server.dispatcher.act(lambda d, now: d.set_status("1001", AgentStatus.ON_BREAK, now))
        t.stage.switch.place_call(Caller(variables={"queue": "sales"}))
        await t.until(lambda: t.waiting() == 1)
        client = ControlClient(control_socket(t.database))
        await trio.to_thread.run_sync(client.delete, path_of("queues", "sales"))
        await trio.to_thread.run_sync(
            client.post, path_of("agents", "1001", "status"), {"status": "Available"}
        )
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()
    assert [(row["queue"], row["reason"]) for row in t.rows("calls")] == [("sales", "BRIDGED")]


async def test_a_target_that_the_file_has_taken_away_leads_to_the_default_queue(theatre) -> None:
    help_ = QueueSettings(name="help")
    async with theatre(CALLER, help_) as t:
        server = t.stage.server
        rule = {"to": "queue:help", "waited": 0.1}
        await put(t, "first", overflow=[rule])
        assert server._queues["first"].overflow == (OverflowRule(**rule),)
        await server.reload(evolve(server.config, queues={"caller": CALLER}))
        t.hire("1001", HANGS_UP)
        await t.call(Caller(variables={"queue": "first"}))
    assert [row["queue"] for row in t.rows("calls", order="joined_at")] == ["first", "caller"]
