"""What a person may do to a living call depends on where it stands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from attrs import define, evolve, field

from callctl.call import events as ev
from callctl.call.control import CallControl
from callctl.errors import UnknownCall, WrongMoment
from callctl.model import Arrival, CallRecord, CallState, Reason

ARRIVAL = Arrival(call="c1", uuid="u1", switch="fs1", queue="caller", arrived_at=0.0, joined_at=0.0)


@define
class ToldSession:
    """A session that remembers what it was told."""

    record: CallRecord
    is_over: bool = False
    told: list[ev.CallHappening] = field(factory=list)

    @property
    def arrival(self) -> Arrival:
        return self.record.arrival

    def deliver(self, event: ev.CallHappening) -> None:
        self.told.append(event)


@define
class ToldLink:
    """A link that remembers its orders."""

    orders: list[str] = field(factory=list)

    async def api(self, text: str) -> str:
        await trio.lowlevel.checkpoint()
        self.orders.append(text)
        return "+OK"


def control_of(*sessions: ToldSession) -> tuple[CallControl, ToldLink]:
    link = ToldLink()
    reception: Any = SimpleNamespace(sessions={each.arrival.call: each for each in sessions})
    switches: Any = {"fs1": SimpleNamespace(link=link)}
    return CallControl(reception, switches), link


def session(state: CallState = CallState.WAITING, **arrival: Any) -> ToldSession:
    return ToldSession(CallRecord(arrival=evolve(ARRIVAL, **arrival), state=state))


def test_a_call_is_found_by_its_key_and_by_its_channel() -> None:
    calls = session(), session(call="c2", uuid="u2")
    control, _ = control_of(*calls)
    assert control.find("c2") is control.find("u2") is calls[1].record
    assert control.live() == [calls[0].record, calls[1].record]


def test_a_channel_on_its_second_visit_means_the_living_one() -> None:
    over = session(CallState.ENDED)
    over.is_over = True
    alive = session(call="c2")
    control, _ = control_of(over, alive)
    assert control.find("u1") is alive.record
    assert control.live() == [alive.record]
    with pytest.raises(UnknownCall, match="no call 'c1' is waiting or talking"):
        control.find("c1")


@pytest.mark.parametrize("state", [CallState.WAITING, CallState.RINGING])
def test_a_wait_can_be_ended(state: CallState) -> None:
    call = session(state)
    control_of(call)[0].withdraw("u1")
    assert call.told == [ev.WaitOver(Reason.WITHDRAWN)]


@pytest.mark.parametrize("state", [CallState.BRIDGING, CallState.TALKING])
def test_there_is_no_wait_to_end_once_an_agent_has_answered(state: CallState) -> None:
    call = session(state)
    with pytest.raises(WrongMoment, match="waits no more"):
        control_of(call)[0].withdraw("u1")
    assert call.told == []


@pytest.mark.parametrize("state", [s for s in CallState if s is not CallState.ENDED])
def test_a_caller_can_be_hung_up_at_any_time(state: CallState) -> None:
    call = session(state)
    control_of(call)[0].hang_up("c1", "CALL_REJECTED")
    assert call.told == [ev.HangupOrdered("CALL_REJECTED")]


@pytest.mark.parametrize("state", [CallState.WAITING, CallState.RINGING, CallState.TALKING])
async def test_a_caller_is_transferred_on_its_own_switch(state: CallState) -> None:
    control, link = control_of(session(state))
    await control.transfer("c1", "2000", "XML", "public")
    assert link.orders == ["uuid_transfer u1 2000 XML public"]


async def test_a_call_that_is_just_being_bridged_is_not_pulled_apart() -> None:
    control, link = control_of(session(CallState.BRIDGING))
    with pytest.raises(WrongMoment, match="try again"):
        await control.transfer("c1", "2000", "XML", "public")
    assert link.orders == []


async def test_who_is_yet_to_be_called_back_can_only_be_withdrawn() -> None:
    call = session(uuid="", callback=True)
    control, link = control_of(call)
    with pytest.raises(WrongMoment, match="yet to be called back"):
        control.hang_up("c1", "NORMAL_CLEARING")
    with pytest.raises(WrongMoment, match="yet to be called back"):
        await control.transfer("c1", "2000", "XML", "public")
    assert (call.told, link.orders) == ([], [])
    control.withdraw("c1")
    assert call.told == [ev.WaitOver(Reason.WITHDRAWN)]
