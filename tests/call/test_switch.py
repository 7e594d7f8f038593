"""One switch as the calls see it, over Event Socket, when something on the way to it goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any, cast

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock, memory_stream_pair

from callctl.acd.floor import BRIDGE_LEASE_SECONDS
from callctl.call.ringing import AgentUnreached
from callctl.call.switch import CALLER_RING_SECONDS, PARK_QUESTION_SECONDS, LegState, Switch
from callctl.call.variables import Prelude
from callctl.esl.connection import REPLY_SECONDS
from callctl.esl.inbound import SILENCE_SECONDS
from callctl.esl.wire import Event
from callctl.ids import Ids
from callctl.model import LONGEST_WHISPER_SECONDS, Arrival, Offer, OfferResult
from callctl.sim.dialplan import recorded_dialplan
from callctl.sim.faults import Faults
from callctl.sim.people import Caller, Endpoint
from tests.sim.harness import World, world

RING_SECONDS = 20.0
ARRIVAL = Arrival(call="call-1", uuid="caller", switch="fs1", queue="caller", arrived_at=0, joined_at=0)
OFFER = Offer(
    id="offer-1",
    call="call-1",
    queue="caller",
    agent="1001",
    contact="user/1001",
    leg_uuid="leg",
    offered_at=0,
    ring_timeout=RING_SECONDS,
    lease_until=RING_SECONDS + 5,
)


def a_switch(**settings: Any) -> Switch:
    chance = Random(1)
    return Switch(
        name="fs1", host="fs1", port=8021, password="ClueCon", ids=Ids(chance), random=chance, **settings
    )


@asynccontextmanager
async def connected(here: World) -> AsyncIterator[Switch]:
    """Log in to the switch of this world."""

    async def open_stream(_host: str, _port: int) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        here.nursery.start_soon(here.switch.serve_inbound, theirs)
        return ours

    switch = a_switch(open_stream=open_stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(switch.run)
        await switch.wait_ready()
        yield switch
        nursery.cancel_scope.cancel()


def test_a_lease_outlasts_the_time_in_which_a_silent_switch_is_found_to_be_away() -> None:
    """Or it ends on a guess, and two who talk already are hung up when the network is back."""
    assert BRIDGE_LEASE_SECONDS > CALLER_RING_SECONDS + SILENCE_SECONDS + REPLY_SECONDS


async def test_a_refusal_is_known_by_the_hangup_where_the_result_is_lost(autojump_clock: MockClock) -> None:
    async with world(faults=Faults(lost_jobs=1)) as here, connected(here) as switch:
        here.switch.add_endpoint("user/1001", Endpoint.rejecting(after=2))
        began = trio.current_time()
        with pytest.raises(AgentUnreached) as unreached:
            await switch.ring(OFFER, ARRIVAL, Prelude())
        assert (unreached.value.result, unreached.value.cause) == (OfferResult.REJECTED, "CALL_REJECTED")
        assert trio.current_time() - began < RING_SECONDS / 2


@pytest.mark.parametrize(
    ("phone", "result", "cause", "reached"),
    [
        (Endpoint.silent(), OfferResult.NO_ANSWER, "NO_ANSWER", True),
        (Endpoint.gone(), OfferResult.FAILED, "NO_ANSWER", False),
        (Endpoint.busy(), OfferResult.BUSY, "USER_BUSY", True),
        (Endpoint.rejecting(after=0), OfferResult.REJECTED, "CALL_REJECTED", True),
        (Endpoint(refuse_with="DESTINATION_OUT_OF_ORDER"), OfferResult.FAILED, None, False),
        (Endpoint(refuse_with="NORMAL_TEMPORARY_FAILURE", refuse_after=1), OfferResult.FAILED, None, True),
        (Endpoint.unregistered(), OfferResult.UNREACHABLE, "USER_NOT_REGISTERED", False),
    ],
    ids=["rings", "is gone", "busy", "declines", "no leg", "rings and fails", "not registered"],
)
@pytest.mark.parametrize("lost_jobs", [0, 1], ids=["told", "result lost"])
async def test_the_hangup_says_whether_a_phone_was_reached(
    autojump_clock: MockClock,
    phone: Endpoint,
    result: OfferResult,
    cause: str | None,
    reached: bool,
    lost_jobs: int,
) -> None:
    if lost_jobs and not phone.is_registered:
        pytest.skip("there is no leg whose hangup could tell")
    async with world(faults=Faults(lost_jobs=lost_jobs)) as here, connected(here) as switch:
        here.switch.add_endpoint("user/1001", phone)
        with pytest.raises(AgentUnreached) as unreached:
            await switch.ring(OFFER, ARRIVAL, Prelude())
        assert unreached.value.result is result
        assert unreached.value.cause == (cause or phone.refuse_with)
        assert unreached.value.reached is reached


async def test_a_leg_that_never_had_a_channel_is_not_waited_for_long(autojump_clock: MockClock) -> None:
    async with world() as here, connected(here) as switch:
        began = trio.current_time()
        with pytest.raises(AgentUnreached) as unreached:
            await switch.ring(evolve(OFFER, contact="no/such/endpoint"), ARRIVAL, Prelude())
        assert (unreached.value.cause, unreached.value.reached) == ("CHAN_NOT_IMPLEMENTED", False)
        assert trio.current_time() - began < 1.0


async def test_an_agent_who_does_not_accept_has_a_phone(autojump_clock: MockClock) -> None:
    async with world() as here, connected(here) as switch:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5))
        with pytest.raises(AgentUnreached) as unreached:
            await switch.ring(OFFER, ARRIVAL, Prelude(key="1", seconds=3))
        assert (unreached.value.result, unreached.value.reached) == (OfferResult.NO_ANSWER, True)


async def test_an_answer_whose_result_is_lost_is_found_by_asking_within_the_lease(
    autojump_clock: MockClock,
) -> None:
    async with world(faults=Faults(lost_jobs=1)) as here, connected(here) as switch:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=1))
        began = trio.current_time()
        assert await switch.ring(OFFER, ARRIVAL, Prelude()) == "leg"
        assert trio.current_time() - began < OFFER.lease_until


async def test_an_agent_is_rung_in_the_very_turn_in_which_that_was_decided(
    autojump_clock: MockClock,
) -> None:
    async with world() as here, connected(here) as switch:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=1))
        answer = switch.ring(OFFER, ARRIVAL, Prelude())
        assert switch.link.statistics().jobs == 1
        assert await answer == "leg"
        assert switch.link.statistics().jobs == 0


async def test_an_agent_who_cannot_be_dialled_is_told_of_by_the_answer(autojump_clock: MockClock) -> None:
    async with world() as here, connected(here) as switch:
        answer = switch.ring(evolve(OFFER, contact="user/1\n001"), ARRIVAL, Prelude())
        with pytest.raises(AgentUnreached) as unreached:
            await answer
        assert unreached.value.result is OfferResult.FAILED


async def test_a_key_that_was_pressed_while_nobody_heard_of_it_is_asked_for(
    autojump_clock: MockClock,
) -> None:
    """This switch was asked for no CHANNEL_PARK, so the event is lost as with a connection."""
    async with world() as here, connected(here) as switch:
        prelude = Prelude(key="1", seconds=3)
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5, presses=((1.0, "1"),)))
        assert await switch.ring(OFFER, ARRIVAL, prelude) == "leg"
        await switch.hang_up("leg", "NORMAL_CLEARING")
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5))
        with pytest.raises(AgentUnreached) as unreached:
            await switch.ring(evolve(OFFER, leg_uuid="next"), ARRIVAL, prelude)
        assert unreached.value.result is OfferResult.NO_ANSWER
        assert here.switch.locate("next") is None


@pytest.mark.fault(22)
async def test_the_end_of_a_whisper_is_asked_for_where_no_event_tells_of_it(
    autojump_clock: MockClock,
) -> None:
    """This switch was asked for no CHANNEL_PARK, so the event is lost as with a connection."""
    async with world() as here, connected(here) as switch:
        here.switch.add_sound("long.wav", 20.0)
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5))
        began = trio.current_time()
        assert await switch.ring(OFFER, ARRIVAL, Prelude(sound="long.wav", seconds=3)) == "leg"
        assert 20.5 < trio.current_time() - began < 20.6 + PARK_QUESTION_SECONDS


@pytest.mark.fault(22)
async def test_a_whisper_that_never_ends_is_cut(autojump_clock: MockClock) -> None:
    async with world() as here, connected(here) as switch:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5))
        began = trio.current_time()
        prelude = Prelude(sound="silence_stream://-1", seconds=3)
        assert await switch.ring(OFFER, ARRIVAL, prelude) == "leg"
        assert trio.current_time() - began == pytest.approx(0.5 + LONGEST_WHISPER_SECONDS, abs=0.2)


async def test_a_key_for_which_nobody_can_be_asked_is_nobodys_miss(autojump_clock: MockClock) -> None:
    async with world() as here, connected(here) as switch, trio.open_nursery() as nursery:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5))

        async def lose() -> None:
            await trio.sleep(2)
            here.switch.lose_network()
            here.switch.drop_connections()

        nursery.start_soon(lose)
        with pytest.raises(AgentUnreached) as unreached:
            await switch.ring(OFFER, ARRIVAL, Prelude(key="1", seconds=3))
        assert unreached.value.result is OfferResult.UNKNOWN


async def test_a_caller_who_picks_up_while_the_switch_is_away_is_found_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    async with world() as here, connected(here) as switch, trio.open_nursery() as nursery:
        here.switch.add_endpoint("trunk/4930123", Endpoint(answer_after=5, talk_seconds=100))
        asks = evolve(ARRIVAL, uuid="", callback=True, caller_number="4930123")

        async def lose() -> None:
            await trio.sleep(2)
            here.switch.lose_network()
            here.switch.drop_connections()
            await trio.sleep(60)
            here.switch.find_network()

        nursery.start_soon(lose)
        assert await switch.ring_caller("back", "trunk/{number}", asks) == "back"
        assert trio.current_time() > 60


async def test_a_hangup_ordered_while_the_connection_is_down_is_done_by_the_next_one(
    autojump_clock: MockClock,
) -> None:
    async with world() as here, connected(here) as switch:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.1))
        await switch.ring(OFFER, ARRIVAL, Prelude())
        here.switch.drop_connections()
        await trio.sleep(0.1)
        assert not switch.link.up
        await switch.hang_up("leg", "ORIGINATOR_CANCEL")
        assert here.switch.locate("leg") is None


@pytest.mark.parametrize("first", ["caller", "leg"])
async def test_a_leg_talks_whichever_of_the_two_carries_the_bridge(
    autojump_clock: MockClock, first: str
) -> None:
    async with world(dialplan=recorded_dialplan()) as here, connected(here) as switch:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.1))
        caller = here.switch.place_call(Caller(destination="answer"))
        await switch.ring(OFFER, ARRIVAL, Prelude())
        assert await switch.leg_state("leg") is LegState.ANSWERED
        one, two = (caller, "leg") if first == "caller" else ("leg", caller)
        await switch.link.api(f"uuid_bridge {one} {two}")
        await trio.sleep(0.5)
        assert await switch.leg_state("leg") is LegState.BRIDGED
        assert await switch.bridged_seconds("leg") == pytest.approx(0.45, abs=0.06)
        await switch.hang_up("leg", "NORMAL_CLEARING")
        await trio.sleep(0.5)
        assert await switch.leg_state("leg") is LegState.GONE


class Filters:
    """A link that keeps the filters which it is asked for."""

    lost_at = 0.0

    def __init__(self) -> None:
        self.filters: list[str] = []

    async def add_filter(self, _header: str, value: str) -> None:
        self.filters.append(value)

    async def remove_filter(self, _header: str, value: str) -> None:
        self.filters.remove(value)


async def test_who_follows_no_more_takes_nothing_from_who_follows_by_now() -> None:
    switch, link = a_switch(), Filters()
    switch.link = cast("Any", link)
    await switch.follow("caller")
    await switch.follow("caller")
    await switch.unfollow("caller")
    assert link.filters == ["caller"]
    await switch.unfollow("caller")
    assert link.filters == []


async def test_a_lost_connection_has_taken_back_what_was_followed() -> None:
    switch, link = a_switch(), Filters()
    switch.link = cast("Any", link)
    await switch.follow("caller")
    switch._on_down("lost")
    link.filters.clear()
    await switch.unfollow("caller")
    await switch.follow("caller")
    assert link.filters == ["caller"]


@pytest.mark.parametrize(
    ("side", "owner", "is_ours"),
    [("agent", "us", True), ("member", "us", True), ("member", "them", False), ("", "us", False)],
)
def test_both_kinds_of_legs_that_are_rung_have_an_owner(side: str, owner: str, is_ours: bool) -> None:
    leg = Event("", {"variable_cc_side": side, "variable_callctl_owner": owner})
    assert a_switch(owner="us").is_own_leg(leg) is is_ours


async def test_a_caller_whose_answer_to_a_callback_was_lost_is_found_by_asking(
    autojump_clock: MockClock,
) -> None:
    async with world(faults=Faults(lost_jobs=1)) as here, connected(here) as switch:
        here.switch.add_endpoint("trunk/4930123", Endpoint(answer_after=1))
        asks = evolve(ARRIVAL, uuid="", callback=True, caller_number="4930123")
        assert await switch.ring_caller("back", "trunk/{number}", asks) == "back"
        assert here.switch.locate("back") is not None


def test_who_listens_no_more_takes_nothing_from_who_listens_by_now() -> None:
    switch = Switch(name="fs1", host="fs1", port=8021, password="ClueCon", ids=Ids(), random=Random(1))
    before: list[Event] = []
    after: list[Event] = []
    switch.listen("caller", before.append)
    switch.listen("caller", after.append)
    switch.unlisten("caller", before.append)
    assert switch.listens("caller")
    switch.unlisten("caller", after.append)
    assert not switch.listens("caller")
