"""What is done about each thing that can happen to a call, with no input or output.

A wait ends once, in `_end_wait`, which writes the call's one reason; a talk has its reason from the
bridge on and ends once, in `_end_talk`. PARTING is over for the history; only the hangups of the two,
with their causes, are still to come. Which of these methods answers which event, and when, is the table
of `flow`.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from callctl.call import events as ev
from callctl.call.entertainment import SILENCE, Entertainment
from callctl.call.events import CallHappening, Effect
from callctl.call.ledger import Ledger
from callctl.call.stages import (
    BRIDGE_PROOF_SECONDS,
    CALLBACK,
    FAREWELL_SECONDS,
    RETURN_SECONDS,
    STATE_OF_STAGE,
    SWITCH_FAULTS,
    TIMER_BRIDGE,
    TIMER_EXPIRY,
    TIMER_FAREWELL,
    TIMER_RETURN,
    Stage,
)
from callctl.call.variables import (
    bridge_variables,
    hand_back_variables,
    talk_variables,
    waiting_variables,
)
from callctl.model import (
    OUTCOME_OF_REASON,
    Arrival,
    CallRecord,
    CallState,
    HungUpBy,
    Offer,
    OfferResult,
    QueueSettings,
    Reason,
)


class CallLife:
    """One call's state; each method takes one event in and returns what to do about it, in order."""

    def __init__(self, arrival: Arrival, queue: QueueSettings, known: CallRecord | None = None) -> None:
        """`known` is the call's row where the store has one: a caller who came back after a restart."""
        self._queue = queue
        self._entertainment = Entertainment(arrival, queue)
        self._stage = Stage.WAITING
        self._ledger = Ledger(
            CallRecord(arrival=arrival, state=CallState.WAITING)
            if known is None
            else evolve(
                known, arrival=arrival, state=CallState.WAITING, agent="", agent_uuid="", answered_at=None
            )
        )
        self._ringing: dict[str, Offer] = {}
        self._taken: Offer | None = None
        """The offer whose agent answered and is being bridged, or talks."""
        self._lapsed: Offer | None = None
        """The offer whose agent was gone before the bridge, while FreeSWITCH may yet act on the order."""
        self._socket_is_open = True
        self._was_away = False
        """The caller had no socket when the bridge was ordered."""
        self._is_returning = False
        """The caller was with us before a restart, which is counted as a resume, and has no socket yet."""
        self._was_fetched = False
        self._is_unattended = False
        """The caller is on a new socket, but hears nothing: a bridge was on its way when the caller came."""
        self._hangup_is_ours = False
        self._caller_is_gone = False
        self._has_begun = False
        self._attempts = 0
        """How often a callback's caller was not reached."""

    @property
    def record(self) -> CallRecord:
        """The call's row as it stands."""
        return self._ledger.record

    @property
    def stage(self) -> Stage:
        """Where the call stands."""
        return self._stage

    @property
    def taken(self) -> Offer | None:
        """The offer whose agent is being bridged or talks, or None."""
        return self._taken

    @property
    def has_begun(self) -> bool:
        """Say whether the caller was led into the queue, or found in a talk."""
        return self._has_begun

    def begin(self, position: int, now: float) -> list[Effect]:
        """The caller stands in the queue, at `position` (1 = next). Returns what to do first."""
        self._has_begun = True
        arrival = self._ledger.arrival
        if arrival.callback:
            self._socket_is_open = False
            return [
                self._ledger.change(position_at_entry=position),
                self._ledger.note(now, "callback-queued", f"{arrival.queue}, position {position}"),
                ev.StartTimer(TIMER_EXPIRY, self._queue.callback_expiry),
            ]
        if arrival.resumes:
            # Where the row had not reached the disk, this is all that is known of the place.
            return [
                self._ledger.change(position_at_entry=self._ledger.record.position_at_entry or position),
                self._ledger.note(now, "resumed", f"{arrival.queue}, time {arrival.resumes}"),
                *self._entertain(now),
            ]
        return [
            self._ledger.change(position_at_entry=position),
            self._ledger.note(now, "joined", f"{arrival.queue}, position {position}"),
            *self._entertain(now),
        ]

    def begin_without_socket(self, now: float) -> list[Effect]:
        """The caller stands in the old place, and is on the way back to us. Returns what to do meanwhile."""
        self._has_begun = self._is_returning = True
        self._socket_is_open = False
        return [
            self._ledger.change(),
            self._ledger.note(now, "place-kept", self._ledger.arrival.queue),
            ev.SettleCaller(),
            ev.StartTimer(TIMER_RETURN, RETURN_SECONDS),
        ]

    def refuse(self, reason: Reason, now: float, target: str = "") -> list[Effect]:
        """The queue does not take this caller. Returns what to do: on to `target`, or to the dialplan."""
        return self._end_wait(reason, now, by=None, target=target)

    def adopt(self, offer: Offer, bridged_at: float, now: float) -> list[Effect]:
        """The caller talks with this offer's agent since `bridged_at`; we found them so."""
        self._has_begun = True
        self._taken = offer
        self._socket_is_open = False
        adopted = self._enter(
            Stage.TALKING,
            reason=Reason.BRIDGED,
            outcome=OUTCOME_OF_REASON[Reason.BRIDGED],
            agent=offer.agent,
            agent_uuid=offer.leg_uuid,
            bridged_at=self._ledger.record.bridged_at or bridged_at,
        )
        return [
            adopted,
            self._ledger.note(now, "adopted", offer.agent),
            ev.SetCallerVariables(talk_variables(now)),
            ev.SettleCaller(),
        ]

    # --- waiting and ringing ---

    def ring(self, event: ev.Offered, now: float) -> list[Effect]:
        offer = event.offer
        self._ringing[offer.id] = offer
        return [
            ev.Ring(offer),
            self._enter(Stage.RINGING, offers=self._ledger.record.offers + 1),
            self._ledger.open_offer(offer),
            self._ledger.note(now, "offered", offer.agent),
        ]

    def withdraw_offer(self, event: ev.OfferWithdrawn, now: float) -> list[Effect]:
        offer = self._ringing.get(event.offer_id)
        if offer is None:
            return []
        return [
            ev.HangUpLeg(offer.leg_uuid, event.cause),
            *self._stop_ringing(event.offer_id, OfferResult.CANCELLED, event.cause, now),
        ]

    def agent_unavailable(self, event: ev.AgentUnavailable, now: float) -> list[Effect]:
        released = self.release(event, now)
        offer = self._ringing.get(event.offer_id)
        if offer is None:
            return released
        if event.result is OfferResult.UNKNOWN:
            # The leg may ring on or be answered, on a switch that does not say; it is the first thing that
            # a switch hears which is back.
            released.insert(0, ev.HangUpLeg(offer.leg_uuid, "ORIGINATOR_CANCEL"))
        return [*released, *self._stop_ringing(event.offer_id, event.result, event.cause, now)]

    def agent_answered(self, event: ev.AgentAnswered, now: float) -> list[Effect]:
        offer = self._ringing.get(event.offer_id)
        if offer is None:
            return [ev.HangUpLeg(event.leg_uuid, "ORIGINATOR_CANCEL")]
        if not event.won:
            return [
                ev.HangUpLeg(event.leg_uuid, "LOSE_RACE"),
                *self._stop_ringing(offer.id, OfferResult.CANCELLED, "LOSE_RACE", now),
            ]
        # FreeSWITCH names the leg; ours is only a wish where the UUID was taken already.
        offer = evolve(offer, leg_uuid=event.leg_uuid)
        del self._ringing[offer.id]
        self._taken = offer
        if self._ledger.arrival.callback:
            ordered: list[Effect] = [ev.CallBack(offer)]
        else:
            ordered = self._order_bridge(offer)
        return [
            *ordered,
            self._enter(Stage.BRIDGING, agent=offer.agent, agent_uuid=offer.leg_uuid, answered_at=now),
            self._ledger.close_offer(offer.id, OfferResult.ANSWERED, "", now),
            self._ledger.note(now, "agent-answered", offer.agent),
        ]

    def _order_bridge(self, offer: Offer) -> list[Effect]:
        self._was_away = not self._socket_is_open
        return [
            ev.Bridge(offer, bridge_variables(offer)),
            ev.StartTimer(TIMER_BRIDGE, BRIDGE_PROOF_SECONDS),
        ]

    def wait_over(self, event: ev.WaitOver, now: float) -> list[Effect]:
        return self._end_wait(event.reason, now, by=None, target=event.target)

    def caller_gone(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        by = HungUpBy.CALLCTL if self._hangup_is_ours else event.by
        reason = Reason.CALLER_HANGUP
        if self._hangup_is_ours:
            reason = Reason.WITHDRAWN
        elif by is HungUpBy.SWITCH:
            reason = SWITCH_FAULTS.get(event.cause, Reason.CALLER_HANGUP)
        return self._end_wait(reason, now, by=by, hangup_cause=event.cause)

    def switch_lost(self, event: ev.SwitchLost, now: float) -> list[Effect]:
        return self._end_wait(Reason.SWITCH_LOST, now, by=HungUpBy.SWITCH)

    def caller_taken(self, event: ev.CallerTaken | ev.Bridged, now: float) -> list[Effect]:
        if not self._socket_is_open:
            return []  # The dialplan is playing music between two visits; the caller is still ours.
        if self._is_of_lapsed_bridge(event):
            return [ev.StopTimer(TIMER_BRIDGE), *self._expect_return()]
        # Our socket lives on after a transfer, and with socket_resume its end would break off
        # whatever the caller does now.
        return [
            ev.SetCallerVariables({"socket_resume": "false", "callctl_call": ""}),
            *self._end_wait(Reason.TRANSFERRED, now, by=None),
        ]

    def _is_of_lapsed_bridge(self, event: ev.CallerTaken | ev.Bridged) -> bool:
        """Say whether this is the bridge that has failed: the way back, set before it, leads to us."""
        if self._lapsed is None:
            return False
        return isinstance(event, ev.CallerTaken) or event.leg_uuid == self._lapsed.leg_uuid

    def socket_lost(self, event: ev.SocketLost, now: float) -> list[Effect]:
        self._socket_is_open = False
        effects = [self._ledger.note(now, "socket-lost"), ev.SettleCaller()]
        if self._stage is not Stage.TALKING:
            effects.append(ev.StartTimer(TIMER_RETURN, RETURN_SECONDS))
        return effects

    def caller_returned(self, event: ev.CallerReturned, now: float) -> list[Effect]:
        if self._lapsed is not None and self._was_away:
            return self._await_bridge(now)
        self._lapsed = None
        return [*self._resume(now), *self._entertain(now)]

    def _resume(self, now: float) -> list[Effect]:
        self._socket_is_open = True
        arrival = self._ledger.arrival
        if not self._is_returning:
            arrival = evolve(arrival, resumes=arrival.resumes + 1)
        self._is_returning = self._was_fetched = False
        return [
            ev.StopTimer(TIMER_RETURN),
            self._ledger.change(arrival=arrival),
            self._ledger.note(now, "resumed", f"time {arrival.resumes}"),
        ]

    def order_hangup(self, event: ev.HangupOrdered, now: float) -> list[Effect]:
        self._hangup_is_ours = True
        return [ev.HangUpCaller(event.cause), self._ledger.note(now, "hangup-ordered", event.cause)]

    def music_ended(self, event: ev.MusicEnded, now: float) -> list[Effect]:
        music = self._entertainment.music_ended(event, now)
        if music.sound == SILENCE:
            return [music, self._ledger.note(now, "music-failed", self._entertainment.music)]
        return [music]

    def key_pressed(self, event: ev.KeyPressed, now: float) -> list[Effect]:
        if event.digit == self._queue.callback_key and self._ledger.arrival.caller_number:
            return self._end_wait(Reason.EXIT_WITH_KEY, now, by=None, exit_key=event.digit, target=CALLBACK)
        if event.digit not in (self._ledger.arrival.exit_keys or self._queue.exit_keys):
            return []
        return self._end_wait(Reason.EXIT_WITH_KEY, now, by=None, exit_key=event.digit)

    def place_told(self, event: ev.PlaceTold, now: float) -> list[Effect]:
        return self._entertainment.place_told(event, now)

    def waiting_timer(self, event: ev.TimerFired, now: float) -> list[Effect]:
        if event.timer == TIMER_RETURN and not self._socket_is_open:
            if self._was_fetched:
                return self._end_wait(Reason.TRANSFERRED, now, by=None)
            self._was_fetched = True
            return [ev.FetchCaller(), ev.StartTimer(TIMER_RETURN, RETURN_SECONDS)]
        if event.timer == TIMER_BRIDGE:
            lapsed, self._lapsed = self._lapsed, None
            return self._restore_wait(now) if lapsed and self._socket_is_open else []
        if event.timer == TIMER_EXPIRY:
            return self._end_wait(Reason.TIMEOUT, now, by=HungUpBy.CALLCTL)
        return self._entertainment.timer_fired(event.timer)

    # --- bridging ---

    def bridged(self, event: ev.Bridged, now: float) -> list[Effect]:
        offer = self._taken
        if offer is None or event.leg_uuid != offer.leg_uuid:
            return []
        return [
            ev.StopTimer(TIMER_BRIDGE),
            ev.ReportBridged(offer.id),
            ev.SetCallerVariables(talk_variables(now)),
            self._enter(
                Stage.TALKING,
                bridged_at=now if event.at is None else event.at,
                reason=Reason.BRIDGED,
                outcome=OUTCOME_OF_REASON[Reason.BRIDGED],
            ),
            self._ledger.note(now, "bridged", offer.agent),
            *([ev.RecordTalk(template, offer)] if (template := self._queue.record_template) else []),
        ]

    def _bridged_after_all(self, event: ev.AgentHungUp | ev.CallerHungUp, now: float) -> list[Effect]:
        """The two did hear each other: a hangup says so, which overtook CHANNEL_BRIDGE or is all we heard."""
        assert self._taken is not None, "BRIDGING always has an offer"
        return self.bridged(ev.Bridged(self._taken.leg_uuid, now - event.bridged_seconds), now)

    def bridge_refused(self, event: ev.BridgeRefused, now: float) -> list[Effect]:
        if self._taken is None or event.offer_id != self._taken.id:
            self._lapsed = None
            return []
        return [
            *self._bridge_failed(event.why, now, leg_is_gone=False),
            ev.StopTimer(TIMER_BRIDGE),
            *self._restore_wait(now),
        ]

    def lapsed_bridge_refused(self, event: ev.BridgeRefused, now: float) -> list[Effect]:
        if self._lapsed is None or event.offer_id != self._lapsed.id:
            return []
        return [ev.StopTimer(TIMER_BRIDGE), *self._restore_wait(now)]

    def _restore_wait(self, now: float) -> list[Effect]:
        """The caller was not taken for the bridge that failed: it is as if it had never been ordered."""
        self._lapsed = None
        if self._is_unattended:
            return self._entertain(now)
        return [ev.SetCallerVariables(waiting_variables(self._ledger.arrival))]

    def agent_gone_before_bridge(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        if event.talked_to and event.talked_to == self._ledger.arrival.uuid:
            return [*self._bridged_after_all(event, now), *self.agent_left_talk(event, now)]
        # The order may still be on its way. If FreeSWITCH takes the caller for it, only the variables that
        # were set before it lead back, so they stay until that is settled: by a refusal, by the caller's
        # return, or by the time for a proof.
        self._lapsed = self._taken
        return self._bridge_failed(event.cause, now, leg_is_gone=True)

    def _bridge_failed(self, why: str, now: float, *, leg_is_gone: bool) -> list[Effect]:
        offer = self._taken
        assert offer is not None, "BRIDGING always has an offer"
        self._taken = None
        effects: list[Effect] = [
            ev.ReportBridgeFailed(offer.id, caller_gone=False),
            self._enter(
                Stage.RINGING if self._ringing else Stage.WAITING,
                agent="",
                agent_uuid="",
                answered_at=None,
            ),
            self._ledger.close_offer(offer.id, OfferResult.FAILED, why, now),
            self._ledger.note(now, "bridge-failed", f"{offer.agent}: {why}"),
        ]
        if not leg_is_gone:
            effects.append(ev.HangUpLeg(offer.leg_uuid, "ORIGINATOR_CANCEL"))
        if self._ledger.arrival.callback:
            effects.append(ev.HangUpCaller("ORIGINATOR_CANCEL"))
        elif not self._socket_is_open:
            effects += self._expect_return()
        return effects

    def _expect_return(self) -> list[Effect]:
        """The caller was taken for a bridge that failed; the dialplan leads back to us, on a new socket.

        The old one must have ended by then: FreeSWITCH would take its end for the end of the new one.
        """
        self._socket_is_open = self._is_unattended = False
        return [ev.LeaveSocket(), ev.SettleCaller(), ev.StartTimer(TIMER_RETURN, RETURN_SECONDS)]

    def caller_gone_while_bridging(self, event: ev.CallerHungUp | ev.SwitchLost, now: float) -> list[Effect]:
        offer = self._taken
        assert offer is not None, "BRIDGING always has an offer"
        if isinstance(event, ev.CallerHungUp) and event.talked_to == offer.leg_uuid:
            return [*self._bridged_after_all(event, now), *self.caller_left_talk(event, now)]
        self._taken = None
        ended = (
            self.caller_gone(event, now)
            if isinstance(event, ev.CallerHungUp)
            else self.switch_lost(event, now)
        )
        return [
            ev.StopTimer(TIMER_BRIDGE),
            ev.ReportBridgeFailed(offer.id, caller_gone=True),
            ev.HangUpLeg(offer.leg_uuid, "ORIGINATOR_CANCEL"),
            # An answered offer is one that led to a talk; for this one nobody was there any more.
            self._ledger.close_offer(offer.id, OfferResult.CANCELLED, f"{self.record.reason}", now),
            *ended,
        ]

    def left_for_the_bridge(self, event: ev.CallerTaken, now: float) -> list[Effect]:
        # uuid_bridge takes the caller out of the socket application; if the bridge then fails, only
        # the dialplan brings the caller back to us.
        self._socket_is_open = self._is_unattended = False
        return []

    def returned_while_bridging(self, event: ev.CallerReturned, now: float) -> list[Effect]:
        if self._was_away:
            return self._await_bridge(now)
        failed = self._bridge_failed("the caller came back", now, leg_is_gone=False)
        return [ev.StopTimer(TIMER_BRIDGE), *failed, *self.caller_returned(event, now)]

    def _await_bridge(self, now: float) -> list[Effect]:
        """The caller came back from elsewhere, and the order to bridge, which may take a moment, after it."""
        self._was_away, self._is_unattended = False, True
        return self._resume(now)

    def bridge_timer(self, event: ev.TimerFired, now: float) -> list[Effect]:
        assert self._taken is not None, "BRIDGING always has an offer"
        return [ev.SettleBridge(self._taken)] if event.timer == TIMER_BRIDGE else []

    # --- calling back ---

    def caller_reached(self, event: ev.CallerReached, now: float) -> list[Effect]:
        if self._taken is None or event.offer_id != self._taken.id:
            return [ev.HangUpCaller("ORIGINATOR_CANCEL")]
        arrival = evolve(self._ledger.arrival, uuid=event.uuid)
        return [
            self._ledger.change(arrival=arrival),
            self._ledger.note(now, "caller-reached"),
            ev.SettleCaller(),
            *self._order_bridge(self._taken),
        ]

    def caller_unreached(self, event: ev.CallerUnreached, now: float) -> list[Effect]:
        if self._taken is None or event.offer_id != self._taken.id:
            return []
        self._attempts += 1
        failed = self._bridge_failed(f"caller not reached: {event.cause}", now, leg_is_gone=False)
        if self._attempts >= self._queue.callback_attempts:
            return [*failed, *self._end_wait(Reason.CALLER_HANGUP, now, by=HungUpBy.CALLER)]
        return [*failed, ev.Postpone(self._queue.callback_retry_interval)]

    # --- talking ---

    def agent_left_talk(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        ended = self._end_talk(
            now, hung_up_by=HungUpBy.AGENT, hangup_cause=event.cause, hold_seconds=event.hold_seconds
        )
        return [*self._free_agent(), *ended]

    def unbridged(self, event: ev.Unbridged, now: float) -> list[Effect]:
        return self._end_talk(now)

    def caller_left_talk(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        return [*self._end_talk(now), *self.caller_parted(event, now)]

    def switch_lost_in_talk(self, event: ev.SwitchLost, now: float) -> list[Effect]:
        return [*self._end_talk(now, hung_up_by=HungUpBy.SWITCH), *self.finish(event, now)]

    def returned_from_talk(self, event: ev.CallerReturned, now: float) -> list[Effect]:
        # The dialplan led the caller back into a queue after the talk: that is a new visit.
        return [*self._end_talk(now), *self.finish(event, now)]

    def _end_talk(self, now: float, **what: Any) -> list[Effect]:
        """The two hear each other no more; what is still to come is told in PARTING."""
        return [
            ev.StartTimer(TIMER_FAREWELL, FAREWELL_SECONDS),
            self._enter(Stage.PARTING, ended_at=now, **what),
        ]

    def _free_agent(self) -> list[Effect]:
        """The agent's leg is gone, so the phone is free: not before, or the next call finds it busy."""
        offer, self._taken = self._taken, None
        return [] if offer is None else [ev.ReportTalkEnded(offer.id)]

    # --- parting ---

    def agent_parted(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        freed = [*self._free_agent(), self._ledger.change(hold_seconds=event.hold_seconds)]
        return [*freed, *self.finish(event, now)] if self._caller_is_gone else freed

    def caller_parted(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        self._caller_is_gone = True
        by = event.by
        if self._hangup_is_ours:
            by = HungUpBy.CALLCTL
        elif by is HungUpBy.SWITCH:
            # With hangup_after_bridge the switch ends the caller's leg because the agent's has ended.
            by = HungUpBy.AGENT
        parted = self._ledger.change(hung_up_by=by, hangup_cause=event.cause)
        return [parted, *(self.finish(event, now) if self._taken is None else [])]

    def farewell(self, event: ev.TimerFired, now: float) -> list[Effect]:
        if event.timer != TIMER_FAREWELL:
            return []
        went_on = [] if self._caller_is_gone else [self._ledger.note(now, "caller-went-on")]
        return [*went_on, *self.finish(event, now)]

    # --- the end ---

    def _end_wait(
        self,
        reason: Reason,
        now: float,
        *,
        by: HungUpBy | None,
        hangup_cause: str = "",
        target: str = "",
        exit_key: str = "",
    ) -> list[Effect]:
        effects: list[Effect] = [ev.LeaveQueue(abandoned=reason is Reason.CALLER_HANGUP)]
        for offer in list(self._ringing.values()):
            effects.append(ev.HangUpLeg(offer.leg_uuid, "ORIGINATOR_CANCEL"))
            effects += self._stop_ringing(offer.id, OfferResult.CANCELLED, reason.value, now)
        if by is None and reason is not Reason.TRANSFERRED:
            effects.append(self._send_on(reason, now, target, exit_key))
        ended = self._enter(
            Stage.ENDED,
            reason=reason,
            outcome=OUTCOME_OF_REASON[reason],
            hung_up_by=by,
            hangup_cause=hangup_cause,
            agent="",
            agent_uuid="",
            answered_at=None,
            ended_at=now,
        )
        return [*effects, ended, self._ledger.note(now, "ended", reason.value), ev.End()]

    def _send_on(self, reason: Reason, now: float, target: str, exit_key: str) -> Effect:
        """Return where the caller goes; the dialplan branches on extensions and voicemail boxes."""
        kind, _, name = target.partition(":")
        if kind == "queue":
            return ev.MoveToQueue(name)
        if kind == "hangup":
            return ev.HangUpCaller(name)
        variables = hand_back_variables(reason, now, target=target, exit_key=exit_key)
        return ev.KeepForCallback(variables) if target == CALLBACK else ev.HandBack(variables)

    def finish(self, event: CallHappening, now: float) -> list[Effect]:
        leg = [] if self._taken is None else [ev.HangUpLeg(self._taken.leg_uuid, "NORMAL_CLEARING")]
        return [
            ev.StopTimer(TIMER_FAREWELL),
            *leg,
            *self._free_agent(),
            self._enter(Stage.ENDED),
            self._ledger.note(now, "ended", Reason.BRIDGED.value),
            ev.End(),
        ]

    def hang_up_late_caller(self, event: ev.CallerReached, now: float) -> list[Effect]:
        return [ev.HangUpCaller("ORIGINATOR_CANCEL")]

    def nothing(self, event: CallHappening, now: float) -> list[Effect]:
        return []

    def release(self, event: ev.AgentUnavailable, now: float) -> list[Effect]:
        # Also for an offer that was taken back: only now is the agent's phone free.
        return [ev.ReleaseOffer(event.offer_id, event.result, event.cause)]

    def kill_late_leg(self, event: ev.AgentAnswered, now: float) -> list[Effect]:
        return [ev.HangUpLeg(event.leg_uuid, "ORIGINATOR_CANCEL")]

    # --- pieces ---

    def _enter(self, stage: Stage, **what: Any) -> Effect:
        """Go to `stage`, and return the order to write the row with `what` changed in it."""
        self._stage = stage
        return self._ledger.change(state=STATE_OF_STAGE[stage], **what)

    def _entertain(self, now: float) -> list[Effect]:
        self._is_unattended = False
        keep_place = ev.SetCallerVariables(waiting_variables(self._ledger.arrival))
        return [keep_place, *self._entertainment.begin(now)]

    def _stop_ringing(self, offer_id: str, result: OfferResult, cause: str, now: float) -> list[Effect]:
        offer = self._ringing.pop(offer_id)
        effects = [
            self._ledger.close_offer(offer_id, result, cause, now),
            self._ledger.note(now, f"offer-{result.value}", f"{offer.agent} {cause}".strip()),
        ]
        if self._stage is Stage.RINGING and not self._ringing:
            effects.append(self._enter(Stage.WAITING))
        return effects
