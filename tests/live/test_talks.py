"""Talks that are interrupted and go on: what FreeSWITCH says then is not the end of them.

An agent's phone is a SIP leg of the same FreeSWITCH; what its user presses is ordered on the agent's leg.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from attrs import frozen

from callctl.model import AgentState
from tests.live.centre import IS_OVER, CallCentre, Caller
from tests.live.patience import until


@frozen
class Talk:
    """A caller who talks with agent 1001."""

    centre: CallCentre
    caller: Caller
    uuid: str
    leg: str

    async def api(self, command: str) -> str:
        return await self.centre.console.api(command)

    async def is_bridged_with(self, uuid: str, other: str) -> bool:
        return await self.centre.console.variable(uuid, "bridge_to") == other

    async def two_talk(self) -> bool:
        """Say whether the caller and the agent hear each other."""
        return await self.is_bridged_with(self.uuid, self.leg) and await self.is_bridged_with(
            self.leg, self.uuid
        )

    async def phone(self, dest: str) -> str:
        """Return the far end of the leg that rang this phone: hanging that up is what its user does."""
        [uuid] = [
            channel["uuid"]
            for channel in await self.centre.console.channels()
            if channel["dest"] == dest and channel["direction"] == "inbound"
        ]
        return str(uuid)

    async def agent_hangs_up(self) -> None:
        await self.api(f"uuid_kill {await self.phone('ring100')}")

    async def colleague(self) -> str:
        """Let the agent ask a colleague, and return the colleague's leg once the two talk."""
        await self.api(f"uuid_broadcast {self.leg} att_xfer::{self.centre.freeswitch.phone('ring50')} aleg")
        found: list[str] = []

        async def has_answered() -> bool:
            found[:] = [await self.centre.console.variable(self.leg, "bridge_to")]
            return found[0] not in ("_undef_", self.uuid)

        await until(has_answered)
        return found[0]

    async def survives(self, seconds: float = 2.5) -> None:
        """See that the two still talk in a while, and that the agent is busy all the time."""
        await until(self.two_talk, 3)
        await trio.sleep(seconds)
        assert await self.two_talk()
        assert self.centre.agent_view("1001").state is AgentState.IN_A_QUEUE_CALL
        assert len(self.centre.rows("SELECT * FROM calls")) == 1

    async def end(self) -> None:
        """Let the agent hang up, and see who is said to have done it."""
        await self.agent_hangs_up()
        row = await self.centre.row(self.caller)
        assert (row["reason"], row["hung_up_by"]) == ("BRIDGED", "agent")
        await until(self.centre.has_no_channels, 3)


@pytest.fixture
async def talk(centre: CallCentre) -> Talk:
    """A talk that has begun."""
    centre.agent("1001", "ring100")
    caller = await centre.call()
    row = await centre.row(caller, "state = 'talking'")
    await trio.sleep(0.3)
    return Talk(centre, caller, row.text("uuid"), row.text("agent_uuid"))


async def consult_and_cancel(talk: Talk) -> None:
    colleague = await talk.colleague()
    await trio.sleep(1.0)
    await talk.api(f"uuid_kill {colleague}")


async def three_way(talk: Talk) -> None:
    await talk.colleague()
    await talk.api(f"uuid_send_dtmf {await talk.phone('ring100')} 0")
    await trio.sleep(0.5)


async def hold(talk: Talk) -> None:
    phone = await talk.phone("ring100")
    await talk.api(f"uuid_hold {phone}")
    await trio.sleep(2.0)
    await talk.api(f"uuid_hold off {phone}")


async def announcement_and_back(talk: Talk) -> None:
    await talk.api(f"uuid_setvar {talk.leg} park_after_bridge true")
    await talk.api(f"uuid_transfer {talk.uuid} elsewhere XML public")
    await trio.sleep(2.5)
    assert talk.centre.agent_view("1001").state is AgentState.IN_A_QUEUE_CALL
    await talk.api(f"uuid_setvar {talk.leg} park_after_bridge")
    await talk.api(f"uuid_bridge {talk.uuid} {talk.leg}")


async def park_and_fetch(talk: Talk) -> None:
    await talk.api(f"uuid_setvar {talk.leg} park_after_bridge true")
    await talk.api(f"uuid_transfer {talk.uuid} 'valet_park:lot 6001' inline")
    await trio.sleep(2.5)
    await talk.api(f"uuid_setvar {talk.leg} park_after_bridge")
    await talk.api(f"uuid_transfer {talk.leg} 'valet_park:lot 6001' inline")


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    "interrupt",
    [consult_and_cancel, three_way, hold, announcement_and_back, park_and_fetch],
    ids=lambda interrupt: interrupt.__name__,
)
async def test_a_talk_that_is_interrupted_goes_on(
    talk: Talk, interrupt: Callable[[Talk], Awaitable[None]]
) -> None:
    await interrupt(talk)
    await talk.survives()
    if interrupt is three_way:
        await talk.api(f"uuid_kill {await talk.phone('ring50')}")
        await trio.sleep(0.3)
    await talk.end()
    row = await talk.centre.row(talk.caller)
    assert row.seconds("talk_seconds") + row.seconds("hold_seconds") > 2.5
    assert row.seconds("hold_seconds") > 0.2


