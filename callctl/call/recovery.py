"""After each connection to a switch: what is really there, before anything is decided on it.

The truth is the switch. Its channels and their variables say which agents' legs live and who talks; the
store's open rows say who was there before. A leg that rings for nobody is hung up, a talk is followed to
its end, and a row whose caller is gone is ended. Callers who wait stand in their places before anybody is
offered, and come back by themselves, as their dialplan keeps knocking; one who does not is fetched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial

import structlog
import trio
from attrs import evolve, frozen

from callctl.call.absentees import Absentees
from callctl.call.channel_query import describe, uptime_seconds
from callctl.call.desk import Desk
from callctl.call.events import CallerHungUp
from callctl.call.reception import Reception
from callctl.call.session import CallSession
from callctl.call.stages import RETURN_SECONDS
from callctl.call.standing import hear_each_other, standing_of
from callctl.call.switch import Switch
from callctl.call.variables import (
    answered_at,
    arrival_from,
    begins_anew,
    bridged_seconds,
    bridged_with,
    entered_at,
    told_at,
    who_hung_up,
)
from callctl.call.visits import VisitBefore
from callctl.call.way_back import STRANDED, Whereabouts, free_if_stranded, whereabouts
from callctl.errors import EslError, UnknownAgent, WaitEnded
from callctl.esl import commands
from callctl.esl.table import rows_of
from callctl.esl.wire import Event
from callctl.model import HEALED, Arrival, CallEvent, CallRecord, CallState, HungUpBy, Reason

SHOWN_SECONDS = 1.2
"""How long after a login the first look follows: `show channels` reads a table that FreeSWITCH writes up to a
second later, so a leg that was ordered just before we died may not have been in it."""

BRIDGE_SECONDS = 0.3
"""How long an answered leg may wait for a bridge that was ordered before we died; 20 to 60 ms are usual."""

WATCH_SECONDS = 30.0
"""How often a switch is compared with what we believe of it: one command, and one for each channel that
surprises us."""

LOT = 500
"""So many calls are looked at before others have their turn: a millisecond."""

log = structlog.get_logger(__name__)


@frozen(kw_only=True)
class _Channel(Event):
    """A channel as the switch told of it, and when: of a busy switch, other answers come seconds later."""

    told_at: float


class Recovery:
    """Brings a switch, the store's open rows and the living sessions to one truth."""

    def __init__(self, *, desk: Desk, reception: Reception, absentees: Absentees, default_queue: str) -> None:
        self._desk = desk
        self._reception = reception
        self._absentees = absentees
        self.default_queue = default_queue
        self._awaited: set[str] = set()
        self._in_use: dict[str, tuple[str, str]] = {}
        """Agents' legs that are in use though the caller is gone: of which switch, and the offer."""
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wait for those who may come back. A cancellation leaves their rows open, for the next start."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def reconcile(self, switch: Switch, *, is_first: bool = True) -> Set[str]:
        """Compare with `switch`, and heal; return the UUIDs of its channels.

        At the first look after a login, bridges that were ordered before it may still be on their way.
        Raises WaitEnded when the connection is lost meanwhile, or an answer cannot be read.
        """
        # A call that ends while we ask leaves a leg to nobody of which the answer still says that it talks.
        heard = switch.listened()
        shown = await self._shown(switch)
        channels = await self._surprising(switch, shown, heard)
        if is_first and any(_may_be_bridged_soon(leg) for leg in self._unheard_legs(switch, channels, heard)):
            await trio.sleep(BRIDGE_SECONDS)
            heard |= switch.listened()
            channels = await self._surprising(switch, await self._shown(switch), heard)
        for leg in self._unheard_legs(switch, channels, heard):
            await self._settle_leg(switch, leg, channels)
        await self._settle_rows(switch, channels)
        await self._check_legs_in_use(switch, shown.keys())
        for some in self._sessions_on(switch):
            await trio.lowlevel.checkpoint()
            for session in some:
                await session.check_leg(shown.keys())
        return shown.keys()

    def _sessions_on(self, switch: Switch) -> Iterator[Sequence[CallSession]]:
        """Return the calls of this switch that live now, in lots, between which others have their turn."""
        sessions = list(self._reception.sessions.values())
        for first in range(0, len(sessions), LOT):
            yield [each for each in sessions[first : first + LOT] if each.arrival.switch == switch.name]

    async def watch(self, switch: Switch) -> None:
        """Compare with `switch` for ever, and heal what no event told of: a fault elsewhere, each time."""
        while True:
            await switch.wait_ready()
            await self._watch_until_lost(switch)

    async def _watch_until_lost(self, switch: Switch) -> None:
        missing_before: set[str] = set()
        pause_seconds = SHOWN_SECONDS
        while True:
            with trio.move_on_after(pause_seconds):
                await switch.wait_lost()
                return
            pause_seconds = WATCH_SECONDS
            try:
                shown = await self.reconcile(switch, is_first=False)
                missing_before = await self._miss_callers(switch, shown, missing_before)
            except EslError as error:
                # An answer that cannot be read must not cost more than this one look.
                log.warning("the watch was cut short", switch=switch.name, why=str(error))

    async def _miss_callers(self, switch: Switch, shown: Set[str], missing_before: set[str]) -> set[str]:
        """End the calls whose caller was gone twice in a row; return those who are gone for the first time.

        Once is not enough: the hangup may be on its way to us.
        """
        missing = set()
        for some in self._sessions_on(switch):
            await trio.lowlevel.checkpoint()
            for session in some:
                arrival = session.record.arrival
                if session.is_over or not arrival.uuid or arrival.uuid in shown:
                    continue
                if await switch.exists(arrival.uuid):
                    continue
                missing.add(arrival.call)
                if arrival.call in missing_before:
                    self._heal(arrival.call, "the caller is gone, and no event said so")
                    session.deliver(CallerHungUp("", None))
        return missing

    def _heal(self, call: str, what: str) -> None:
        log.warning("healed", call=call, what=what)
        self._desk.record(CallEvent(call=call, at=self._desk.clock.now(), event=HEALED, detail=what))

    async def _shown(self, switch: Switch) -> dict[str, str]:
        """Return the direction of each UUID that the switch shows, which it writes up to a second later."""
        rows = rows_of(await switch.link.api(commands.show_channels()), "uuid", "direction", "state")
        shown: dict[str, str] = {}
        stranded: set[str] = set()
        for number, (uuid, direction, state) in enumerate(rows):
            shown[uuid] = direction
            if state == STRANDED:
                stranded.add(uuid)
            if number % LOT == 0:
                await trio.lowlevel.checkpoint()
        await self._free_stranded(switch, stranded)
        return shown

    async def _free_stranded(self, switch: Switch, stranded: Set[str]) -> None:
        """Bring on who was with us once, and is left in CS_RESET by the end of a socket: nobody leads it.

        A socket that was cut together with an older one of the same channel may leave it there.
        """
        for channel in (await self._dumps(switch, stranded)).values():
            if VisitBefore.of(channel).call:
                assert self._nursery is not None, "run() comes before reconcile()"
                self._nursery.start_soon(self._free, switch, channel)

    async def _surprising(
        self, switch: Switch, shown: Mapping[str, str], heard: Set[str]
    ) -> dict[str, _Channel]:
        """Return the channels that live and may be ours without a call: legs, and those that the rows name.

        Everything else that is shown is led by a call already, or is the trunk's.
        """
        legs = [
            uuid
            for uuid, direction in shown.items()
            if direction != "inbound"
            and uuid not in heard
            # A busy trunk has thousands of legs that are none of ours.
            and switch.may_have_rung(uuid)
            and commands.is_uuid(uuid)
        ]
        in_rows = self._absentees.legs_on(switch.name)
        if not legs and not in_rows:
            return {}
        known = heard | {session.record.arrival.uuid for session in self._reception.sessions.values()}
        channels = await self._dumps(switch, [*(uuid for uuid in legs if uuid not in known), *in_rows])
        # A leg that was ordered just before we died may be in no table yet, and its offer in no row.
        named = {caller.variable("cc_agent_uuid") for caller in channels.values()} - {"", *channels, *known}
        return {**channels, **await self._dumps(switch, sorted(named))}

    async def _dumps(self, switch: Switch, uuids: Iterable[str]) -> dict[str, _Channel]:
        """Ask for channels, and return those that live."""
        channels: dict[str, _Channel] = {}

        def take(uuid: str, channel: Event) -> None:
            told_at = self._desk.clock.now()
            channels[uuid] = _Channel(name=channel.name, headers=channel.headers, told_at=told_at)

        await describe(switch.link, uuids, take)
        return channels

    # --- agents' legs ---

    def _unheard_legs(
        self, switch: Switch, channels: Mapping[str, _Channel], heard: Set[str]
    ) -> list[_Channel]:
        """Return our legs that no call listens to, nor did when we began to ask."""
        heard = heard | switch.listened()
        return [leg for leg in channels.values() if switch.is_own_leg(leg) and leg.uuid not in heard]

    async def _settle_leg(self, switch: Switch, leg: _Channel, channels: Mapping[str, _Channel]) -> None:
        call, stands = leg.variable("callctl_call"), standing_of(leg)
        if not bridged_with(leg):
            await self._hang_up_leg(switch, leg, "rang for nobody")
            return
        if leg.variable("cc_side") == "member":
            return  # It is the agent's leg by which the talk of a caller who was called back is found.
        # A caller who was called back has another channel than the one that asked for it, and says so itself.
        member_uuid = leg.variable("cc_member_uuid")
        caller_uuid = member_uuid or bridged_with(leg)
        if caller_uuid not in channels:
            channels = await self._dumps(switch, [caller_uuid])
        caller = channels.get(caller_uuid)
        if caller is not None and not member_uuid and caller.variable("cc_side") != "member":
            caller = None  # a colleague of the agent's
        if caller is not None:
            # It may have been ordered in the instant of a kill, and the caller taken for one who waits.
            await self._reception.give_way(call)
            are_together = hear_each_other(caller_uuid, standing_of(caller), leg.uuid, stands)
            self._adopt(switch, leg, caller, are_together=are_together)
        elif stands.is_parked:
            await self._hang_up_leg(switch, leg, "waited for a caller who is gone")
        else:
            self._follow_leg(switch, leg)

    async def _hang_up_leg(self, switch: Switch, leg: _Channel, why: str) -> None:
        call = leg.variable("callctl_call")
        self._heal(call, f"leg {leg.uuid} {why}, and was hung up")
        self._absentees.learn_of_no_bridge(call, leg.uuid)
        await switch.hang_up(leg.uuid, "ORIGINATOR_CANCEL")

    def _follow_leg(self, switch: Switch, leg: _Channel) -> None:
        """Keep an agent busy who is still on the phone after the talk: with a colleague, in a conference."""
        call, agent, now = leg.variable("callctl_call"), leg.variable("cc_agent"), self._desk.clock.now()
        arrival = evolve(self._arrival(switch, leg, leg, now), uuid=leg.variable("cc_member_uuid"))
        try:
            offer = self._desk.dispatcher.act(
                lambda distributor, at: distributor.adopt_talk(arrival, agent, leg.uuid, now, at)
            )
        except UnknownAgent as unknown:
            log.warning("a leg cannot be followed", call=call, leg=leg.uuid, why=str(unknown))
            return
        log.info("an agent is still on the phone", call=call, agent=agent, leg=leg.uuid)
        self._in_use[leg.uuid] = (switch.name, offer.id)
        switch.listen(leg.uuid, self._hear_leg)

    def _hear_leg(self, event: Event) -> None:
        if event.name == "CHANNEL_HANGUP_COMPLETE":
            self._end_use(event.uuid)

    def _end_use(self, leg_uuid: str) -> None:
        _, offer_id = self._in_use.pop(leg_uuid)
        self._desk.dispatcher.act(lambda distributor, at: distributor.talk_ended(offer_id, at))

    async def _check_legs_in_use(self, switch: Switch, shown: Set[str]) -> None:
        for leg_uuid in [leg for leg, (name, _) in self._in_use.items() if name == switch.name]:
            if leg_uuid not in shown and not await switch.exists(leg_uuid) and leg_uuid in self._in_use:
                switch.unlisten(leg_uuid, self._hear_leg)
                self._end_use(leg_uuid)

    def _adopt(self, switch: Switch, leg: _Channel, caller: Event, *, are_together: bool) -> None:
        now = self._desk.clock.now()
        told = self._arrival(switch, leg, caller, now)
        joined_at = told.joined_at if caller.variable("callctl_call") == told.call else 0.0
        known = self._absentees.find(told.call, caller.uuid, joined_at=joined_at)
        # A caller who was called back has a channel of which the row may not know.
        arrival = evolve(known.arrival if known else told, uuid=caller.uuid)
        bridged_at = leg.told_at - (bridged_seconds(leg) or 0.0)
        if not are_together:
            bridged_at = answered_at(caller) or bridged_at  # That of the leg is the bridge with a colleague.
        try:
            offer = self._desk.dispatcher.act(
                lambda distributor, at: distributor.adopt_talk(
                    arrival, leg.variable("cc_agent"), leg.uuid, bridged_at, at
                )
            )
        except UnknownAgent as unknown:
            log.warning("a talk cannot be followed", call=arrival.call, why=str(unknown))
            return
        log.info("following a talk", call=arrival.call, agent=offer.agent, uuid=arrival.uuid)
        self._reception.adopt(arrival, switch, offer, bridged_at, are_together=are_together)

    def _arrival(self, switch: Switch, leg: Event, caller: Event, now: float) -> Arrival:
        """Read from the channels alone what the store does not know."""
        arrival = arrival_from(
            caller,
            switch=switch.name,
            default_queue=self.default_queue,
            new_call=leg.variable("callctl_call"),
            now=now,
        )
        return evolve(arrival, call=leg.variable("callctl_call"), queue=leg.variable("cc_queue"))

    # --- the rows of those who are not back ---

    async def _settle_rows(self, switch: Switch, channels: Mapping[str, _Channel]) -> None:
        self._absentees.end_offers(switch.name)
        # In whole seconds, so it may have been up for almost one more.
        up_seconds = await uptime_seconds(switch.link) + 1.0
        started_at = self._desk.clock.now() - up_seconds
        for record in self._absentees.on(switch.name):
            caller = channels.get(record.arrival.uuid)
            if caller is not None:
                if self._has_gone_on(switch, record, caller) or self._end_as_the_channel_says(record, caller):
                    continue
                if begins_anew(caller, record.arrival, self.default_queue):
                    at = _entered_at(switch, caller)
                    self._absentees.end(record.arrival.call, Reason.TRANSFERRED, at=at)
                    continue
                place = whereabouts(caller)
                if record.reason is None and place is Whereabouts.ON_THE_WAY:
                    self._reception.keep_place(record, switch, caller)
                elif record.reason is None and place is Whereabouts.ELSEWHERE:
                    self._absentees.end(record.arrival.call, Reason.TRANSFERRED)
                else:
                    self._expect(switch, record)
            elif started_at > record.arrival.arrived_at:
                self._absentees.end(record.arrival.call, Reason.SWITCH_LOST, by=HungUpBy.SWITCH)
            else:
                # The caller may have given up, or have talked and hung up: nobody looked.
                self._absentees.end(record.arrival.call, Reason.UNSEEN)

    async def _free(self, switch: Switch, caller: Event) -> None:
        try:
            if await free_if_stranded(caller, switch):
                self._heal(VisitBefore.of(caller).call, f"channel {caller.uuid} was stranded, and goes on")
        except EslError as error:
            log.info("whether a caller is stranded is asked later", uuid=caller.uuid, why=str(error))

    def _end_as_the_channel_says(self, record: CallRecord, caller: Event) -> bool:
        """End the row of a caller whom we had let go of just before; say whether this is one."""
        call, said = record.arrival.call, caller.variable("callctl_reason")
        if said not in Reason.__members__:
            return False
        bridged_at = answered_at(caller)
        if said == Reason.BRIDGED.value and bridged_at is not None:
            agent, agent_uuid = caller.variable("cc_agent"), caller.variable("cc_agent_uuid")
            self._absentees.learn_of_talk(call, agent=agent, agent_uuid=agent_uuid, bridged_at=bridged_at)
        self._absentees.end(call, Reason(said), target=caller.variable("callctl_target"))
        return True

    def _has_gone_on(self, switch: Switch, record: CallRecord, caller: Event) -> bool:
        """Say whether the channel tells of a later visit, of which the store knows nothing; let it go on.

        No disk took the end of the one visit and the beginning of the other.
        """
        new_call, now = self._desk.ids.uuid(), self._desk.clock.now()
        # What the channel says of the end is of the later visit too.
        visit = Event(caller.name, {**caller.headers, "variable_callctl_reason": ""})
        told = arrival_from(
            visit, switch=switch.name, default_queue=self.default_queue, new_call=new_call, now=now
        )
        before = record.arrival
        if told.call in (new_call, before.call) or told.joined_at <= before.joined_at:
            return False
        was_sent_on = before.queue in told.came_through
        reason = Reason.OVERFLOW if was_sent_on else Reason.TRANSFERRED
        target = f"queue:{told.queue}" if was_sent_on else ""
        self._absentees.end(before.call, reason, target=target, at=told.joined_at)
        is_known = told.call in self._reception.sessions or self._absentees.has(told.call)
        is_waiting = not caller.variable("callctl_reason")
        if is_waiting and not is_known and whereabouts(caller) is Whereabouts.ON_THE_WAY:
            unresumed = evolve(told, resumes=told.resumes - 1)
            found = CallRecord(arrival=unresumed, state=CallState.WAITING)
            self._reception.keep_place(found, switch, caller)
        return True

    def _expect(self, switch: Switch, record: CallRecord) -> None:
        assert self._nursery is not None, "run() comes before reconcile()"
        if record.arrival.call not in self._awaited:
            self._awaited.add(record.arrival.call)
            self._nursery.start_soon(self._await_return, switch, record)

    async def _await_return(self, switch: Switch, record: CallRecord) -> None:
        """Follow a caller who lives, and was sent elsewhere: it may come back, or else the wait has ended so.

        Ends when the row is taken, and when the connection is lost: the next one begins anew.
        """
        call, uuid = record.arrival.call, record.arrival.uuid
        taken = trio.Event()
        self._absentees.when_taken(call, taken.set)
        switch.listen(uuid, partial(self._hear, call))
        try:
            await switch.follow(uuid)
            if not await switch.exists(uuid):
                self._absentees.end(call, Reason.CALLER_HANGUP)
            with trio.move_on_after(RETURN_SECONDS) as patience:
                await _first_of(taken.wait, switch.wait_lost)
            if patience.cancelled_caught:
                self._absentees.end(call, Reason.TRANSFERRED)
        except WaitEnded as ended:
            log.info("not waiting for a caller any more", call=call, why=str(ended))
        self._awaited.discard(call)
        if taken.is_set():
            await switch.unfollow(uuid)

    def _hear(self, call: str, event: Event) -> None:
        if event.name == "CHANNEL_HANGUP_COMPLETE":
            by, cause = who_hung_up(event), event.get("Hangup-Cause")
            self._absentees.end(call, Reason.CALLER_HANGUP, by=by, cause=cause)


def _entered_at(switch: Switch, caller: _Channel) -> float | None:
    """Return when the next visit of this caller began, by our clock; None where the channel does not say."""
    entered, said_at = entered_at(caller), told_at(caller)
    if said_at is not None:
        switch.clock.heard(said_at, caller.told_at)
    return None if entered is None else switch.clock.ours(entered)


def _may_be_bridged_soon(leg: Event) -> bool:
    return leg.get("Answer-State") == "answered" and not bridged_with(leg)


async def _first_of(*waits: Callable[[], Awaitable[None]]) -> None:
    """Return as soon as one of these has."""
    async with trio.open_nursery() as nursery:

        async def wait(for_it: Callable[[], Awaitable[None]]) -> None:
            await for_it()
            nursery.cancel_scope.cancel()

        for each in waits:
            nursery.start_soon(wait, each)
