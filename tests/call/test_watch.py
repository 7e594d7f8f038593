"""What no event told of is found by looking, and put right."""

from __future__ import annotations

from collections.abc import Set
from random import Random
from types import SimpleNamespace
from typing import Any

import trio
from attrs import evolve

from callctl.acd.distributor import Distributor
from callctl.call.absentees import Absentees
from callctl.call.desk import Desk
from callctl.call.dispatcher import Dispatcher
from callctl.call.events import CallerHungUp
from callctl.call.recovery import SHOWN_SECONDS, WATCH_SECONDS, Recovery
from callctl.clock import SteadyClock
from callctl.errors import CommandRefused
from callctl.esl import commands
from callctl.ids import Ids
from callctl.model import HEALED, Arrival, CallEvent, CallRecord, CallState, Fact
from tests.call.tables import table

ARRIVAL = Arrival(call="c", uuid="caller", switch="fs1", queue="q", arrived_at=0, joined_at=0)


class Session:
    """A call that believes its caller to be there."""

    is_over = False
    arrival = ARRIVAL
    record = CallRecord(arrival=ARRIVAL, state=CallState.WAITING)

    def __init__(self) -> None:
        self.told: list[object] = []

    async def check_leg(self, shown: Set[str]) -> None:
        """This call has no agent's leg that could be gone."""

    def deliver(self, event: object) -> None:
        self.told.append(event)


class EmptySwitch:
    """A switch without a channel, which refuses what it is asked while `refuses` is set."""

    name = "fs1"
    refuses = False

    def __init__(self) -> None:
        self.link = self

    async def api(self, command: str) -> str:
        if self.refuses:
            raise CommandRefused(command, "-ERR")
        return table([]) if command.startswith("show") else "1000000"

    def post_api(self, *commands: str) -> list[Any]:
        assert not commands
        return []

    def may_have_rung(self, uuid: str) -> bool:
        return True

    def listened(self) -> frozenset[str]:
        return frozenset()

    async def exists(self, uuid: str) -> bool:
        return False

    async def wait_ready(self) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_lost(self) -> None:
        await trio.sleep_forever()


async def watched(switch: EmptySwitch, session: Session, looks: int) -> list[Fact]:
    facts: list[Fact] = []
    clock, ids = SteadyClock(1e9), Ids(Random(1))
    dispatcher = Dispatcher(Distributor(ids=ids, random=Random(1)), clock, facts.append)
    desk = Desk(dispatcher=dispatcher, clock=clock, ids=ids, record=facts.append)
    reception: Any = SimpleNamespace(sessions={"c": session})
    absentees = Absentees([], [], clock=clock, record=facts.append)
    recovery = Recovery(desk=desk, reception=reception, absentees=absentees, default_queue="q")
    stand_in: Any = switch
    with trio.move_on_after(SHOWN_SECONDS + WATCH_SECONDS * (looks - 1) + 1):
        await recovery.watch(stand_in)
    return facts


async def test_a_caller_who_is_missing_once_may_be_on_the_way_out(autojump_clock: object) -> None:
    session = Session()
    assert await watched(EmptySwitch(), session, looks=1) == []
    assert session.told == []


async def test_a_caller_who_is_missing_twice_is_gone_and_the_healing_is_told(autojump_clock: object) -> None:
    session = Session()
    [healing] = await watched(EmptySwitch(), session, looks=2)
    assert session.told == [CallerHungUp("", None)]
    assert isinstance(healing, CallEvent)
    assert (healing.call, healing.event) == ("c", HEALED)


async def test_a_caller_of_another_switch_is_not_missed(autojump_clock: object) -> None:
    session = Session()
    session.arrival = evolve(ARRIVAL, switch="fs2")
    assert await watched(EmptySwitch(), session, looks=3) == []
    assert session.told == []


async def test_a_switch_that_refuses_to_answer_ends_no_watch(autojump_clock: object) -> None:
    session, switch = Session(), EmptySwitch()
    switch.refuses = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched, switch, session, 5)
        await trio.sleep(WATCH_SECONDS * 2.5)
        switch.refuses = False
    assert len(session.told) >= 1


class BusySwitch(EmptySwitch):
    """A switch that shows our caller, the caller's agent, and a call of somebody else's."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def api(self, command: str) -> str:
        self.asked.append(command)
        rows = [("caller", "inbound"), ("leg", "outbound"), ("somebody else's", "inbound")]
        shown = [
            {"uuid": uuid, "direction": direction, "cid_name": "Ada", "state": "CS_EXECUTE"}
            for uuid, direction in rows
        ]
        return table(shown) if command.startswith("show") else "1000000"

    def listened(self) -> frozenset[str]:
        return frozenset({"leg"})

    async def exists(self, uuid: str) -> bool:
        raise AssertionError("who is shown is there")


async def test_a_look_at_a_switch_asks_for_no_channel_that_surprises_nobody(autojump_clock: object) -> None:
    switch = BusySwitch()
    assert await watched(switch, Session(), looks=3) == []
    assert switch.asked == [commands.show_channels(), "uptime"] * 3
