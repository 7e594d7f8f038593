"""What is found on a switch after a start, against the rows that had not ended."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from attrs import frozen

from callctl.acd.distributor import Distributor
from callctl.call.dispatcher import Dispatcher
from callctl.call.reception import Reception
from callctl.call.recovery import Recovery
from callctl.call.session import Desk
from callctl.clock import SteadyClock
from callctl.esl.wire import Event
from callctl.model import (
    HEALED,
    Arrival,
    CallEvent,
    CallRecord,
    CallState,
    Fact,
    Ids,
    OfferRecord,
    OfferResult,
    Reason,
)

NOW = 1_800_000_000.0


@frozen
class Answer:
    """The reply to one order, as far as a reconciliation looks at it."""

    text: str
    ok: bool = True

    async def wait(self) -> Answer:
        return self


class Channels:
    """A switch whose channels live whether its table shows them or not; it notes whom it hangs up."""

    name = "fs1"

    def __init__(self, *, shown: list[str], alive: dict[str, dict[str, str]], uptime: float = 1e6) -> None:
        self.link = self
        self.hung_up: list[str] = []
        self._shown = shown
        self._alive = alive
        self._uptime = uptime

    async def api(self, command: str) -> str:
        if command.startswith("show channels"):
            return json.dumps({"rows": [{"uuid": uuid} for uuid in self._shown]})
        assert command == "uptime"
        return str(self._uptime)

    def post_api(self, *commands: str) -> list[Answer]:
        dumps = [self._alive.get(command.split()[1]) for command in commands]
        return [
            Answer("-ERR No such channel", ok=False) if d is None else Answer(json.dumps(d)) for d in dumps
        ]

    def listens(self, uuid: str) -> bool:
        return False

    def is_own_leg(self, leg: Event) -> bool:
        return leg.variable("callctl_owner", "us") == "us" and leg.variable("cc_side") == "agent"

    async def hang_up(self, leg_uuid: str, cause: str) -> None:
        self.hung_up.append(leg_uuid)


def an_open_call(call: str = "call-1", uuid: str = "caller") -> CallRecord:
    arrival = Arrival(
        call=call, uuid=uuid, switch="fs1", queue="caller", arrived_at=NOW - 1, joined_at=NOW - 1
    )
    return CallRecord(arrival=arrival, state=CallState.RINGING, offers=1)


AN_OPEN_OFFER = OfferRecord(id="offer-1", call="call-1", agent="1001", leg_uuid="leg", offered_at=NOW - 1)
CALLER = {"Unique-ID": "caller", "Channel-State": "CS_EXECUTE"}
RINGING_LEG = {"Unique-ID": "leg", "Channel-State": "CS_CONSUME_MEDIA", "variable_cc_side": "agent"}


async def reconcile(
    switch: Channels, *known: CallRecord, offers: list[OfferRecord] | None = None
) -> list[Fact]:
    facts: list[Fact] = []
    clock, ids = SteadyClock(NOW), Ids(Random(1))
    dispatcher = Dispatcher(Distributor(ids=ids, random=Random(1)), clock, facts.append)
    desk = Desk(dispatcher=dispatcher, clock=clock, ids=ids, record=facts.append)
    calls = {record.arrival.call: record for record in known}
    stand_in: Any = switch
    reception = Reception(
        desk=desk, switches={}, queues={}, default_queue="caller", known_calls=calls, max_calls=0
    )
    recovery = Recovery(
        desk=desk, reception=reception, known_calls=calls, known_offers=offers or [], default_queue="caller"
    )
    await recovery.reconcile(stand_in)
    return facts


@pytest.mark.parametrize("shown", [["caller"], []], ids=["in the table", "not in the table yet"])
async def test_the_row_of_a_caller_who_is_on_the_line_stays_open(shown: list[str]) -> None:
    facts = await reconcile(Channels(shown=shown, alive={"caller": CALLER}), an_open_call())
    assert facts == []


async def test_the_row_of_a_caller_who_hung_up_meanwhile_is_closed() -> None:
    facts = await reconcile(Channels(shown=["caller"], alive={}), an_open_call())
    [row] = [fact for fact in facts if isinstance(fact, CallRecord)]
    assert (row.state, row.reason) == (CallState.ENDED, Reason.CALLER_HANGUP)


async def test_a_switch_that_was_restarted_has_lost_its_callers() -> None:
    facts = await reconcile(Channels(shown=[], alive={}, uptime=0.5), an_open_call())
    [row] = [fact for fact in facts if isinstance(fact, CallRecord)]
    assert row.reason is Reason.SWITCH_LOST


@pytest.mark.parametrize("shown", [["leg"], []], ids=["in the table", "not in the table yet"])
async def test_a_phone_that_rings_for_nobody_is_silenced_and_its_offer_is_closed(shown: list[str]) -> None:
    switch = Channels(shown=shown, alive={"caller": CALLER, "leg": RINGING_LEG})
    row, healing = await reconcile(switch, an_open_call(), offers=[AN_OPEN_OFFER])
    assert switch.hung_up == ["leg"]
    assert isinstance(healing, CallEvent)
    assert healing.event == HEALED
    assert isinstance(row, OfferRecord)
    assert (row.id, row.result) == ("offer-1", OfferResult.UNKNOWN)
    assert row.ended_at == pytest.approx(NOW, abs=1)


async def test_a_leg_that_another_callctl_rings_is_none_of_our_business() -> None:
    theirs = {**RINGING_LEG, "variable_callctl_owner": "them"}
    switch = Channels(shown=["leg"], alive={"leg": theirs})
    assert await reconcile(switch) == []
    assert switch.hung_up == []
