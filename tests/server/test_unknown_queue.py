"""Calls for a queue that does not exist: the default queue serves them."""

from __future__ import annotations

import pytest
import trio
from attrs import evolve

from callctl.model import OverflowRule, QueueSettings
from callctl.sim.people import Caller
from tests.server.conftest import ANSWERS, CALLER, HANGS_UP

SUPPORT = QueueSettings(name="support", ring_timeout=2)


@pytest.mark.fault(21)
async def test_a_mistyped_queue_costs_nobody_the_call(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", HANGS_UP)
        await t.call(Caller(variables={"queue": "suport"}))
    [call] = t.rows("calls")
    assert (call["reason"], call["queue"], call["agent"]) == ("BRIDGED", "caller", "1001")
    told = {row["event"]: row["detail"] for row in t.rows("call_events")}
    assert told["queue-unknown"] == "suport"


@pytest.mark.fault(21)
async def test_a_queue_that_a_reload_has_removed_is_served_by_the_default_queue(theatre) -> None:
    async with theatre(CALLER, SUPPORT) as t:
        server = t.stage.server
        t.stage.switch.place_call(Caller(number="491", variables={"queue": "support"}, patience=5))
        await t.until(lambda: t.waiting() == 1)
        await server.reload(evolve(server._config, queues={"caller": CALLER}))
        t.stage.switch.place_call(Caller(number="492", variables={"queue": "support"}))
        await t.until(lambda: t.waiting() == 2)
        t.hire("1001", HANGS_UP)
        with trio.fail_after(10):
            await server.reception.wait_empty()
    calls = {row["caller_number"]: row for row in t.rows("calls")}
    assert (calls["491"]["queue"], calls["491"]["reason"]) == ("support", "CALLER_HANGUP")
    assert (calls["492"]["queue"], calls["492"]["reason"]) == ("caller", "BRIDGED")


@pytest.mark.fault(21)
async def test_a_default_queue_that_a_reload_renames_serves_from_then_on(theatre) -> None:
    async with theatre() as t:
        server = t.stage.server
        main = evolve(CALLER, name="main")
        settings = evolve(server._config.server, default_queue="main")
        await server.reload(evolve(server._config, server=settings, queues={"main": main}))
        t.hire("1001", HANGS_UP, queue="main")
        await t.call(Caller(variables={"queue": "caller"}))
    [call] = t.rows("calls")
    assert (call["queue"], call["reason"]) == ("main", "BRIDGED")


@pytest.mark.fault(21)
async def test_an_overflow_into_a_queue_that_is_gone_leads_to_the_default_queue(theatre) -> None:
    support = evolve(SUPPORT, overflow=(OverflowRule(waited=0.2, to="queue:sales"),))
    async with theatre(CALLER, support, QueueSettings(name="sales")) as t:
        server = t.stage.server
        t.stage.switch.place_call(Caller(variables={"queue": "support"}))
        await t.until(lambda: t.waiting() == 1)
        await server.reload(evolve(server._config, queues={"caller": CALLER, "support": support}))
        t.hire("1001", ANSWERS)
        with trio.fail_after(10):
            await t.until(lambda: any(row["state"] == "talking" for row in t.rows("calls")))
    first, second = t.rows("calls", order="joined_at")
    assert (first["queue"], first["reason"]) == ("support", "OVERFLOW")
    assert (second["queue"], second["agent"], second["previous_visit"]) == ("caller", "1001", first["id"])


@pytest.mark.fault(21)
async def test_a_caller_is_not_sent_round_by_way_of_a_queue_that_is_gone(theatre) -> None:
    caller = evolve(CALLER, overflow=(OverflowRule(waited=0.1, to="queue:sales"),))
    async with theatre(caller, QueueSettings(name="sales")) as t:
        server = t.stage.server
        await server.reload(evolve(server._config, queues={"caller": caller}))
        t.stage.switch.place_call(Caller(patience=2))
        await t.until(lambda: t.waiting() == 1)
        with trio.fail_after(10):
            await server.reception.wait_empty()
    assert [row["reason"] for row in t.rows("calls", order="joined_at")] == ["OVERFLOW", "CALLER_HANGUP"]
