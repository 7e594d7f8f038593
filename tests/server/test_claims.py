"""What a socket claims harms nobody until the switch confirms it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from callctl.model import AgentState
from callctl.sim.people import Caller, Endpoint
from tests.impostor import Impostor
from tests.server.conftest import ANSWERS, Theatre


@asynccontextmanager
async def impostor(t: Theatre, core_uuid: str = "") -> AsyncIterator[Impostor]:
    """Somebody who knows the switch's name for this run, or claims another one."""
    [listener] = t.stage.server.listeners
    async with trio.open_nursery() as nursery:
        port = listener.socket.getsockname()[1]
        yield Impostor(nursery, port, core_uuid or t.stage.switch.core_uuid)
        nursery.cancel_scope.cancel()


def state_of(t: Theatre, agent: str) -> AgentState:
    return t.stage.server.dispatcher.ask(lambda d, now: d.agent(agent, now)).state


def cut_link(t: Theatre) -> None:
    """Cut the inbound connection, until `mend_link`."""
    t.stage.switch.faults.refuse_login = True
    for listener in list(t.stage.switch.events.listeners):
        if not listener.is_outbound:
            listener.kill(None)


def mend_link(t: Theatre) -> None:
    t.stage.switch.faults.refuse_login = False


async def is_settled(t: Theatre, liar: Impostor) -> None:
    """Wait until callctl has closed what the impostor opened."""
    await t.until(lambda: liar.open == 0)


@pytest.mark.fault(9)
async def test_a_claim_of_a_caller_who_talks_cuts_no_conversation(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", ANSWERS)
        uuid = t.stage.switch.place_call(Caller())
        await t.until(lambda: state_of(t, "1001") is AgentState.IN_A_QUEUE_CALL)
        async with impostor(t) as liar:
            await liar.claim(uuid)
            await is_settled(t, liar)
            await trio.sleep(1.5)
        assert t.stage.switch.locate(uuid) is not None
        assert state_of(t, "1001") is AgentState.IN_A_QUEUE_CALL
        t.stage.switch.locate(uuid).hang_up("NORMAL_CLEARING", "recv_bye")
        await t.stage.server.reception.wait_empty()
    [call] = t.rows("calls")
    assert (call["reason"], call["hung_up_by"]) == ("BRIDGED", "caller")
    assert call["talk_seconds"] > 1.0


@pytest.mark.fault(9)
async def test_a_claim_of_a_caller_who_waits_ends_no_wait(theatre) -> None:
    async with theatre() as t:
        uuid = t.stage.switch.place_call(Caller(patience=2.0))
        await t.until(lambda: t.waiting() == 1)
        async with impostor(t) as liar:
            await liar.claim(uuid)
            await is_settled(t, liar)
        await trio.sleep(0.3)
        assert t.waiting() == 1
        [session] = t.stage.server.reception.sessions.values()
        assert session.is_led
        await t.stage.server.reception.wait_empty()
    [call] = t.rows("calls")
    assert (call["reason"], call["hung_up_by"], call["resumes"]) == ("CALLER_HANGUP", "caller", 0)
    assert call["wait_seconds"] == pytest.approx(2.0, abs=0.5)


@pytest.mark.fault(9)
async def test_callers_who_are_invented_ring_nobody_and_are_in_no_figure(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", ANSWERS)
        async with impostor(t) as liar:
            await liar.claim_all(f"00000000-0000-4000-8000-{number:012}" for number in range(300))
            await is_settled(t, liar)
        t.stage.switch.place_call(Caller(talk_seconds=0.1))
        await t.until(lambda: "bridged" in t.seen)
        await t.stage.server.reception.wait_empty()
    [call] = t.rows("calls")
    assert call["reason"] == "BRIDGED", "the one caller who was there"
    assert len(t.rows("offers")) == 1


@pytest.mark.fault(9)
async def test_a_channel_that_is_there_is_not_ours_because_somebody_names_it(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", ANSWERS)
        uuid = t.stage.switch.place_call(Caller(destination="answer"))
        await trio.sleep(0.2)
        before = dict(t.stage.switch.locate(uuid).variables)
        async with impostor(t) as liar:
            await liar.claim(uuid, **{"Caller-Profile-Created-Time": "1796077402540166"})
            await is_settled(t, liar)
        assert dict(t.stage.switch.locate(uuid).variables) == before
    assert t.rows("calls") == []


@pytest.mark.fault(9)
async def test_a_call_of_another_core_is_not_taken_for_one_of_the_only_switch(theatre) -> None:
    async with theatre() as t, impostor(t, "11111111-2222-4333-8444-555555555555") as liar:
        uuid = t.stage.switch.place_call(Caller(destination="answer"))
        await liar.claim(uuid)
        await is_settled(t, liar)
    assert t.rows("calls") == []


async def test_a_caller_who_comes_while_the_link_is_down_waits_with_music_and_is_served_when_it_is_back(
    theatre,
) -> None:
    async with theatre() as t:
        t.hire("1001", Endpoint(answer_after=0.05, talk_seconds=0.1))
        cut_link(t)
        await t.until(lambda: not t.stage.server.switches["fs1"].is_ready)
        t.stage.switch.place_call(Caller())
        await t.until(lambda: "runs playback local_stream://moh" in t.seen)
        assert t.waiting() == 1
        mend_link(t)
        with trio.fail_after(15):
            await t.stage.server.reception.wait_empty()
    [call] = t.rows("calls")
    assert (call["reason"], call["offers"]) == ("BRIDGED", 1)


@pytest.mark.fault(9)
async def test_what_is_claimed_while_the_link_is_down_is_offered_to_nobody(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", ANSWERS)
        cut_link(t)
        await t.until(lambda: not t.stage.server.switches["fs1"].is_ready)
        async with impostor(t) as liar:
            await liar.claim("00000000-0000-4000-8000-000000000001")
            await t.until(lambda: t.waiting() == 1)
            mend_link(t)
            await t.until(lambda: t.stage.server.switches["fs1"].is_ready)
            await is_settled(t, liar)
            await t.until(lambda: t.waiting() == 0)
    [call] = t.rows("calls")
    assert (call["reason"], call["outcome"], call["offers"]) == ("ERROR", "failed", 0)


@pytest.mark.fault(9)
async def test_a_claim_of_a_caller_who_talks_waits_for_the_link(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", ANSWERS)
        uuid = t.stage.switch.place_call(Caller())
        await t.until(lambda: state_of(t, "1001") is AgentState.IN_A_QUEUE_CALL)
        cut_link(t)
        await t.until(lambda: not t.stage.server.switches["fs1"].is_ready)
        async with impostor(t) as liar:
            await liar.claim(uuid)
            await trio.sleep(1.5)
            [call] = t.stage.server.reception.sessions.values()
            assert not call.is_over
            mend_link(t)
            with trio.fail_after(15):
                await is_settled(t, liar)
        assert t.stage.switch.locate(uuid) is not None
        t.stage.switch.locate(uuid).hang_up("NORMAL_CLEARING", "recv_bye")
        await t.stage.server.reception.wait_empty()
    [row] = t.rows("calls")
    assert (row["reason"], row["hung_up_by"]) == ("BRIDGED", "caller")