@pytest.mark.fault(8)
async def test_two_who_are_in_a_conference_talk_on(talk: Talk) -> None:
    await talk.api(f"uuid_transfer {talk.uuid} -both conference:callctl@default inline")
    await trio.sleep(2.5)
    for uuid in (talk.uuid, talk.leg):
        assert await talk.centre.console.variable(uuid, "current_application") == "conference"
    assert talk.centre.agent_view("1001").state is AgentState.IN_A_QUEUE_CALL
    await talk.centre.hang_up(talk.caller)
    row = await talk.centre.row(talk.caller, "state = 'ended'")
    assert (row["hung_up_by"], row["hold_seconds"]) == ("caller", 0.0)
    await trio.sleep(2.0)
    assert await talk.centre.console.exists(talk.leg), "the conference goes on"
    assert talk.centre.agent_view("1001").state is AgentState.IN_A_QUEUE_CALL
    await talk.agent_hangs_up()
    await until(lambda: talk.centre.agent_view("1001").state is AgentState.WAITING, 3)


@pytest.mark.fault(8)
async def test_a_consultation_that_is_completed_leaves_the_caller_with_the_colleague(talk: Talk) -> None:
    colleague = await talk.colleague()
    await talk.agent_hangs_up()
    row = await talk.centre.row(talk.caller)
    await trio.sleep(1.5)
    assert await talk.is_bridged_with(talk.uuid, colleague)
    assert (row["reason"], row["hung_up_by"], row["transferred_to"]) == ("BRIDGED", "transferred", "ring50")
    await until(lambda: talk.centre.agent_view("1001").state is AgentState.WAITING, 1)
    await talk.centre.hang_up(talk.caller)


@pytest.mark.fault(8)
async def test_an_agent_who_asks_a_colleague_when_the_caller_gives_up_is_busy_until_that_is_over(
    talk: Talk,
) -> None:
    colleague = await talk.colleague()
    await talk.centre.hang_up(talk.caller)
    await trio.sleep(3.0)
    assert await talk.is_bridged_with(talk.leg, colleague)
    assert talk.centre.agent_view("1001").state is AgentState.IN_A_QUEUE_CALL
    await talk.api(f"uuid_kill {colleague}")
    row = await talk.centre.row(talk.caller, IS_OVER)
    assert (row["reason"], row["hung_up_by"]) == ("BRIDGED", "caller")
    await until(lambda: talk.centre.agent_view("1001").state is AgentState.WAITING, 3)


@pytest.mark.fault(8)
async def test_an_agent_in_a_consultation_is_busy_over_a_restart(talk: Talk) -> None:
    colleague = await talk.colleague()
    await talk.centre.cancel()
    await talk.centre.start()
    await until(lambda: talk.centre.agent_view("1001").state is AgentState.IN_A_QUEUE_CALL, 5)
    await trio.sleep(2.0)
    assert await talk.is_bridged_with(talk.leg, colleague)
    await talk.api(f"uuid_kill {colleague}")
    await talk.survives(1.5)
    await talk.end()


@pytest.mark.fault(19.5)
@pytest.mark.parametrize("whose", ["caller", "agent"])
async def test_a_leg_that_the_switch_ends_was_hung_up_by_neither(talk: Talk, whose: str) -> None:
    await talk.api(f"uuid_kill {talk.uuid if whose == 'caller' else talk.leg}")
    assert (await talk.centre.row(talk.caller))["hung_up_by"] == "switch"


@pytest.mark.fault(19.5)
@pytest.mark.parametrize("who", ["the switch", "the agent"])
async def test_a_caller_who_is_transferred_was_hung_up_by_nobody(talk: Talk, who: str) -> None:
    if who == "the switch":
        place = "elsewhere XML public"
        await talk.api(f"uuid_transfer {talk.uuid} {place}")
    else:
        place = "1002 XML default"
        port = talk.centre.freeswitch.ports.phones
        await talk.api(f"uuid_deflect {await talk.phone('ring100')} sip:1002@127.0.0.1:{port}")
    row = await talk.centre.row(talk.caller)
    assert (row["reason"], row["hung_up_by"]) == ("BRIDGED", "transferred")
    assert row["transferred_to"] == place
    assert await talk.centre.is_on_the_line(talk.caller)
    await talk.centre.hang_up(talk.caller)
