"""A call's life as a table: (state, event, time) → (state, effects), with no input or output.

`TABLE` has a row for every state, and in it an entry for every event that can reach the state. An
event with no entry raises and changes nothing. What happened too late is an entry as well: it says
what is done about it, which is mostly nothing, but never leaves an agent's leg behind.

    WAITING ⇄ RINGING → BRIDGING → TALKING → PARTING → ENDED     (and from each of them to ENDED)

A wait ends once, in `_end_wait`, which writes the call's one reason; a talk has its reason from the
bridge on and ends once, in `_end_talk`. PARTING is over for the history; only the
hangups of the two, with their causes, are still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from attrs import evolve

from callctl.call import events as ev
from callctl.call.entertainment import SILENCE, Entertainment
from callctl.call.events import CallHappening, Effect
from callctl.call.ledger import Ledger
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

BRIDGE_PROOF_SECONDS = 3.0
"""How long CHANNEL_BRIDGE may take before the switch is asked; 20 to 60 ms are usual."""

RETURN_SECONDS = 30.0
"""How long a caller may take to come back from the dialplan; ours comes back every few seconds."""

FAREWELL_SECONDS = 1.0
"""How long the hangups of the two may come after the end of the talk; 20 to 40 ms are usual.

A caller who lives on after that was transferred. An agent's leg that lives on is hung up."""

TIMER_BRIDGE = "bridge"
TIMER_RETURN = "return"
TIMER_FAREWELL = "farewell"

_SWITCH_FAULTS: Mapping[str, Reason] = {
    "SYSTEM_SHUTDOWN": Reason.SWITCH_LOST,
    "DESTINATION_OUT_OF_ORDER": Reason.ERROR,
}
"""Causes with which the switch itself ends a waiting caller, through no wish of the caller."""

Handler = Callable[["CallFlow", Any, float], list[Effect]]


class Stage(Enum):
    """Where a call stands in its life; the rows of `TABLE`."""

    WAITING = auto()
    RINGING = auto()
    BRIDGING = auto()
    TALKING = auto()
    PARTING = auto()
    ENDED = auto()


_STATE_OF_STAGE = {
    Stage.WAITING: CallState.WAITING,
    Stage.RINGING: CallState.RINGING,
    Stage.BRIDGING: CallState.BRIDGING,
    Stage.TALKING: CallState.TALKING,
    Stage.PARTING: CallState.ENDED,
    Stage.ENDED: CallState.ENDED,
}


