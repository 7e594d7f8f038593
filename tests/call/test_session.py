"""What a session asks its switch when nobody could tell what happened."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, cast

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from callctl.acd.distributor import Distributor
from callctl.call import events as ev
from callctl.call.desk import Desk
from callctl.call.dispatcher import Dispatcher
from callctl.call.flow import CallFlow
from callctl.call.session import CallSession
from callctl.call.stages import Stage
from callctl.call.standing import Standing
from callctl.call.switch import LegState
from callctl.clock import SteadyClock
from callctl.esl.wire import Event
from callctl.ids import Ids
from callctl.model import Arrival, CallRecord, Fact, Offer, Place, QueueSettings, Reason
from tests.call.presence import Presence
from tests.call.test_caller import Restarted, Socket

NOW = 1_800_000_000.0
ARRIVAL = Arrival(call="call-1", uuid="caller", switch="fs1", queue="caller", arrived_at=NOW, joined_at=NOW)
OFFER = Offer(
    id="offer-1",
    call="call-1",
    queue="caller",
    agent="1001",
    contact="user/1001",
    leg_uuid="leg",
    offered_at=NOW,
    ring_timeout=20,
    lease_until=NOW + 30,
)


class Leg:
    """A switch that says how an agent's leg stands; nothing was heard of it for some seconds."""

    name = "fs1"
    presence = Presence(trio.lowlevel.checkpoint, silent_seconds=7.0)

    def __init__(self, state: LegState) -> None:
        self.core_uuid = "this run"
        self._state = state

    async def leg_state(self, uuid: str) -> LegState:
        assert uuid == "leg"
        return self._state


def talking(switch: Any) -> CallSession:
    clock, ids = SteadyClock(NOW), Ids(Random(1))
    dispatcher = Dispatcher(Distributor(ids=ids, random=Random(1)), clock, lambda fact: None)
    desk = Desk(dispatcher=dispatcher, clock=clock, ids=ids, record=lambda fact: None)
    session = CallSession(
        ARRIVAL, QueueSettings(name="caller"), switch=switch, desk=desk, begin_away=lambda _: None
    )
    session._flow.adopt(OFFER, NOW, NOW)
    return session


@pytest.mark.parametrize(
    ("core_uuid", "told"),
    [("this run", ev.AgentHungUp("leg", "", by=None)), ("another run", ev.SwitchLost(7.0))],
)
async def test_a_leg_that_is_gone_was_hung_up_or_lost_with_its_switch(
    core_uuid: str, told: ev.CallHappening
) -> None:
    switch = Leg(LegState.GONE)
    session = talking(switch)
    switch.core_uuid = core_uuid
    await session.check_leg(frozenset())
    assert session._early == [told]


class SlowSwitch(Leg):
    """A switch that obeys the order of a bridge a moment after it said that there is none."""

    async def wait_ready(self) -> None:
        await trio.lowlevel.checkpoint()

    async def leg_state(self, uuid: str) -> LegState:
        said, self._state = self._state, LegState.BRIDGED
        return said

    async def bridged_seconds(self, uuid: str) -> float:
        return 0.5


async def test_a_bridge_that_a_slow_switch_makes_only_now_is_not_given_up(autojump_clock: MockClock) -> None:
    session = talking(SlowSwitch(LegState.ANSWERED))
    await session._settle_bridge(OFFER)
    [told] = session._early
    assert isinstance(told, ev.Bridged)
    assert told.at == pytest.approx(session._desk.clock.now() - 0.5)


async def test_a_leg_that_talks_is_left_alone() -> None:
    session = talking(Leg(LegState.BRIDGED))
    await session.check_leg(frozenset())
    assert session._early == []


class Phones(SlowSwitch):
    """A switch that notes which legs it is told to hang up."""

    def __init__(self, state: LegState) -> None:
        super().__init__(state)
        self.hung_up: list[str] = []

    async def hang_up(self, leg_uuid: str, cause: str) -> None:
        self.hung_up.append(leg_uuid)


def waiting(switch: Any) -> CallSession:
    session = talking(switch)
    session._flow = CallFlow(ARRIVAL, QueueSettings(name="caller"))
    session._flow.begin(Place(position=1), NOW)
    return session


def bridging(switch: Any) -> CallSession:
    session = waiting(switch)
    session._legs |= dict.fromkeys(("leg", "another leg"))
    session._flow.handle(ev.Offered(OFFER), NOW)
    session._flow.handle(ev.AgentAnswered(OFFER.id, "leg", won=True), NOW)
    return session


async def test_stopping_leaves_a_talk_that_is_just_beginning_alone(autojump_clock: MockClock) -> None:
    switch = Phones(LegState.BRIDGED)
    await bridging(switch).let_go_of_agents()
    assert switch.hung_up == ["another leg"]


