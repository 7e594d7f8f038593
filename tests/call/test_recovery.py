"""What is found on a switch after a start, against the rows that had not ended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve, frozen
from trio.testing import MockClock

from callctl.acd.distributor import Distributor
from callctl.call import events as ev
from callctl.call.absentees import Absentees
from callctl.call.desk import Desk
from callctl.call.dispatcher import Dispatcher
from callctl.call.reception import Reception
from callctl.call.recovery import SHOWN_SECONDS, Recovery
from callctl.call.stages import RETURN_SECONDS
from callctl.call.switch import LegState
from callctl.clock import SteadyClock
from callctl.errors import CommandRefused
from callctl.esl import commands
from callctl.esl.connection import PendingReply
from callctl.esl.wire import Event
from callctl.ids import Ids
from callctl.model import (
    HEALED,
    OUTCOME_OF_REASON,
    AgentRecord,
    AgentSettings,
    AgentState,
    AgentStatus,
    Arrival,
    CallEvent,
    CallRecord,
    CallState,
    Fact,
    HungUpBy,
    OfferRecord,
    OfferResult,
    Outcome,
    QueueSettings,
    Reason,
)
from tests.call.presence import Presence
from tests.call.tables import table

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
    core_uuid = "core"
    up = True

    def __init__(
        self,
        *,
        shown: list[str],
        alive: dict[str, dict[str, str]],
        uptime: float = 1e6,
        damaged: Collection[str] = (),
    ) -> None:
        self.link = self
        self._damaged = damaged
        self.hung_up: list[str] = []
        self.transferred: list[str] = []
        self.listeners: dict[str, Callable[[Event], None]] = {}
        self._shown = shown
        self._alive = alive
        self._uptime = uptime
        self.ready = trio.Event()
        self.presence = Presence(self.wait_ready)

    async def api(self, command: str) -> str:
        await trio.lowlevel.checkpoint()
        if command.startswith("show channels"):
            states = {uuid: channel.get("Channel-State", "") for uuid, channel in self._alive.items()}
            return table(
                [{"uuid": uuid, "direction": "", "state": states.get(uuid, "")} for uuid in self._shown]
            )
        if command.startswith("uuid_dump"):
            if (channel := self._alive.get(command.split()[1])) is None:
                raise CommandRefused(command, "-ERR No such channel!")
            return json.dumps(channel)
        if command.startswith("uuid_transfer"):
            self.transferred.append(command)
            return "+OK"
        assert command == "uptime"
        return str(self._uptime)

    def post_api(self, *commands: str) -> list[Answer]:
        return [self._dump(command.split()[1]) for command in commands]

    def _dump(self, uuid: str) -> Answer:
        if uuid not in self._alive:
            return Answer("-ERR No such channel", ok=False)
        text = json.dumps(self._alive[uuid])
        return Answer(text[:-10] if uuid in self._damaged else text)

    def is_own_leg(self, leg: Event) -> bool:
        return leg.variable("callctl_owner", "us") == "us" and leg.variable("cc_side") in ("agent", "member")

    def may_have_rung(self, uuid: str) -> bool:
        return True

    def listened(self) -> frozenset[str]:
        return frozenset(self.listeners)

    def listen(self, uuid: str, listener: Callable[[Event], None]) -> None:
        self.listeners[uuid] = listener

    def unlisten(self, uuid: str, listener: Callable[[Event], None]) -> None:
        self.listeners.pop(uuid, None)

    async def follow(self, uuid: str) -> None:
        await trio.lowlevel.checkpoint()

    async def unfollow(self, uuid: str) -> None:
        await trio.lowlevel.checkpoint()

    async def exists(self, uuid: str) -> bool:
        await trio.lowlevel.checkpoint()
        return uuid in self._alive

    async def leg_state(self, uuid: str) -> LegState:
        await trio.lowlevel.checkpoint()
        return LegState.BRIDGED if uuid in self._alive else LegState.GONE

    def post_variables(self, uuid: str, variables: dict[str, str]) -> PendingReply:
        return PendingReply(commands.api(commands.uuid_setvar_multi(uuid, variables)))

    async def wait_ready(self) -> None:
        await self.ready.wait()

    async def wait_lost(self) -> None:
        await trio.sleep_forever()

    async def hang_up(self, leg_uuid: str, cause: str) -> None:
        self.hung_up.append(leg_uuid)

    def end(self, uuid: str) -> None:
        """A channel hangs up, and nobody is told."""
        del self._alive[uuid]


@frozen
class Found:
    """What a reconciliation left: the rows it wrote, and the calls that live."""

    facts: list[Fact]
    reception: Reception
    distributor: Distributor
    recovery: Recovery

    def rows(self) -> list[CallRecord]:
        return [fact for fact in self.facts if isinstance(fact, CallRecord)]

    def offers(self) -> list[OfferRecord]:
        return [fact for fact in self.facts if isinstance(fact, OfferRecord)]


def an_open_call(call: str = "call-1", uuid: str = "caller") -> CallRecord:
    arrival = Arrival(
        call=call, uuid=uuid, switch="fs1", queue="caller", arrived_at=NOW - 1, joined_at=NOW - 1
    )
    return CallRecord(arrival=arrival, state=CallState.RINGING, offers=1)


AN_OPEN_OFFER = OfferRecord(id="offer-1", call="call-1", agent="1001", leg_uuid="leg", offered_at=NOW - 1)
CALLER = {"Unique-ID": "caller", "Channel-State": "CS_EXECUTE"}
RINGING_LEG = {
    "Unique-ID": "leg",
    "Channel-State": "CS_CONSUME_MEDIA",
    "variable_cc_side": "agent",
    "variable_cc_member_uuid": "caller",
    "variable_cc_agent": "1001",
    "variable_callctl_call": "call-1",
}
TALKING_CALLER = CALLER | {
    "Channel-State": "CS_SOFT_EXECUTE",
    "variable_bridge_to": "leg",
    "variable_last_bridge_to": "leg",
    "Answer-State": "answered",
}
TALKING_LEG = RINGING_LEG | {
    "Channel-State": "CS_EXCHANGE_MEDIA",
    "variable_bridge_to": "caller",
    "variable_last_bridge_to": "caller",
    "Answer-State": "answered",
}


@asynccontextmanager
async def reconciled(
    switch: Channels,
    *known: CallRecord,
    offers: list[OfferRecord] | None = None,
    let_go: list[CallRecord] | None = None,
) -> AsyncIterator[Found]:
    """Reconcile with `switch`, and let what follows happen in the block."""
    facts: list[Fact] = []
    clock, ids = SteadyClock(NOW), Ids(Random(1))
    distributor = Distributor(ids=ids, random=Random(1))
    agent = AgentRecord(
        settings=AgentSettings(name="1001", contact="user/1001"),
        status=AgentStatus.AVAILABLE,
        state=AgentState.WAITING,
    )
    distributor.put_queue(QueueSettings(name="caller"), NOW)
    distributor.put_agent(agent, NOW)
    distributor.take_effects()
    dispatcher = Dispatcher(distributor, clock, facts.append)
    stand_in: Any = switch
    desk = Desk(dispatcher=dispatcher, clock=clock, ids=ids, record=facts.append)
    absentees = Absentees(known, offers or [], let_go or [], clock=clock, record=facts.append)
    reception = Reception(
        desk=desk,
        switches={"fs1": stand_in},
        queues={},
        default_queue="caller",
        absentees=absentees,
        max_calls=0,
    )
    recovery = Recovery(desk=desk, reception=reception, absentees=absentees, default_queue="caller")
    async with trio.open_nursery() as nursery:
        await nursery.start(reception.run)
        nursery.start_soon(dispatcher.run)
        await nursery.start(recovery.run)
        reception.resume_callbacks()
        await trio.testing.wait_all_tasks_blocked()
        await recovery.reconcile(stand_in)
        switch.ready.set()
        yield Found(facts, reception, distributor, recovery)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("shown", [["caller"], []], ids=["in the table", "not in the table yet"])
async def test_a_caller_who_is_on_the_line_keeps_the_place_before_the_dialplan_brings_it(
    shown: list[str],
) -> None:
    async with reconciled(Channels(shown=shown, alive={"caller": CALLER}), an_open_call()) as found:
        [member] = found.distributor.members(NOW)
        assert (member.call, member.position) == ("call-1", 1)
        await trio.testing.wait_all_tasks_blocked()
        row = found.rows()[-1]
        assert (row.state, row.arrival.joined_at, row.arrival.resumes) == (CallState.WAITING, NOW - 1, 1)


async def test_a_row_that_somebody_has_made_up_is_passed_over() -> None:
    switch = Channels(shown=["nobody's uuid", "caller"], alive={"caller": CALLER})
    async with reconciled(switch, an_open_call()) as found:
        assert [member.call for member in found.distributor.members(NOW)] == ["call-1"]


@pytest.mark.fault(27)
async def test_a_damaged_answer_about_a_channel_ends_no_row_and_keeps_no_other_from_being_settled() -> None:
    switch = Channels(
        shown=["caller", "another", "leg"],
        alive={"caller": CALLER, "another": {**CALLER, "Unique-ID": "another"}, "leg": RINGING_LEG},
        damaged=["another"],
    )
    async with reconciled(switch, an_open_call(), an_open_call("call-2", "another")) as found:
        assert switch.hung_up == ["leg"]
        assert {member.call for member in found.distributor.members(NOW)} == {"call-1", "call-2"}
        assert [row for row in found.rows() if row.state is CallState.ENDED] == []


async def test_whoever_called_meanwhile_stands_behind_those_who_are_on_their_way_back() -> None:
    switch = Channels(shown=["caller"], alive={"caller": CALLER})
    async with reconciled(switch, an_open_call()) as found:
        later = evolve(an_open_call("call-2", "another").arrival, arrived_at=NOW, joined_at=NOW)
        assert found.distributor.join(later, NOW).position == 2


def an_ended_visit(call: str, reason: Reason, joined_at: float) -> CallRecord:
    return evolve(
        an_open_call(call),
        arrival=evolve(an_open_call(call).arrival, joined_at=joined_at),
        state=CallState.ENDED,
        reason=reason,
        outcome=OUTCOME_OF_REASON[reason],
        ended_at=NOW,
    )


@pytest.mark.parametrize(
    ("told", "joined_at", "goes_on", "resumes"),
    [
        ("call-1", NOW - 9, "call-2", 1),  # of the queue before
        ("call-2", NOW - 5, "call-2", 1),
        ("call-3", NOW - 3, "call-3", 1),  # of a later visit, which the store has missed
        ("", NOW, "new", 0),  # a call of its own
    ],
)
async def test_the_last_visit_goes_on_of_a_caller_who_was_not_told_that_it_was_over(
    told: str, joined_at: float, goes_on: str, resumes: int
) -> None:
    over = an_ended_visit("call-2", Reason.TIMEOUT, NOW - 5)
    variables = {"variable_callctl_call": told, "variable_cc_queue_joined_epoch": f"{joined_at}"}
    data = Event("", {"Unique-ID": "caller", **variables})
    socket: Any = SimpleNamespace(accepted_at=trio.current_time(), uuid="caller", data=data)
    switch: Any = Channels(shown=[], alive={})
    async with reconciled(switch, let_go=[over]) as found:
        arrival = found.reception._arrival(socket, switch)
        assert (arrival.call if told else "new", arrival.resumes) == (goes_on, resumes)
        assert arrival.joined_at == pytest.approx(joined_at if goes_on != "call-2" else NOW - 5, abs=1)
        row = found.reception._session(arrival, switch).record
        assert (row.state, row.reason, row.ended_at) == (CallState.WAITING, None, None)


async def test_the_row_of_a_caller_who_hung_up_meanwhile_is_closed() -> None:
    async with reconciled(Channels(shown=["caller"], alive={}), an_open_call()) as found:
        [row] = found.rows()
        assert (row.state, row.reason, row.outcome) == (CallState.ENDED, Reason.UNSEEN, Outcome.FAILED)


# FreeSWITCH tells its uptime in whole seconds, so one who came 1.9 s ago may have come after a start 1 s ago.
@pytest.mark.parametrize(
    ("age_seconds", "reason"),
    [(2.1, Reason.SWITCH_LOST), (1.9, Reason.UNSEEN)],
    ids=["before", "after"],
)
async def test_a_switch_that_was_restarted_has_lost_those_who_had_come_before(
    age_seconds: float, reason: Reason
) -> None:
    record = an_open_call()
    record = evolve(record, arrival=evolve(record.arrival, arrived_at=NOW - age_seconds))
    async with reconciled(Channels(shown=[], alive={}, uptime=1), record) as found:
        [row] = found.rows()
        assert row.reason is reason


@pytest.mark.fault(23)
@pytest.mark.parametrize(
    ("known", "reason", "outcome"),
    [
        ({"state": CallState.RINGING}, "UNSEEN", "failed"),
        ({"state": CallState.BRIDGING, "answered_at": NOW - 0.5}, "UNSEEN", "failed"),
        (
            {"state": CallState.TALKING, "bridged_at": NOW - 0.4, "reason": Reason.BRIDGED},
            "BRIDGED",
            "handled",
        ),
    ],
    ids=["it rang", "a bridge was ordered", "a bridge was seen"],
)
async def test_of_a_call_that_ended_while_nobody_looked_only_what_was_seen_is_said(
    known: dict[str, Any], reason: str, outcome: str
) -> None:
    record = evolve(an_open_call(), agent="1001", **known)
    async with reconciled(Channels(shown=[], alive={}), record) as found:
        [row] = found.rows()
        assert (row.reason, row.outcome) == (reason, outcome)
        assert (row.agent, row.bridged_at) == ("1001", known.get("bridged_at"))


async def test_a_call_that_was_just_being_bridged_and_whose_agent_waits_was_none(
    autojump_clock: MockClock,
) -> None:
    record = evolve(
        an_open_call(), state=CallState.BRIDGING, agent="1001", agent_uuid="leg", answered_at=NOW - 0.5
    )
    leg = RINGING_LEG | {"Answer-State": "answered"}
    async with reconciled(Channels(shown=[], alive={"leg": leg}), record) as found:
        row = found.rows()[-1]
        assert (row.reason, row.agent, row.bridged_at) == (Reason.UNSEEN, "", None)


@pytest.mark.parametrize("shown", [["leg"], []], ids=["in the table", "not in the table yet"])
async def test_a_phone_that_rings_for_nobody_is_silenced_and_its_offer_is_closed(shown: list[str]) -> None:
    switch = Channels(shown=shown, alive={"caller": CALLER, "leg": RINGING_LEG})
    async with reconciled(switch, an_open_call(), offers=[AN_OPEN_OFFER]) as found:
        assert switch.hung_up == ["leg"]
        [row] = found.offers()
        assert (row.id, row.result) == ("offer-1", OfferResult.UNKNOWN)
        assert row.ended_at == pytest.approx(NOW, abs=1)
        noted = [fact.event for fact in found.facts if isinstance(fact, CallEvent)]
        assert noted.count(HEALED) == 1


async def test_a_caller_who_is_called_back_for_nobody_is_silenced() -> None:
    member = RINGING_LEG | {"variable_cc_side": "member", "Unique-ID": "back", "Answer-State": "answered"}
    switch = Channels(shown=["back"], alive={"back": member})
    async with reconciled(switch):
        assert switch.hung_up == ["back"]


async def test_the_talk_of_a_caller_who_was_called_back_is_followed_in_the_row_of_the_callback() -> None:
    """callctl died before the row had the caller's new channel; the callback waits again at first."""
    asks = evolve(an_open_call(), arrival=evolve(an_open_call().arrival, uuid="", callback=True))
    member = TALKING_CALLER | {"variable_cc_side": "member"}
    leg = TALKING_LEG | {"variable_cc_member_uuid": ""}
    switch: Any = Channels(shown=[], alive={})
    async with reconciled(switch, asks, offers=[AN_OPEN_OFFER]) as found:
        await trio.testing.wait_all_tasks_blocked()
        assert not found.reception.sessions["call-1"].record.bridged_at
        switch._shown += ["caller", "leg"]
        switch._alive.update(caller=member, leg=leg)
        await found.recovery.reconcile(switch)
        await trio.testing.wait_all_tasks_blocked()
        assert switch.hung_up == []
        row = found.rows()[-1]
        assert (row.arrival.uuid, row.arrival.callback) == ("caller", True)
        assert (row.state, row.agent) == (CallState.TALKING, "1001")
        assert all(offer.ended_at is not None for offer in {o.id: o for o in found.offers()}.values())


