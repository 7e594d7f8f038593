"""The nursery of one call: takes in what happens, lets `flow` decide, and performs what it says.

A session owns its caller from the first `connect` to the last event, over any number of sockets: when
the dialplan brings the caller back, `drive` gets the new one. Ringing an agent and hanging up a leg are
orders that always run to their end, also when the call is over, so that no leg is left behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Set
from functools import partial

import structlog
import trio
from attrs import evolve

from callctl.call import events as ev
from callctl.call.caller import CallerLeg
from callctl.call.desk import Desk
from callctl.call.flow import CallFlow
from callctl.call.legs import hang_up_unless_bridged, settle_bridge, standings_of
from callctl.call.recorder import begin_recording, end_recording, pause_recording
from callctl.call.ringing import AgentUnreached
from callctl.call.stages import Stage
from callctl.call.standing import hear_each_other
from callctl.call.switch import LegState, Switch
from callctl.call.switch_presence import SWITCH_LOST_SECONDS
from callctl.call.timers import NamedTimers
from callctl.call.variables import (
    hold_seconds,
    hung_up_at,
    other_leg,
    past_talk,
    prelude_of,
    who_hung_up_agent,
)
from callctl.call.visits import visit_elsewhere, visit_for_callback
from callctl.errors import CallctlError, QueueClosed, QueueEmpty, QueueFull, UnknownQueue, WaitEnded
from callctl.esl.connection import Reply
from callctl.esl.outbound import CallSocket
from callctl.esl.wire import Event
from callctl.model import (
    Arrival,
    CallRecord,
    CallState,
    Offer,
    OfferRecord,
    Place,
    QueueSettings,
    Reason,
)

log = structlog.get_logger(__name__)

_REFUSALS = {QueueFull: Reason.FULL, QueueEmpty: Reason.EMPTY, UnknownQueue: Reason.ERROR}


class CallSession:
    """One visit of one call to a queue."""

    def __init__(
        self,
        arrival: Arrival,
        queue: QueueSettings,
        *,
        switch: Switch,
        desk: Desk,
        known: CallRecord | None = None,
        asked_queue: str = "",
        begin_away: Callable[[CallSession], object],
    ) -> None:
        """`known` is the row of a caller who was with us before a restart. `asked_queue` is the one that the
        call named, where that is another than `queue`, which serves it.

        `begin_away` begins the next visit of one whom no socket leads; with a socket, `drive` returns for it.
        """
        self._arrival = arrival
        self._queue = queue
        self._switch = switch
        self._desk = desk
        self._asked_queue = asked_queue or queue.name
        self._begin_away = begin_away
        self._flow = CallFlow(arrival, queue, known)
        self._nursery: trio.Nursery | None = None
        self._early: list[ev.CallHappening] = []
        """What happened before the nursery was there."""
        self._caller = self._caller_leg(arrival.uuid)
        self._timers = NamedTimers(desk.dispatcher.timers)
        self._orders_under_way = 0
        self._legs: dict[str, None] = {}
        self._first_effects: list[ev.Effect] | None = None
        self._next_visit: Arrival | None = None
        self._is_over = self._has_left = self._awaits_first_socket = self._is_held = False
        self._failure: Exception | None = None
        self._over = trio.Event()
        self._log = log.bind(call=arrival.call, uuid=arrival.uuid, switch=arrival.switch, queue=arrival.queue)

    def _caller_leg(self, uuid: str) -> CallerLeg:
        queue, own_keys = self._queue, self._arrival.exit_keys
        return CallerLeg(
            uuid,
            switch=self._switch,
            ids=self._desk.ids,
            timers=self._desk.dispatcher.timers,
            deliver=self.deliver,
            own_music=self._arrival.moh_sound,
            wants_keys=bool(own_keys or queue.exit_keys or queue.callback_key),
        )

    @property
    def arrival(self) -> Arrival:
        """Whose call it is."""
        return self._arrival

    @property
    def record(self) -> CallRecord:
        """The call's row as it stands."""
        return self._flow.record

    @property
    def open_offers(self) -> list[OfferRecord]:
        """The rows of those who ring."""
        return self._flow.open_offers

    @property
    def is_over(self) -> bool:
        """Say whether the wait and the talk are over; orders may still be under way."""
        return self._flow.stage in (Stage.PARTING, Stage.ENDED)

    @property
    def is_waiting(self) -> bool:
        """Say whether the caller waits, and no agent has answered."""
        return self._flow.stage in (Stage.WAITING, Stage.RINGING)

    @property
    def has_ended(self) -> bool:
        """Say whether nothing can happen to this call any more; orders may still be under way."""
        return self._flow.stage is Stage.ENDED

    @property
    def owes_the_dialplan(self) -> bool:
        """Say whether the wait is over, and the caller, who was away, is still to be told to go on."""
        return self.is_over and self._caller.is_owed

    @property
    def is_led(self) -> bool:
        """Say whether a socket leads the caller."""
        return self._caller.is_led

    def is_led_by(self, socket: CallSocket) -> bool:
        """Say whether it is this socket."""
        return self._caller.is_led_by(socket)

    def take_next_visit(self) -> Arrival | None:
        """Return the visit that follows this one, once, for whoever begins it; None where there is none."""
        visit, self._next_visit = self._next_visit, None
        return visit

    def deliver(self, event: ev.CallHappening) -> None:
        """Take an event in, after all that happened before it."""
        self._desk.dispatcher.agenda.add(partial(self._take, event))

    def _take(self, event: ev.CallHappening) -> None:
        if self._nursery is None:
            self._early.append(event)
        elif not self._over.is_set():
            try:
                self._perform(self._flow.handle(event, self._desk.clock.now()))
            except Exception as failure:
                # Raised by the session's own task: it ends this call alone.
                self._failure = failure
                self._over.set()

    async def drive(self, socket: CallSocket) -> None:
        """Lead the caller on this socket, until the socket ends or the call is over.

        Whoever accepted the socket closes it after that. A cancellation does the same, and then the
        dialplan goes on with the caller.
        """
        returned = self._flow.has_begun and not self._awaits_first_socket
        self._awaits_first_socket = False
        was_watched = self._caller.take(socket)
        talk = self._flow.taken if self._flow.stage is Stage.TALKING else None
        if returned and talk is not None and self._nursery is not None:
            self._order(self._settle_return, talk.leg_uuid)
        elif returned:
            self.deliver(ev.CallerReturned())
        hearing = self._caller.hear(socket)
        if self._over.is_set():
            hearing.stop()
        try:
            if was_watched:
                await self._switch.unfollow(socket.uuid)
            await hearing.over.wait()
        finally:
            hearing.stop()

    def _on_leg_event(self, event: Event) -> None:
        match event.name:
            case "CHANNEL_HANGUP_COMPLETE":
                hung_up = ev.AgentHungUp(
                    event.uuid,
                    event.get("Hangup-Cause"),
                    hold_seconds(event),
                    past_talk(event),
                    who_hung_up_agent(event),
                    hung_up_at(event),
                )
                self.deliver(hung_up)
            # Where the caller had no media yet, and after a consultation, FreeSWITCH turns the two around.
            case "CHANNEL_BRIDGE" if other_leg(event) == self._caller.uuid:
                self.deliver(ev.Bridged(event.uuid))
            case "CHANNEL_BRIDGE":
                self.deliver(ev.AgentTalksElsewhere(event.uuid))
            case "CHANNEL_UNBRIDGE" if other_leg(event) == self._caller.uuid:
                self.deliver(ev.Unbridged(event.uuid))

    # --- the life of the call ---

    def take_place(self, found: Event) -> None:
        """Join for a caller `found` on the switch who is on the way back to us."""
        self._caller.find(found)
        self.join(is_led=False)

    def follow_on(self, before: CallSession, *, is_away: bool) -> None:
        """Take over from another queue; a caller who `is_away` joins at once, before `run`."""
        if not self._arrival.callback:
            self._caller.stand_like(before._caller)
        self._flow.follow_on(before._flow)
        if is_away:
            self.join(is_led=False)

    def join(self, *, is_led: bool, is_held: bool = False) -> None:
        """Join before `run`, which raises what fails: those who come later join after this caller.

        One who `is_held` is offered to nobody until `release`.
        """
        self._desk.dispatcher.enter(self._arrival.call, self.deliver)
        self._is_held = is_held
        self._awaits_first_socket = is_led
        try:
            self._first_effects = self._join(self._flow.begin if is_led else self._flow.begin_without_socket)
        except Exception as failure:
            self._first_effects, self._failure = [], failure
            self._over.set()

    def release(self) -> None:
        """Have a caller who was held offered from now on."""
        self._is_held = False
        self._desk.dispatcher.act(lambda distributor, now: distributor.release(self._arrival.call, now))

    async def run(self) -> None:
        """Join the queue and live to the end. A cancellation leaves the caller to the dialplan."""
        first = self._first_effects
        await self._live(lambda: self._join(self._flow.begin) if first is None else first)

    async def run_adopted(self, offer: Offer, bridged_at: float, *, are_together: bool) -> None:
        """Follow a talk that was found on the switch, begun at `bridged_at`, to its end.

        Not `are_together`: the agent's leg is in use, though not for the caller at the moment.
        """
        self._listen_to_leg(offer.leg_uuid)
        now = self._desk.clock.now()
        await self._live(lambda: self._flow.adopt(offer, bridged_at, now, are_together=are_together))

    async def _live(self, begin: Callable[[], list[ev.Effect]]) -> None:
        if self._has_left:
            return
        dispatcher = self._desk.dispatcher
        dispatcher.enter(self._arrival.call, self.deliver)
        try:
            async with trio.open_nursery() as self._nursery:
                with dispatcher.agenda:
                    self._perform(begin())
                    for event in self._early:
                        self.deliver(event)
                await self._over.wait()
                if self._failure is not None:
                    raise self._failure
                self._nursery.cancel_scope.cancel()
        finally:
            self._leave()

    def _join(self, begin: Callable[[Place, float], list[ev.Effect]]) -> list[ev.Effect]:
        dispatcher, arrival = self._desk.dispatcher, self._arrival
        try:
            held = self._is_held
            place = dispatcher.act(lambda distributor, now: distributor.join(arrival, now, is_held=held))
        except QueueClosed as closed:
            return self._refuse(Reason.CLOSED, closed, self._queue.closed_target)
        except (QueueFull, QueueEmpty, UnknownQueue) as refusal:
            return self._refuse(_REFUSALS[type(refusal)], refusal)
        self._log.info("call joined", position=place.position, resumes=arrival.resumes)
        self._arrival = evolve(arrival, place_since=place.since)
        begun = begin(place, self._desk.clock.now())
        if self._asked_queue != arrival.queue:
            begun.append(self._flow.note(self._desk.clock.now(), "queue-unknown", self._asked_queue))
        return begun

    def _refuse(self, reason: Reason, why: CallctlError, target: str = "") -> list[ev.Effect]:
        self._log.warning("call refused", reason=reason.value, why=str(why))
        return self._flow.refuse(reason, self._desk.clock.now(), target)

    def _leave(self) -> None:
        """Nothing of this call is left anywhere, however it ended."""
        if self._has_left:
            return
        self._has_left = True
        self._over.set()
        self._timers.stop_all()
        self._caller.retire()
        self._desk.dispatcher.act(lambda distributor, now: distributor.leave(self._arrival.call, now))
        self._desk.dispatcher.forget(self._arrival.call)
        for leg_uuid in self._legs:
            self._switch.unlisten(leg_uuid, self._on_leg_event)

    def free_agent(self) -> None:
        """Tell the distributor that nobody follows this talk any more: the session has failed."""
        if (talk := self._flow.taken) is not None:
            self._desk.dispatcher.act(lambda distributor, now: distributor.talk_ended(talk.id, now))

    async def let_go_of_agents(self) -> None:
        """Take back what rings for a call that we cannot lead on, and let no other ring.

        A talk goes on, and so does one that is just beginning.
        """
        if self._flow.stage not in (Stage.WAITING, Stage.RINGING, Stage.BRIDGING):
            return
        answered = "" if self._flow.taken is None else self._flow.taken.leg_uuid
        if self._arrival.callback:
            self._over.set()  # That the caller is not reached now ends nothing: the next start calls back.
        ringing = [leg_uuid for leg_uuid in self._legs if leg_uuid != answered]
        self._desk.dispatcher.act(lambda distributor, now: distributor.leave(self._arrival.call, now))
        for leg_uuid in ringing:
            await self._switch.hang_up(leg_uuid, "ORIGINATOR_CANCEL")
        if answered and await hang_up_unless_bridged(self._switch, answered) and self._arrival.callback:
            await self._hang_up_caller("ORIGINATOR_CANCEL")

    async def give_way(self) -> bool:
        """Be over and write nothing more, as another session is to follow the talk of this caller.

        Returns False, and does nothing, where this one follows a talk itself.
        """
        if self._flow.stage not in (Stage.WAITING, Stage.RINGING, Stage.BRIDGING):
            return False
        self._over.set()
        await self.let_go_of_agents()
        self._leave()
        return True

    async def check_leg(self, shown: Set[str]) -> None:
        """Ask for the agent's leg of a talk, as nobody heard what happened meanwhile. Raises WaitEnded.

        What is `shown` lives, or has ended so recently that the next look will not find it.
        """
        talk, leg_uuid = self._flow.taken, self._flow.record.agent_uuid
        if self._flow.stage not in (Stage.TALKING, Stage.PARTING) or talk is None or leg_uuid in shown:
            return
        if await self._switch.leg_state(leg_uuid) is LegState.GONE:
            lost = ev.SwitchLost(self._switch.presence.silent_seconds)
            self.deliver(lost if self._caller.was_lost else ev.AgentHungUp(leg_uuid, "", by=None))

    def _listen_to_leg(self, leg_uuid: str) -> None:
        self._legs[leg_uuid] = None
        self._switch.listen(leg_uuid, self._on_leg_event)

    # --- effects ---

    def _perform(self, effects: list[ev.Effect]) -> None:
        for effect in effects:
            self._perform_one(effect)

    def _perform_one(self, effect: ev.Effect) -> None:
        act, call = self._desk.dispatcher.act, self._arrival.call
        match effect:
            case ev.Write(fact):
                self._desk.record(fact)
            case ev.StartTimer(timer, seconds):
                self._timers.start(timer, seconds, partial(self.deliver, ev.TimerFired(timer)))
            case ev.StopTimer(timer):
                self._timers.stop(timer)
            case ev.PrepareCaller(wait_media):
                self._caller.prepare(wait_media)
            case ev.Greet(sound):
                self._caller.greet(sound)
            case ev.PlayMusic(sound):
                self._caller.play_music(sound)
            case ev.Announce(sound):
                self._order(self._caller.announce, sound)
            case ev.ReportUnplayable(kind, sound):
                self._switch.media.failed(kind, sound, self._arrival.queue)
            case ev.AskPlace():
                place = act(lambda d, now: ev.PlaceTold(d.position(call, now), d.announced_wait(call, now)))
                self.deliver(place)
            case ev.SetCallerVariables(variables):
                self._caller.post_variables(variables)
            case ev.Ring(offer):
                self._listen_to_leg(offer.leg_uuid)
                answer = self._switch.ring(offer, self._arrival, prelude_of(self._queue))
                self._order(self._ring, offer, answer)
            case ev.HangUpLeg(leg_uuid, cause):
                self._order(self._switch.hang_up, leg_uuid, cause)
            case ev.Bridge(offer, variables):
                if self._caller.is_led or self._arrival.callback:
                    self._bridge(offer, variables)
                else:
                    self._order(self._bridge_unled, offer, variables)
            case ev.SettleBridge(offer):
                self._order(self._settle_bridge, offer)
            case ev.SettleTalk(leg_uuid):
                self._order(self._settle_talk, leg_uuid)
            case ev.SettleCaller():
                self._start(self._caller.watch)
            case ev.FetchCaller():
                self._order(self._fetch)
            case ev.LeaveSocket():
                self._caller.leave_socket()
            case ev.HandBack(variables):
                self._order(self._caller.hand_back, variables)
            case ev.MoveToQueue(queue):
                now, new_call = self._desk.clock.now(), self._desk.ids.uuid()
                self._next_visit = visit_elsewhere(self._arrival, queue, call=new_call, now=now)
                self._order(self._move_on)
            case ev.KeepForCallback(variables):
                self._begin_callback()
                self._order(self._hand_back_for_callback, variables)
            case ev.CallBack(offer):
                self._order(self._call_back, offer)
            case ev.Postpone(seconds):
                act(lambda d, now: d.postpone(call, now + seconds, now))
            case ev.RecordTalk(path):
                self._order(self._record_talk, path)
            case ev.PauseRecording(path, is_paused):
                self._order(pause_recording, self._caller.uuid, path, self._switch, is_paused)
            case ev.StopRecording(path):
                self._order(end_recording, self._caller.uuid, path, self._switch)
            case ev.HangUpCaller(cause):
                self._order(self._hang_up_caller, cause)
            case ev.ReleaseOffer(offer_id, result, cause, reached):
                act(lambda d, now: d.offer_failed(offer_id, result, cause, now, reached=reached))
            case ev.ReportBridged(offer_id):
                act(lambda d, now: d.bridged(offer_id, now))
            case ev.ReportBridgeFailed(offer_id, caller_gone):
                act(lambda d, now: d.bridge_failed(offer_id, now, caller_gone=caller_gone))
            case ev.ReportTalkEnded(offer_id):
                act(lambda d, now: d.talk_ended(offer_id, now))
            case ev.LeaveQueue(abandoned):
                act(lambda d, now: d.leave(call, now, abandoned=abandoned))
            case ev.End():
                self._end()

    def _end(self) -> None:
        record = self._flow.record
        end = {"reason": record.reason, "outcome": record.outcome, "cause": record.hangup_cause}
        self._log.info("call ended", agent=record.agent, **end)
        self._is_over = True
        if self._caller.is_watched:
            self._order(self._caller.forget)
        self._over_if_nothing_is_left()

    # --- orders: each runs to its end, also when the call is over ---

    def _order(self, order: Callable[..., Awaitable[None]], *arguments: object) -> None:
        self._orders_under_way += 1
        self._start(self._carry_out, order, *arguments)

    async def _carry_out(self, order: Callable[..., Awaitable[None]], *arguments: object) -> None:
        await order(*arguments)
        self._orders_under_way -= 1
        self._over_if_nothing_is_left()

    def _start(self, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
        assert self._nursery is not None, "a session that performs has its nursery"
        self._nursery.start_soon(task, *arguments)

    def _over_if_nothing_is_left(self) -> None:
        """A call ends when it is over and its orders have run; after what happens at this moment."""
        if self._is_over and not self._orders_under_way:
            self._desk.dispatcher.agenda.add(self._over.set)

    async def _ring(self, offer: Offer, answer: Awaitable[str]) -> None:
        self._desk.dispatcher.act(lambda d, now: d.offer_ringing(offer.id, now))
        try:
            leg_uuid = await answer
        except AgentUnreached as unreached:
            self._log.info("agent not reached", agent=offer.agent, cause=unreached.cause)
            result, cause, reached = unreached.result, unreached.cause, unreached.reached
            self.deliver(ev.AgentUnavailable(offer.id, result, cause, reached))
            return
        if leg_uuid != offer.leg_uuid:
            self._listen_to_leg(leg_uuid)
        won = self._desk.dispatcher.act(lambda d, now: d.offer_answered(offer.id, now))
        self.deliver(ev.AgentAnswered(offer.id, leg_uuid, won))

    async def _bridge_unled(self, offer: Offer, variables: Mapping[str, str]) -> None:
        """Bridge a caller who is between two sockets, unless somebody has sent the caller away meanwhile."""
        if await self._caller.is_elsewhere():
            self.deliver(ev.BridgeRefused(offer.id, "the caller was sent somewhere else"))
            self.deliver(ev.CallerElsewhere())
        elif self._flow.taken is not None and self._flow.taken.id == offer.id:
            self._bridge(offer, variables)

    def _bridge(self, offer: Offer, variables: Mapping[str, str]) -> None:
        variables = {**variables, **self._caller.talk_variables()}
        try:
            slot = self._switch.bridge(
                self._caller.uuid, offer.leg_uuid, variables, answer_first=not self._caller.is_answered
            )
        except WaitEnded as ended:
            self._check_bridge(offer, ended)
        else:
            slot.then(partial(self._check_bridge, offer))

    def _check_bridge(self, offer: Offer, reply: Reply | WaitEnded) -> None:
        """Only a refusal says something: +OK proves nothing, and what is unknown is asked for in time."""
        if isinstance(reply, WaitEnded):
            self._log.warning("bridge unknown", agent=offer.agent, why=str(reply))
        elif not reply.ok:
            self.deliver(ev.BridgeRefused(offer.id, reply.text))

    async def _settle_bridge(self, offer: Offer) -> None:
        """Ask whether the two hear each other, as no proof came by itself."""
        state, seconds = await settle_bridge(self._switch, offer.leg_uuid)
        if state is LegState.BRIDGED:
            self.deliver(ev.Bridged(offer.leg_uuid, self._desk.clock.now() - seconds))
        else:
            self.deliver(ev.BridgeRefused(offer.id, f"no bridge came; the leg is {state.name}"))

    async def _settle_talk(self, leg_uuid: str) -> None:
        """Ask how the two legs stand, as the end of a bridge, or of one leg, does not say what follows."""
        uuids = [uuid for uuid in (self._caller.uuid, leg_uuid) if uuid]
        with trio.move_on_after(SWITCH_LOST_SECONDS) as patience:
            stand = dict(zip(uuids, await standings_of(self._switch, uuids), strict=True))
        if patience.cancelled_caught or self._caller.was_lost:
            self.deliver(ev.SwitchLost(self._switch.presence.silent_seconds))
        else:
            self.deliver(ev.TalkSettled(stand.get(self._caller.uuid), stand.get(leg_uuid)))

    async def _settle_return(self, leg_uuid: str) -> None:
        """Report that the caller came back out of a talk, unless the talk goes on.

        FreeSWITCH may have opened the socket just before it obeyed the order to bridge: then the bridge took
        the caller out of it again, and we hear of the two in the other order.
        """
        uuids = [self._caller.uuid, leg_uuid]
        with trio.move_on_after(SWITCH_LOST_SECONDS):
            caller, leg = await standings_of(self._switch, uuids)
            if hear_each_other(uuids[0], caller, uuids[1], leg):
                log.info("a socket from before the bridge ends no talk", call=self._arrival.call)
                return
        self.deliver(ev.CallerReturned())

    async def _record_talk(self, path: str) -> None:
        if await begin_recording(self._caller.uuid, path, self._switch):
            self.deliver(ev.RecordingBegan(path))

    async def _hang_up_caller(self, cause: str) -> None:
        if self._caller.uuid:  # a callback may have none yet
            await self._switch.hang_up(self._caller.uuid, cause)

    async def _fetch(self) -> None:
        if not await self._caller.fetch():
            self.deliver(ev.WaitOver(Reason.TRANSFERRED))

    async def _move_on(self) -> None:
        """Let the next visit begin now: what is still to come of this one may take its time."""
        await self._caller.fall_silent()
        if self.is_led:
            self._caller.hear_no_more()
        else:
            self._begin_away(self)

    def _begin_callback(self) -> None:
        """Begin the visit that waits for the callback, with its row there before the end of this one."""
        visit = visit_for_callback(self._arrival, call=self._desk.ids.uuid(), now=self._desk.clock.now())
        before = self._arrival.call
        self._desk.record(CallRecord(arrival=visit, state=CallState.WAITING, previous_visit=before))
        self._next_visit = visit
        self._begin_away(self)

    async def _hand_back_for_callback(self, variables: Mapping[str, str]) -> None:
        """Let the caller go, now that the promise to call back outlives us."""
        await self._desk.written()
        await self._caller.hand_back(variables)

    async def _call_back(self, offer: Offer) -> None:
        """Ring the caller, whose agent is there."""
        await self._caller.forget()
        if (taken := self._flow.taken) is None or taken.id != offer.id:
            return
        self._caller = self._caller_leg(self._desk.ids.leg_uuid())
        try:
            uuid = await self._caller.call_back(self._queue.callback_dialstring, self._arrival)
        except AgentUnreached as unreached:
            self.deliver(ev.CallerUnreached(offer.id, unreached.cause))
        else:
            self.deliver(ev.CallerReached(offer.id, uuid))