async def test_stopping_silences_the_phones_in_the_order_in_which_they_were_rung() -> None:
    switch: Any = Phones(LegState.GONE)
    session = waiting(switch)
    legs = [f"leg-{number}" for number in range(20)]
    switch.listen = lambda uuid, listener: None
    for leg in legs:
        session._listen_to_leg(leg)
    await session.let_go_of_agents()
    assert switch.hung_up == legs


async def test_stopping_hangs_an_agent_up_whose_bridge_does_not_come(autojump_clock: MockClock) -> None:
    switch = Phones(LegState.ANSWERED)
    await bridging(switch).let_go_of_agents()
    assert switch.hung_up == ["another leg", "leg"]


async def test_stopping_lets_a_caller_go_who_is_just_being_called_back_and_ends_no_callback(
    autojump_clock: MockClock,
) -> None:
    switch = Phones(LegState.GONE)
    session = bridging(switch)
    session._arrival = evolve(ARRIVAL, uuid="", callback=True)
    await session.let_go_of_agents()
    assert switch.hung_up == ["another leg", "leg", "caller"]
    async with trio.open_nursery() as session._nursery:
        session._take(ev.CallerUnreached(OFFER.id, "ORIGINATOR_CANCEL"))
    assert session.record.reason is None
    assert session._flow.stage is Stage.BRIDGING, "nothing that is heard now changes the row"


async def test_nobody_is_called_back_for_an_agent_who_has_left_in_the_same_instant() -> None:
    switch = Phones(LegState.GONE)
    session = bridging(switch)
    async with trio.open_nursery() as session._nursery:
        session._take(ev.AgentHungUp("leg", "NORMAL_CLEARING"))
        session._caller = session._caller_leg("")
        await session._call_back(OFFER)
        await session._hang_up_caller("ORIGINATOR_CANCEL")
    assert switch.hung_up == []
    assert session._early == []


class Taking(Restarted):
    """A switch that takes its time to take a filter back."""

    def __init__(self) -> None:
        super().__init__()
        self.is_taking_back = False

    async def unfollow(self, uuid: str) -> None:
        self.is_taking_back = True
        await trio.sleep_forever()


async def test_a_caller_who_comes_back_is_told_before_anything_else_can_happen() -> None:
    """Or an agent who hangs up meanwhile has the flow close a socket of which it does not know."""
    switch, socket = Taking(), cast("Any", Socket())
    session = talking(switch)
    session._caller.find(Event("", {"Core-UUID": "another run"}))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session._caller.watch)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(session.drive, socket)
        await trio.testing.wait_all_tasks_blocked()
        assert switch.is_taking_back
        assert session._early == [ev.CallerReturned()]
        socket.close()
        assert session._early == [ev.CallerReturned(), ev.SocketLost()]
        nursery.cancel_scope.cancel()


class LetGo:
    """A caller who is led by nobody any more."""

    is_watched = False

    def __init__(self) -> None:
        self.variables: Mapping[str, str] | None = None

    async def hand_back(self, variables: Mapping[str, str]) -> None:
        self.variables = variables


async def test_a_callback_is_written_down_before_its_caller_is_let_go() -> None:
    facts: list[Fact] = []
    begun: list[CallSession] = []
    on_disk, caller = trio.Event(), LetGo()
    session = talking(Leg(LegState.GONE))
    queue = QueueSettings(name="caller", callback_key="1")
    session._flow = CallFlow(evolve(ARRIVAL, caller_number="4930123"), queue)
    session._flow.begin(Place(position=1), NOW)
    session._desk = evolve(session._desk, record=facts.append, written=on_disk.wait)
    session._begin_away, session._caller = begun.append, cast("Any", caller)
    async with trio.open_nursery() as session._nursery:
        session._take(ev.KeyPressed("1"))
        await trio.testing.wait_all_tasks_blocked()
        rows = [fact for fact in facts if isinstance(fact, CallRecord)]
        assert [(row.arrival.callback, row.reason) for row in rows] == [
            (True, None),
            (False, Reason.EXIT_WITH_KEY),
        ]
        assert begun == [session]
        assert caller.variables is None
        on_disk.set()
    assert caller.variables is not None


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("partner", "told"), [("leg", []), ("", [ev.CallerReturned()]), ("colleague", [ev.CallerReturned()])]
)
async def test_a_socket_that_was_opened_before_the_bridge_ends_no_talk(
    partner: str, told: list[ev.CallHappening], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def standings(_switch: object, uuids: list[str]) -> list[Standing]:
        await trio.lowlevel.checkpoint()
        return [Standing(partner_uuid=partner), Standing(partner_uuid="caller")]

    monkeypatch.setattr("callctl.call.session.standings_of", standings)
    session = talking(Taking())
    heard: list[ev.CallHappening] = []
    monkeypatch.setattr(session, "deliver", heard.append)
    async with trio.open_nursery() as session._nursery:
        session._nursery.start_soon(session.drive, cast("Any", Socket()))
        await trio.testing.wait_all_tasks_blocked()
        assert heard == told
        session._nursery.cancel_scope.cancel()