@pytest.mark.parametrize("talks", [True, False])
async def test_a_callback_whose_time_is_over_at_a_restart_ends_only_if_its_caller_does_not_talk(
    talks: bool,
) -> None:
    expired = NOW - 2 * QueueSettings(name="caller").callback_expiry
    asked = evolve(an_open_call().arrival, uuid="", callback=True, original_uuid="first", joined_at=expired)
    member = TALKING_CALLER | {"variable_cc_side": "member"}
    leg = TALKING_LEG | {"variable_cc_member_uuid": ""}
    alive = {"caller": member, "leg": leg} if talks else {}
    async with reconciled(
        Channels(shown=list(alive), alive=alive), evolve(an_open_call(), arrival=asked)
    ) as found:
        await trio.testing.wait_all_tasks_blocked()
        row = found.rows()[-1]
        assert (row.arrival.callback, row.arrival.original_uuid) == (True, "first")
        assert (row.state, row.reason) == (
            (CallState.TALKING, Reason.BRIDGED) if talks else (CallState.ENDED, Reason.TIMEOUT)
        )
        assert list(found.reception.sessions) == (["call-1"] if talks else [])


async def test_a_caller_who_hears_nothing_but_ringing_is_on_the_way_back() -> None:
    caller = CALLER | {"variable_current_application": "ring_ready"}
    async with reconciled(Channels(shown=["caller"], alive={"caller": caller}), an_open_call()) as found:
        assert list(found.reception.sessions) == ["call-1"]