class CallFlow:
    """One call's state, and what is to be done about whatever happens to it."""

    def __init__(self, arrival: Arrival, queue: QueueSettings, known: CallRecord | None = None) -> None:
        """`known` is the call's row where the store has one: a caller who came back after a restart."""
        self._queue = queue
        self._entertainment = Entertainment(arrival, queue)
        self._stage = Stage.WAITING
        self._ledger = Ledger(
            CallRecord(arrival=arrival, state=CallState.WAITING)
            if known is None
            else evolve(known, arrival=arrival, state=CallState.WAITING)
        )
        self._ringing: dict[str, Offer] = {}
        self._taken: Offer | None = None
        """The offer whose agent answered and is being bridged, or talks."""
        self._lapsed: Offer | None = None
        """The offer whose agent was gone before the bridge, while FreeSWITCH may yet act on the order."""
        self._socket_is_open = True
        self._hangup_is_ours = False
        self._caller_is_gone = False
        self._has_begun = False

    @property
    def record(self) -> CallRecord:
        """The call's row as it stands."""
        return self._ledger.record

    @property
    def stage(self) -> Stage:
        """Where the call stands."""
        return self._stage

    @property
    def has_begun(self) -> bool:
        """Say whether the caller was led into the queue, or found in a talk."""
        return self._has_begun

    def begin(self, position: int, now: float) -> list[Effect]:
        """The caller stands in the queue, at `position` (1 = next). Returns what to do first."""
        self._has_begun = True
        arrival = self._ledger.arrival
        if arrival.resumes:
            return [
                self._ledger.change(),
                self._ledger.note(now, "resumed", f"{arrival.queue}, time {arrival.resumes}"),
                *self._entertain(now),
            ]
        return [
            self._ledger.change(position_at_entry=position),
            self._ledger.note(now, "joined", f"{arrival.queue}, position {position}"),
            *self._entertain(now),
        ]

    def refuse(self, reason: Reason, now: float) -> list[Effect]:
        """The queue does not take this caller. Returns what to do: back to the dialplan at once."""
        return self._end_wait(reason, now, by=None)

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

    def handle(self, event: CallHappening, now: float) -> list[Effect]:
        """Take one event in, at `now`, and return what to do about it, in order.

        Raises KeyError for an event that cannot come in this state; the state is then unchanged.
        """
        handler = TABLE[self._stage][type(event)]
        return handler(self, event, now)

    # --- waiting and ringing ---

    def _ring(self, event: ev.Offered, now: float) -> list[Effect]:
        offer = event.offer
        self._ringing[offer.id] = offer
        return [
            ev.Ring(offer),
            self._enter(Stage.RINGING, offers=self._ledger.record.offers + 1),
            self._ledger.open_offer(offer),
            self._ledger.note(now, "offered", offer.agent),
        ]

    def _withdraw_offer(self, event: ev.OfferWithdrawn, now: float) -> list[Effect]:
        offer = self._ringing.get(event.offer_id)
        if offer is None:
            return []
        return [
            ev.HangUpLeg(offer.leg_uuid, event.cause),
            *self._stop_ringing(event.offer_id, OfferResult.CANCELLED, event.cause, now),
        ]

    def _agent_unavailable(self, event: ev.AgentUnavailable, now: float) -> list[Effect]:
        released = self._release(event, now)
        if event.offer_id not in self._ringing:
            return released
        return [*released, *self._stop_ringing(event.offer_id, event.result, event.cause, now)]

    def _agent_answered(self, event: ev.AgentAnswered, now: float) -> list[Effect]:
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
        return [
            ev.Bridge(offer, bridge_variables(offer)),
            ev.StartTimer(TIMER_BRIDGE, BRIDGE_PROOF_SECONDS),
            self._enter(Stage.BRIDGING, agent=offer.agent, agent_uuid=offer.leg_uuid, answered_at=now),
            self._ledger.close_offer(offer.id, OfferResult.ANSWERED, "", now),
            self._ledger.note(now, "agent-answered", offer.agent),
        ]

    def _wait_over(self, event: ev.WaitOver, now: float) -> list[Effect]:
        return self._end_wait(event.reason, now, by=None, target=event.target)

    def _caller_gone(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        by = HungUpBy.CALLCTL if self._hangup_is_ours else event.by
        reason = Reason.CALLER_HANGUP
        if self._hangup_is_ours:
            reason = Reason.WITHDRAWN
        elif by is HungUpBy.SWITCH:
            reason = _SWITCH_FAULTS.get(event.cause, Reason.CALLER_HANGUP)
        return self._end_wait(reason, now, by=by, hangup_cause=event.cause)

    def _switch_lost(self, event: ev.SwitchLost, now: float) -> list[Effect]:
        return self._end_wait(Reason.SWITCH_LOST, now, by=HungUpBy.SWITCH)

    def _caller_taken(self, event: ev.CallerTaken | ev.Bridged, now: float) -> list[Effect]:
        if not self._socket_is_open:
            return []  # The dialplan is playing music between two visits; the caller is still ours.
        if self._is_of_lapsed_bridge(event):
            self._socket_is_open = False
            return [ev.StopTimer(TIMER_BRIDGE), ev.StartTimer(TIMER_RETURN, RETURN_SECONDS)]
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

    def _socket_lost(self, event: ev.SocketLost, now: float) -> list[Effect]:
        self._socket_is_open = False
        effects = [self._ledger.note(now, "socket-lost"), ev.SettleCaller()]
        if self._stage is not Stage.TALKING:
            effects.append(ev.StartTimer(TIMER_RETURN, RETURN_SECONDS))
        return effects

    def _caller_returned(self, event: ev.CallerReturned, now: float) -> list[Effect]:
        self._socket_is_open = True
        self._lapsed = None
        arrival = evolve(self._ledger.arrival, resumes=self._ledger.arrival.resumes + 1)
        return [
            ev.StopTimer(TIMER_RETURN),
            self._ledger.change(arrival=arrival),
            self._ledger.note(now, "resumed", f"time {arrival.resumes}"),
            *self._entertain(now),
        ]

    def _order_hangup(self, event: ev.HangupOrdered, now: float) -> list[Effect]:
        self._hangup_is_ours = True
        return [ev.HangUpCaller(event.cause), self._ledger.note(now, "hangup-ordered", event.cause)]

    def _music_ended(self, event: ev.MusicEnded, now: float) -> list[Effect]:
        music = self._entertainment.music_ended(event, now)
        if music.sound == SILENCE:
            return [music, self._ledger.note(now, "music-failed", self._entertainment.music)]
        return [music]

    def _key_pressed(self, event: ev.KeyPressed, now: float) -> list[Effect]:
        if event.digit not in (self._ledger.arrival.exit_keys or self._queue.exit_keys):
            return []
        return self._end_wait(Reason.EXIT_WITH_KEY, now, by=None, exit_key=event.digit)

    def _place_told(self, event: ev.PlaceTold, now: float) -> list[Effect]:
        return self._entertainment.place_told(event, now)

    def _waiting_timer(self, event: ev.TimerFired, now: float) -> list[Effect]:
        if event.timer == TIMER_RETURN and not self._socket_is_open:
            return self._end_wait(Reason.TRANSFERRED, now, by=None)
        if event.timer == TIMER_BRIDGE:
            return self._restore_wait() if self._lapsed and self._socket_is_open else []
        return self._entertainment.timer_fired(event.timer)

    # --- bridging ---

    def _bridged(self, event: ev.Bridged, now: float) -> list[Effect]:
        offer = self._taken
        if offer is None or event.leg_uuid != offer.leg_uuid:
            return []
        return [
            ev.StopTimer(TIMER_BRIDGE),
            ev.ReportBridged(offer.id),
            ev.SetCallerVariables(talk_variables(now)),
            self._enter(
                Stage.TALKING,
                bridged_at=now,
                reason=Reason.BRIDGED,
                outcome=OUTCOME_OF_REASON[Reason.BRIDGED],
            ),
            self._ledger.note(now, "bridged", offer.agent),
            *([ev.RecordTalk(template, offer)] if (template := self._queue.record_template) else []),
        ]

    def _bridge_refused(self, event: ev.BridgeRefused, now: float) -> list[Effect]:
        if self._taken is None or event.offer_id != self._taken.id:
            self._lapsed = None
            return []
        return [
            *self._bridge_failed(event.why, now, leg_is_gone=False),
            ev.StopTimer(TIMER_BRIDGE),
            ev.SetCallerVariables(waiting_variables(self._ledger.arrival)),
        ]

    def _lapsed_bridge_refused(self, event: ev.BridgeRefused, now: float) -> list[Effect]:
        if self._lapsed is None or event.offer_id != self._lapsed.id:
            return []
        return [ev.StopTimer(TIMER_BRIDGE), *self._restore_wait()]

    def _restore_wait(self) -> list[Effect]:
        """The caller was not taken for the bridge that failed: it is as if it had never been ordered."""
        self._lapsed = None
        return [ev.SetCallerVariables(waiting_variables(self._ledger.arrival))]

    def _agent_gone_before_bridge(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
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
        if not self._socket_is_open:
            effects.append(ev.StartTimer(TIMER_RETURN, RETURN_SECONDS))
        return effects

    def _caller_gone_while_bridging(self, event: ev.CallerHungUp | ev.SwitchLost, now: float) -> list[Effect]:
        offer = self._taken
        assert offer is not None, "BRIDGING always has an offer"
        self._taken = None
        ended = (
            self._caller_gone(event, now)
            if isinstance(event, ev.CallerHungUp)
            else self._switch_lost(event, now)
        )
        return [
            ev.StopTimer(TIMER_BRIDGE),
            ev.ReportBridgeFailed(offer.id, caller_gone=True),
            ev.HangUpLeg(offer.leg_uuid, "ORIGINATOR_CANCEL"),
            *ended,
        ]

    def _left_for_the_bridge(self, event: ev.CallerTaken, now: float) -> list[Effect]:
        # uuid_bridge takes the caller out of the socket application; if the bridge then fails, only
        # the dialplan brings the caller back to us.
        self._socket_is_open = False
        return []

    def _bridge_timer(self, event: ev.TimerFired, now: float) -> list[Effect]:
        assert self._taken is not None, "BRIDGING always has an offer"
        return [ev.SettleBridge(self._taken)] if event.timer == TIMER_BRIDGE else []

    # --- talking ---

    def _agent_left_talk(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        ended = self._end_talk(now, hung_up_by=HungUpBy.AGENT, hangup_cause=event.cause)
        return [*self._free_agent(), *ended]

    def _unbridged(self, event: ev.Unbridged, now: float) -> list[Effect]:
        return self._end_talk(now)

    def _caller_left_talk(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        return [*self._end_talk(now), *self._caller_parted(event, now)]

    def _switch_lost_in_talk(self, event: ev.SwitchLost, now: float) -> list[Effect]:
        return [*self._end_talk(now, hung_up_by=HungUpBy.SWITCH), *self._finish(event, now)]

    def _returned_from_talk(self, event: ev.CallerReturned, now: float) -> list[Effect]:
        # The dialplan led the caller back into a queue after the talk: that is a new visit.
        return [*self._end_talk(now), *self._finish(event, now)]

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

    def _agent_parted(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        freed = self._free_agent()
        return [*freed, *self._finish(event, now)] if self._caller_is_gone else freed

    def _caller_parted(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        self._caller_is_gone = True
        by = event.by
        if self._hangup_is_ours:
            by = HungUpBy.CALLCTL
        elif by is HungUpBy.SWITCH:
            # With hangup_after_bridge the switch ends the caller's leg because the agent's has ended.
            by = HungUpBy.AGENT
        parted = self._ledger.change(hung_up_by=by, hangup_cause=event.cause, hold_seconds=event.hold_seconds)
        return [parted, *(self._finish(event, now) if self._taken is None else [])]

    def _farewell(self, event: ev.TimerFired, now: float) -> list[Effect]:
        if event.timer != TIMER_FAREWELL:
            return []
        went_on = [] if self._caller_is_gone else [self._ledger.note(now, "caller-went-on")]
        return [*went_on, *self._finish(event, now)]

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
        effects: list[Effect] = [ev.LeaveQueue()]
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
        return ev.HandBack(hand_back_variables(reason, now, target=target, exit_key=exit_key))

    def _finish(self, event: CallHappening, now: float) -> list[Effect]:
        leg = [] if self._taken is None else [ev.HangUpLeg(self._taken.leg_uuid, "NORMAL_CLEARING")]
        return [
            ev.StopTimer(TIMER_FAREWELL),
            *leg,
            *self._free_agent(),
            self._enter(Stage.ENDED),
            self._ledger.note(now, "ended", Reason.BRIDGED.value),
            ev.End(),
        ]

    def _nothing(self, event: CallHappening, now: float) -> list[Effect]:
        return []

    def _release(self, event: ev.AgentUnavailable, now: float) -> list[Effect]:
        # Also for an offer that was taken back: only now is the agent's phone free.
        return [ev.ReleaseOffer(event.offer_id, event.result, event.cause)]

    def _kill_late_leg(self, event: ev.AgentAnswered, now: float) -> list[Effect]:
        return [ev.HangUpLeg(event.leg_uuid, "ORIGINATOR_CANCEL")]

    # --- pieces ---

    def _enter(self, stage: Stage, **what: Any) -> Effect:
        """Go to `stage`, and return the order to write the row with `what` changed in it."""
        self._stage = stage
        return self._ledger.change(state=_STATE_OF_STAGE[stage], **what)

    def _entertain(self, now: float) -> list[Effect]:
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


_OFFERS_MAY_END_LATE: Mapping[type, Handler] = {
    ev.OfferWithdrawn: CallFlow._withdraw_offer,
    ev.AgentAnswered: CallFlow._agent_answered,
    ev.AgentUnavailable: CallFlow._agent_unavailable,
}
"""With `ring-all` other agents may still ring when one has answered."""

_NOTHING_TO_DO: Mapping[type, Handler] = dict.fromkeys(
    (
        ev.Offered,
        ev.OfferWithdrawn,
        ev.AgentUnavailable,
        ev.AgentHungUp,
        ev.Bridged,
        ev.BridgeRefused,
        ev.Unbridged,
        ev.CallerHungUp,
        ev.CallerTaken,
        ev.SocketLost,
        ev.CallerReturned,
        ev.SwitchLost,
        ev.WaitOver,
        ev.HangupOrdered,
        ev.MusicEnded,
        ev.KeyPressed,
        ev.PlaceTold,
        ev.TimerFired,
    ),
    CallFlow._nothing,
)

_IN_THE_QUEUE: Mapping[type, Handler] = {
    **_OFFERS_MAY_END_LATE,
    ev.Offered: CallFlow._ring,
    ev.AgentHungUp: CallFlow._nothing,
    ev.Bridged: CallFlow._caller_taken,
    ev.BridgeRefused: CallFlow._lapsed_bridge_refused,
    ev.Unbridged: CallFlow._nothing,
    ev.CallerHungUp: CallFlow._caller_gone,
    ev.CallerTaken: CallFlow._caller_taken,
    ev.SocketLost: CallFlow._socket_lost,
    ev.CallerReturned: CallFlow._caller_returned,
    ev.SwitchLost: CallFlow._switch_lost,
    ev.WaitOver: CallFlow._wait_over,
    ev.HangupOrdered: CallFlow._order_hangup,
    ev.MusicEnded: CallFlow._music_ended,
    ev.KeyPressed: CallFlow._key_pressed,
    ev.PlaceTold: CallFlow._place_told,
    ev.TimerFired: CallFlow._waiting_timer,
}

TABLE: Mapping[Stage, Mapping[type, Handler]] = {
    Stage.WAITING: _IN_THE_QUEUE,
    Stage.RINGING: _IN_THE_QUEUE,
    Stage.BRIDGING: {
        **_NOTHING_TO_DO,
        **_OFFERS_MAY_END_LATE,
        ev.AgentHungUp: CallFlow._agent_gone_before_bridge,
        ev.Bridged: CallFlow._bridged,
        ev.BridgeRefused: CallFlow._bridge_refused,
        ev.CallerHungUp: CallFlow._caller_gone_while_bridging,
        ev.CallerTaken: CallFlow._left_for_the_bridge,
        ev.SocketLost: CallFlow._socket_lost,
        ev.CallerReturned: CallFlow._caller_returned,
        ev.SwitchLost: CallFlow._caller_gone_while_bridging,
        ev.HangupOrdered: CallFlow._order_hangup,
        ev.TimerFired: CallFlow._bridge_timer,
    },
    Stage.TALKING: {
        **_NOTHING_TO_DO,
        **_OFFERS_MAY_END_LATE,
        ev.AgentHungUp: CallFlow._agent_left_talk,
        ev.Unbridged: CallFlow._unbridged,
        ev.CallerHungUp: CallFlow._caller_left_talk,
        ev.SocketLost: CallFlow._socket_lost,
        ev.CallerReturned: CallFlow._returned_from_talk,
        ev.SwitchLost: CallFlow._switch_lost_in_talk,
        ev.HangupOrdered: CallFlow._order_hangup,
    },
    Stage.PARTING: {
        **_NOTHING_TO_DO,
        ev.AgentAnswered: CallFlow._kill_late_leg,
        ev.AgentUnavailable: CallFlow._release,
        ev.AgentHungUp: CallFlow._agent_parted,
        ev.CallerHungUp: CallFlow._caller_parted,
        ev.CallerReturned: CallFlow._finish,
        ev.SwitchLost: CallFlow._finish,
        ev.TimerFired: CallFlow._farewell,
    },
    Stage.ENDED: {
        **_NOTHING_TO_DO,
        ev.AgentAnswered: CallFlow._kill_late_leg,
        ev.AgentUnavailable: CallFlow._release,
    },
}
