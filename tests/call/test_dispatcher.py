"""The distributor's hands: what it decides in time reaches the call."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager

import trio

from callctl.acd.distributor import Distributor
from callctl.call import events as ev
from callctl.call.dispatcher import Dispatcher
from callctl.clock import SteadyClock
from callctl.ids import Ids
from callctl.model import AgentSettings, AgentStatus, Arrival, QueueSettings, Tier


@asynccontextmanager
async def a_floor():
    distributor = Distributor(ids=Ids(random.Random(1)), random=random.Random(1))
    dispatcher = Dispatcher(distributor, SteadyClock(1e9), lambda fact: None)

    def staff(floor: Distributor, now: float) -> None:
        floor.put_queue(QueueSettings(name="caller"), now)
        floor.put_agent(AgentSettings(name="1001", contact="user/1001"), now)
        floor.put_tier(Tier(queue="caller", agent="1001"), now)
        floor.set_status("1001", AgentStatus.AVAILABLE, now)

    dispatcher.act(staff)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dispatcher.run)
        yield dispatcher
        nursery.cancel_scope.cancel()


async def test_a_call_hears_that_the_lease_of_its_agent_is_over_before_it_is_offered_again(
    autojump_clock,
) -> None:
    told: list[ev.CallHappening] = []
    async with a_floor() as dispatcher:
        dispatcher.enter("call-1", told.append)
        arrival = Arrival(
            call="call-1", uuid="caller", switch="fs1", queue="caller", arrived_at=1e9, joined_at=1e9
        )
        dispatcher.act(lambda floor, now: floor.join(arrival, now))
        [offered] = told
        assert isinstance(offered, ev.Offered)
        assert dispatcher.act(lambda floor, now: floor.offer_answered(offered.offer.id, now))
        await trio.sleep(91)
    assert told[1:3] == [
        ev.OfferWithdrawn(offered.offer.id, "ORIGINATOR_CANCEL"),
        ev.LeaseExpired(offered.offer.id),
    ]
    assert [type(happening) for happening in told[3:]] == [ev.Offered]
    assert dispatcher.healed_leases == 1