async def test_a_leg_that_another_callctl_rings_is_none_of_our_business() -> None:
    theirs = RINGING_LEG | {"variable_callctl_owner": "them"}
    switch = Channels(shown=["leg"], alive={"leg": theirs})
    async with reconciled(switch) as found:
        assert found.facts == []
        assert switch.hung_up == []


@pytest.mark.parametrize("state", ["CS_EXCHANGE_MEDIA", "CS_SOFT_EXECUTE"])
async def test_a_talk_is_followed_whichever_of_the_two_had_media_first(state: str) -> None:
    leg = TALKING_LEG | {"Channel-State": state}
    switch = Channels(shown=["caller", "leg"], alive={"caller": TALKING_CALLER, "leg": leg})
    async with reconciled(switch, an_open_call(), offers=[AN_OPEN_OFFER]) as found:
        assert switch.hung_up == []
        assert list(found.reception.sessions) == ["call-1"]
        [offer] = found.offers()
        assert offer.result is OfferResult.ANSWERED
        await trio.testing.wait_all_tasks_blocked()
        assert found.rows()[-1].reason is Reason.BRIDGED


async def test_a_talk_of_a_caller_who_was_taken_for_waiting_is_followed_in_the_same_row() -> None:
    """The bridge was ordered in the instant of a kill, and the table did not show the leg at first."""
    switch: Any = Channels(shown=["caller"], alive={"caller": CALLER})
    async with reconciled(switch, an_open_call()) as found:
        await trio.testing.wait_all_tasks_blocked()
        waited = found.reception.sessions["call-1"]
        switch._shown.append("leg")
        switch._alive.update(caller=TALKING_CALLER, leg=TALKING_LEG)
        await found.recovery.reconcile(switch)
        await trio.testing.wait_all_tasks_blocked()
        [session] = found.reception.sessions.values()
        assert session is not waited
        waited.deliver(ev.CallerHungUp("", HungUpBy.CALLER))
        await trio.testing.wait_all_tasks_blocked()
        row = found.rows()[-1]
        assert (row.state, row.reason, row.agent) == (CallState.TALKING, Reason.BRIDGED, "1001")
        assert (row.offers, row.arrival.resumes) == (1, 1)
        [agent] = found.distributor.agents(NOW)
        assert agent.state is AgentState.IN_A_QUEUE_CALL


