"""Talks that are interrupted and go on, and how they end, against the stand-in switch."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from callctl.model import AgentState
from callctl.sim.api import run_api
from callctl.sim.people import Caller, Endpoint
from tests.server.conftest import ANSWERS, Theatre

COLLEAGUE = "user/colleague"
ASKS = Endpoint(answer_after=0.05, consult_after=0.2, consult_with=COLLEAGUE)


def talking_legs(t: Theatre) -> tuple[str, str]:
    """Return the caller's channel and the agent's leg of the one call that talks."""
    [session] = t.stage.server.reception.sessions.values()
    return session.record.arrival.uuid, session.record.agent_uuid


def is_up(t: Theatre, uuid: str) -> bool:
    return t.stage.switch.locate(uuid) is not None


def state_of(t: Theatre, agent: str) -> AgentState:
    return t.stage.server.dispatcher.ask(lambda d, now: d.agent(agent, now)).state


async def begin_talk(t: Theatre, phone: Endpoint = ANSWERS, **caller: Any) -> tuple[str, str]:
    """Let a caller talk with agent 1001."""
    t.hire("1001", phone)
    t.stage.switch.place_call(Caller(**caller))
    await t.until(lambda: "bridged" in t.seen)
    await t.until(lambda: state_of(t, "1001") is AgentState.IN_A_QUEUE_CALL)
    return talking_legs(t)


def the_call(t: Theatre) -> dict[str, Any]:
    [call] = t.rows("calls")
    return call


def steps(t: Theatre) -> list[str]:
    return [row["event"] for row in t.rows("call_events")]


@pytest.mark.fault(8)
async def test_a_talk_goes_on_after_a_consultation_that_is_cancelled(theatre) -> None:
    async with theatre() as t:
        t.stage.switch.add_endpoint(COLLEAGUE, Endpoint(answer_after=0.05, hang_up_after=0.5))
        caller, leg = await begin_talk(t, ASKS, talk_seconds=4.0)
        await t.until(lambda: t.seen.count("bridged") == 2)
        await trio.sleep(2.0)
        assert is_up(t, caller)
        assert is_up(t, leg)
        assert state_of(t, "1001") is AgentState.IN_A_QUEUE_CALL
        await t.stage.server.reception.wait_empty()
    call = the_call(t)
    assert (call["reason"], call["hung_up_by"]) == ("BRIDGED", "caller")
    assert call["talk_seconds"] + call["hold_seconds"] == pytest.approx(4.0, abs=0.6)
    assert call["hold_seconds"] == pytest.approx(0.6, abs=0.4)
    assert steps(t)[-3:] == ["apart", "together-again", "ended"]


@pytest.mark.fault(8)
async def test_a_consultation_that_is_completed_is_a_transfer_and_frees_the_agent(theatre) -> None:
    async with theatre() as t:
        t.stage.switch.add_endpoint(COLLEAGUE, Endpoint(answer_after=0.05))
        phone = Endpoint(answer_after=0.05, consult_after=0.2, consult_with=COLLEAGUE, talk_seconds=0.8)
        caller, leg = await begin_talk(t, phone)
        await t.until(lambda: not is_up(t, leg))
        await t.until(lambda: state_of(t, "1001") is AgentState.WAITING)
        with trio.fail_after(5):
            await t.stage.server.reception.wait_empty()
        assert is_up(t, caller), "the caller talks with the colleague"
    call = the_call(t)
    assert (call["reason"], call["hung_up_by"], call["transferred_to"]) == (
        "BRIDGED",
        "transferred",
        "colleague",
    )


@pytest.mark.fault(8)
async def test_a_caller_who_was_in_an_announcement_comes_back_to_the_agent(theatre) -> None:
    async with theatre() as t:
        caller, leg = await begin_talk(t)
        switch = t.stage.switch
        run_api(switch, f"uuid_setvar {leg} park_after_bridge true")
        run_api(switch, f"uuid_transfer {caller} answer")
        await trio.sleep(2.0)
        assert is_up(t, leg)
        assert state_of(t, "1001") is AgentState.IN_A_QUEUE_CALL
        run_api(switch, f"uuid_bridge {caller} {leg}")
        await t.until(lambda: t.seen.count("bridged") == 2)
        await trio.sleep(1.5)
        assert is_up(t, leg)
        assert is_up(t, caller)
        switch.locate(leg).hang_up("NORMAL_CLEARING", "recv_bye")
        await t.stage.server.reception.wait_empty()
    call = the_call(t)
    assert (call["reason"], call["hung_up_by"]) == ("BRIDGED", "agent")
    assert call["hold_seconds"] == pytest.approx(2.0, abs=0.5)


@pytest.mark.fault(8)
async def test_an_agent_who_is_still_on_the_phone_is_offered_no_call(theatre) -> None:
    async with theatre() as t:
        t.stage.switch.add_endpoint(COLLEAGUE, Endpoint(answer_after=0.05, hang_up_after=3.0))
        caller, leg = await begin_talk(t, ASKS)
        await t.until(lambda: t.stage.switch.locate(leg).is_consulting)
        t.stage.switch.locate(caller).hang_up("NORMAL_CLEARING", "recv_bye")
        await trio.sleep(1.8)
        assert is_up(t, leg), "the agent talks with the colleague"
        assert state_of(t, "1001") is AgentState.IN_A_QUEUE_CALL
        await t.until(lambda: not is_up(t, leg))
        await t.until(lambda: state_of(t, "1001") is AgentState.WAITING)
        await t.stage.server.reception.wait_empty()
    call = the_call(t)
    assert (call["reason"], call["hung_up_by"]) == ("BRIDGED", "caller")


@pytest.mark.fault(8)
async def test_an_agents_leg_that_is_parked_when_its_caller_is_gone_is_hung_up(theatre) -> None:
    async with theatre() as t:
        caller, leg = await begin_talk(t)
        run_api(t.stage.switch, f"uuid_setvar {leg} park_after_bridge true")
        t.stage.switch.locate(caller).hang_up("NORMAL_CLEARING", "recv_bye")
        await trio.sleep(0.3)
        assert is_up(t, leg)
        await t.until(lambda: not is_up(t, leg))
        await t.until(lambda: state_of(t, "1001") is AgentState.WAITING)


@pytest.mark.fault(19.5)
async def test_a_caller_whom_the_switch_ends_was_not_hung_up_by_the_agent(theatre) -> None:
    async with theatre() as t:
        caller, _ = await begin_talk(t)
        run_api(t.stage.switch, f"uuid_kill {caller}")
        await t.stage.server.reception.wait_empty()
    call = the_call(t)
    assert (call["reason"], call["hung_up_by"], call["hangup_cause"]) == (
        "BRIDGED",
        "switch",
        "NORMAL_CLEARING",
    )


@pytest.mark.fault(19.5)
async def test_an_agents_leg_that_the_switch_ends_was_not_hung_up_by_the_agent(theatre) -> None:
    async with theatre() as t:
        _, leg = await begin_talk(t)
        run_api(t.stage.switch, f"uuid_kill {leg}")
        await t.stage.server.reception.wait_empty()
    assert the_call(t)["hung_up_by"] == "switch"


@pytest.mark.fault(19.5)
@pytest.mark.parametrize("who", ["the switch", "the agent"])
async def test_a_caller_who_is_transferred_out_of_a_talk_was_hung_up_by_nobody(theatre, who: str) -> None:
    async with theatre() as t:
        by_agent = Endpoint(answer_after=0.05, transfer_after=0.3, transfer_to="answer")
        caller, _ = await begin_talk(t, by_agent if who == "the agent" else ANSWERS)
        if who == "the switch":
            run_api(t.stage.switch, f"uuid_transfer {caller} answer XML public")
        with trio.fail_after(5):
            await t.stage.server.reception.wait_empty()
        assert is_up(t, caller)
    call = the_call(t)
    assert (call["reason"], call["hung_up_by"]) == ("BRIDGED", "transferred")
    assert call["transferred_to"] == "answer XML public"
