"""Callers and agents' phones behave as their parameters say."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from callctl.sim.dialplan import recorded_dialplan
from callctl.sim.people import Caller, Endpoint
from tests.sim.harness import Client, World, quiet, world

EVENTS = (
    "event json BACKGROUND_JOB CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_HANGUP_COMPLETE CHANNEL_HOLD "
    "CHANNEL_UNHOLD CHANNEL_EXECUTE DTMF"
)


async def talk(here: World, inbound: Client, caller: Caller, phone: Endpoint) -> str:
    """Bridge a caller and an agent's leg, `leg`; returns the caller's UUID."""
    here.switch.add_endpoint("user/1001", phone)
    uuid = here.switch.place_call(caller)
    await inbound.say("bgapi originate {origination_uuid=leg}user/1001 &park()")
    await inbound.event("BACKGROUND_JOB")
    await inbound.ask(f"api uuid_setvar {uuid} hangup_after_bridge true")
    await inbound.ask(f"api uuid_bridge {uuid} leg")
    await inbound.event("CHANNEL_BRIDGE")
    return uuid


async def ended(client: Client, uuid: str) -> tuple[str, str]:
    event = await client.event("CHANNEL_HANGUP_COMPLETE", uuid)
    return event.get("Hangup-Cause"), event.variable("sip_hangup_disposition")


async def test_a_caller_who_is_talking_does_not_lose_patience(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        caller = Caller(destination="answer", patience=10, talk_seconds=60)
        uuid = await talk(here, inbound, caller, Endpoint(answer_after=1))
        began = here.switch.now()
        assert await ended(inbound, uuid) == ("NORMAL_CLEARING", "recv_bye")
        assert 59 < here.switch.now() - began < 61


async def test_a_caller_who_leaves_before_the_answer_cancels(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid = here.switch.place_call(Caller(destination="noanswer", patience=5))
        assert await ended(inbound, uuid) == ("ORIGINATOR_CANCEL", "recv_cancel")


async def test_digits_come_at_their_time(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        here.switch.place_call(Caller(destination="answer", presses=((1.0, "4"), (2.0, "#"))))
        await quiet(3)
        assert [event.get("DTMF-Digit") for event in inbound.events("DTMF")] == ["4", "#"]


@pytest.mark.parametrize("moment", ["socket-connected", "leg-ringing", "leg-answered", "bridge-ordered"])
async def test_a_caller_hangs_up_at_an_awkward_instant(moment: str, autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=1))
        inbound = await here.client(EVENTS)
        uuid = here.switch.place_call(Caller(destination="sock", hang_up_when=moment))
        await (await here.socket()).say("connect", "sendmsg\ncall-command: execute\nexecute-app-name: answer")
        await inbound.say(f"bgapi originate {{origination_uuid=leg,cc_member_uuid={uuid}}}user/1001 &park()")
        await quiet(3)
        await inbound.ask(f"api uuid_bridge {uuid} leg")
        await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)
        names = [name for name, _ in here.observed]
        assert names.index(moment) < names.index("far-end-hung-up") < names.index(moment) + 3


async def test_an_agent_hangs_up_at_once_without_being_bridged(autojump_clock: MockClock) -> None:
    async with world() as here:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=1, hang_up_after=0))
        inbound = await here.client(EVENTS)
        await inbound.say("bgapi originate {origination_uuid=leg}user/1001 &park()")
        assert await ended(inbound, "leg") == ("NORMAL_CLEARING", "recv_bye")


async def test_an_agent_holds_the_caller_who_hears_music_meanwhile(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        phone = Endpoint(answer_after=1, hold_after=2, hold_seconds=5, talk_seconds=20)
        uuid = await talk(here, inbound, Caller(destination="answer"), phone)
        await inbound.event("CHANNEL_HANGUP_COMPLETE", "leg")
        assert [event.uuid for event in inbound.events("CHANNEL_HOLD")] == ["leg"]
        assert inbound.events("CHANNEL_EXECUTE", uuid)[-1].get("Application-Data") == "local_stream://moh"
        leg = inbound.events("CHANNEL_HANGUP_COMPLETE", "leg")[0]
        assert 4900 < int(leg.variable("hold_accum_ms")) < 5100


async def test_an_agent_transfers_the_caller_and_leaves(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        phone = Endpoint(answer_after=1, transfer_after=3, transfer_to="noanswer")
        uuid = await talk(here, inbound, Caller(destination="answer"), phone)
        assert (await ended(inbound, "leg"))[0] == "BLIND_TRANSFER"
        await quiet(1)
        assert inbound.events("CHANNEL_EXECUTE", uuid)[-1].get("Application") == "sleep"
        assert here.switch.locate(uuid) is not None


async def test_a_phone_may_behave_differently_each_time(autojump_clock: MockClock) -> None:
    async with world() as here:
        phones = iter([Endpoint.busy(), Endpoint.rejecting()])
        here.switch.add_endpoint("user/1001", lambda: next(phones))
        inbound = await here.client(EVENTS)
        for _ in range(2):
            await inbound.say("bgapi originate user/1001 &park()")
            await quiet(3)
        bodies = [event.body for event in inbound.events("BACKGROUND_JOB")]
        assert bodies == ["-ERR USER_BUSY\n", "-ERR CALL_REJECTED\n"]