async def test_a_talk_began_when_the_switch_says_however_long_its_other_answers_take(
    autojump_clock: MockClock,
) -> None:
    class SlowAnswer(Answer):
        async def wait(self) -> Answer:
            await trio.sleep(5)
            return self

    class Slow(Channels):
        def post_api(self, *commands: str) -> list[Answer]:
            return [SlowAnswer(answer.text, answer.ok) for answer in super().post_api(*commands)]

    leg = TALKING_LEG | {
        "Caller-Channel-Bridged-Time": "1000000000000000",
        "Event-Date-Timestamp": "1000000040000000",
    }
    alive = {"leg": leg, "caller": TALKING_CALLER, "another": CALLER | {"Unique-ID": "another"}}
    async with reconciled(Slow(shown=list(alive), alive=alive), an_open_call()) as found:
        await trio.testing.wait_all_tasks_blocked()
        # The leg's is the first answer, after five seconds; the talk had lasted for forty then.
        assert found.rows()[-1].bridged_at == pytest.approx(NOW + 5 - 40, abs=0.01)


async def test_a_talk_that_ends_while_the_switch_is_asked_is_not_followed_anew() -> None:
    class Parting(Channels):
        def post_api(self, *commands: str) -> list[Answer]:
            self.listeners.pop("leg", None)
            return super().post_api(*commands)

    switch = Parting(shown=["caller", "leg"], alive={"caller": TALKING_CALLER, "leg": TALKING_LEG})
    switch.listen("leg", lambda event: None)
    async with reconciled(switch) as found:
        assert found.facts == []
        assert dict(found.reception.sessions) == {}


