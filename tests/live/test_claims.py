"""What a socket claims is checked with a real switch, before it can harm anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from callctl.model import AgentState
from tests.impostor import Impostor
from tests.live.centre import CallCentre
from tests.live.patience import until

INVENTED = 2000
"""How many callers are claimed who never were."""


@asynccontextmanager
async def impostor(centre: CallCentre) -> AsyncIterator[Impostor]:
    core_uuid = await centre.console.api("global_getvar core_uuid")
    async with trio.open_nursery() as nursery:
        yield Impostor(nursery, centre.freeswitch.ports.callctl, core_uuid)
        nursery.cancel_scope.cancel()


async def seen_through(liar: Impostor) -> None:
    """Wait until callctl has closed all that the impostor opened."""
    await until(lambda: liar.open == 0)


@pytest.mark.fault(9)
async def test_claims_of_callers_who_talk_and_wait_harm_neither(centre: CallCentre) -> None:
    centre.agent("1001", "ring100")
    talks = await centre.call()
    talk = await centre.row(talks, "state = 'talking'")
    waits = await centre.call()
    wait = await centre.row(waits, "state = 'waiting'")
    async with impostor(centre) as liar:
        for row in (talk, wait):
            await liar.claim(row.text("uuid"))
        await seen_through(liar)
    await trio.sleep(1.5)
    assert await centre.console.variable(talk.text("uuid"), "bridge_to") == talk["agent_uuid"]
    assert centre.agent_view("1001").state is AgentState.IN_A_QUEUE_CALL
    assert (await centre.row(waits, "state = 'waiting'"))["resumes"] == 0
    await centre.hang_up(waits)
    assert (await centre.row(waits))["reason"] == "CALLER_HANGUP"
    await centre.hang_up(talks)
    row = await centre.row(talks)
    assert (row["reason"], row["hung_up_by"]) == ("BRIDGED", "caller")


@pytest.mark.fault(9)
async def test_invented_callers_ring_nobody_and_real_ones_are_served_beside_them(centre: CallCentre) -> None:
    centre.agent("1001", "ring100")
    async with impostor(centre) as liar, trio.open_nursery() as nursery:
        nursery.start_soon(
            liar.claim_all, [f"00000000-0000-4000-8000-{number:012}" for number in range(INVENTED)]
        )
        caller = await centre.call()
        assert (await centre.row(caller, "state = 'talking'"))["agent"] == "1001"
        await until(lambda: len(liar.asked) >= 2 * INVENTED, 60)
        await seen_through(liar)
    await centre.hang_up(caller)
    await centre.row(caller)
    await centre.server.journal.flush()
    assert len(centre.rows("SELECT * FROM calls")) == 1
    assert len(centre.offers(caller)) == 1


@pytest.mark.fault(9)
async def test_a_channel_of_somebody_else_is_left_alone(centre: CallCentre) -> None:
    centre.agent("1001", "ring100")
    caller = await centre.call("elsewhere")
    found: list[str] = []

    async def is_there() -> bool:
        shown = await centre.console.channels()
        found[:] = [row["uuid"] for row in shown if row["direction"] == "inbound"]
        return bool(found)

    await until(is_there)
    [uuid] = found
    async with impostor(centre) as liar:
        await liar.claim(uuid, **{"Caller-Profile-Created-Time": "1796077402540166"})
        await seen_through(liar)
    assert await centre.console.variable(uuid, "callctl_call") == "_undef_"
    assert centre.rows("SELECT * FROM calls") == []
    await centre.hang_up(caller)