async def test_a_talk_that_ended_before_anybody_listened_is_ended() -> None:
    switch = Channels(shown=["caller", "leg"], alive={"caller": TALKING_CALLER, "leg": TALKING_LEG})
    async with reconciled(switch, an_open_call()) as found:
        switch._alive.clear()
        await trio.testing.wait_all_tasks_blocked()
        assert found.rows()[-1].state is CallState.ENDED


async def test_a_caller_who_was_let_go_just_before_has_the_reason_that_the_channel_says() -> None:
    caller = CALLER | {"variable_callctl_reason": "TIMEOUT"}
    async with reconciled(Channels(shown=["caller"], alive={"caller": caller}), an_open_call()) as found:
        [row] = found.rows()
        assert (row.state, row.reason) == (CallState.ENDED, Reason.TIMEOUT)


async def test_a_talk_of_which_no_row_tells_is_told_by_the_channel_of_a_caller_sent_elsewhere() -> None:
    caller = CALLER | {
        "variable_callctl_reason": "BRIDGED",
        "variable_cc_agent": "1001",
        "variable_cc_agent_uuid": "leg",
        "variable_cc_queue_answered_epoch": f"{NOW - 40:.3f}",
    }
    never_rung = evolve(an_open_call(), state=CallState.WAITING, offers=0)
    async with reconciled(Channels(shown=["caller"], alive={"caller": caller}), never_rung) as found:
        [row] = found.rows()
        assert (row.reason, row.agent, row.agent_uuid) == (Reason.BRIDGED, "1001", "leg")
        assert row.offers == 1
        assert (row.bridged_at, row.state) == (NOW - 40, CallState.ENDED)


async def test_a_talk_that_was_over_keeps_its_reason() -> None:
    record = evolve(an_open_call(), reason=Reason.BRIDGED)
    async with reconciled(Channels(shown=[], alive={}), record) as found:
        [row] = found.rows()
        assert row.reason is Reason.BRIDGED


async def test_a_caller_who_hangs_up_before_coming_back_has_a_row_that_says_so() -> None:
    switch = Channels(shown=["caller"], alive={"caller": CALLER})
    async with reconciled(switch, an_open_call()) as found:
        await trio.testing.wait_all_tasks_blocked()
        hangup = {"Unique-ID": "caller", "Hangup-Cause": "NORMAL_CLEARING"}
        switch.listeners["caller"](Event("CHANNEL_HANGUP_COMPLETE", hangup))
        await trio.testing.wait_all_tasks_blocked()
        row = found.rows()[-1]
        assert (row.reason, row.hung_up_by) == (Reason.CALLER_HANGUP, HungUpBy.CALLER)
        assert row.hangup_cause == "NORMAL_CLEARING"


async def test_a_caller_whom_the_dialplan_does_not_bring_back_is_fetched(autojump_clock: MockClock) -> None:
    caller = CALLER | {
        "variable_current_application": "playback",
        "Caller-Destination-Number": "callctl-wait",
        "Caller-Dialplan": "XML",
        "Caller-Context": "public",
    }
    switch = Channels(shown=["caller"], alive={"caller": caller})
    async with reconciled(switch, an_open_call()) as found:
        await trio.sleep(RETURN_SECONDS - 1)
        assert switch.transferred == []
        await trio.sleep(2)
        assert switch.transferred == ["uuid_transfer caller callctl-wait XML public"]
        assert found.rows()[-1].reason is None


async def test_a_caller_whom_somebody_sent_elsewhere_is_left_alone(autojump_clock: MockClock) -> None:
    caller = CALLER | {"variable_current_application": "voicemail"}
    switch = Channels(shown=["caller"], alive={"caller": caller})
    async with reconciled(switch, an_open_call()) as found:
        await trio.sleep(RETURN_SECONDS + 1)
        assert switch.transferred == []
        [row] = found.rows()
        assert row.reason is Reason.TRANSFERRED


@pytest.mark.parametrize("shown", [["caller", "leg"], []], ids=["in the table", "not in the table yet"])
async def test_a_leg_that_is_just_being_bridged_is_given_the_time_for_it(
    autojump_clock: MockClock, shown: list[str]
) -> None:
    """Where no table and no row knows of the leg, the caller's channel does, from before the order."""
    told = {"variable_cc_agent_uuid": "leg"}
    alive = {"caller": CALLER | told, "leg": RINGING_LEG | {"Answer-State": "answered"}}
    switch = Channels(shown=shown, alive=alive)
    async with trio.open_nursery() as nursery:

        async def bridge() -> None:
            await trio.sleep(0.05)
            alive.update(caller=TALKING_CALLER | told, leg=TALKING_LEG)

        nursery.start_soon(bridge)
        async with reconciled(switch, an_open_call()) as found:
            assert switch.hung_up == []
            assert list(found.reception.sessions) == ["call-1"]
            await trio.testing.wait_all_tasks_blocked()
            assert found.rows()[-1].state is CallState.TALKING


async def test_a_leg_that_only_the_second_look_finds_is_hung_up_at_once(autojump_clock: MockClock) -> None:
    switch: Any = Channels(shown=[], alive={})
    async with reconciled(switch) as found, trio.open_nursery() as nursery:
        switch._shown.append("leg")
        switch._alive["leg"] = RINGING_LEG | {"Answer-State": "answered"}
        nursery.start_soon(found.recovery.watch, switch)
        await trio.sleep(SHOWN_SECONDS + 0.01)
        assert switch.hung_up == ["leg"]
        nursery.cancel_scope.cancel()
