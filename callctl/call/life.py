"""What every stage of a call's life shares: its state, its caller's comings and goings, and its ends.

What is done about each thing that can happen is decided here and in `waiting`, `bridging` and `talking`,
with no input or output. A wait ends once, in `_end_wait`, which writes the call's one reason; a talk has
its reason from the bridge on and ends once, in `_end_talk`. Which of these methods answers which event, and
when, is the table of `flow`.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from callctl.call import events as ev
from callctl.call.entertainment import Entertainment
from callctl.call.events import CallHappening, Effect
from callctl.call.hangup import Hangup
from callctl.call.ledger import Ledger
from callctl.call.stages import (
    BRIDGE_PROOF_SECONDS,
    RETURN_SECONDS,
    STATE_OF_STAGE,
    SWITCH_FAULTS,
    TIMER_BRIDGE,
    TIMER_FAREWELL,
    TIMER_RETURN,
    Stage,
)
from callctl.call.variables import (
    hand_back_variables,
    waiting_variables,
)
from callctl.model import (
    CALLBACK_TARGET,
    OUTCOME_OF_REASON,
    Arrival,
    CallRecord,
    CallState,
    HungUpBy,
    Offer,
    OfferRecord,
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
        self._gone_legs: dict[str, str] = {}
        """Legs that were gone before we heard of an answer, with the cause: it may be told later."""
        self._socket_is_open = True
        self._was_away = False
        """The caller had no socket when the bridge was ordered, as far as we know, and will come back."""
        self._is_returning = False
        """The caller was with us before a restart, which is counted as a resume, and has no socket yet."""
        self._was_fetched = False
        self._is_unattended = False
        """The caller is on a new socket, but hears nothing: a bridge was on its way when the caller came."""
        self._hangup_is_ours = False
        self._begin_talk()
        self._has_begun = False
        self._attempts = 0
        """How often a callback's caller was not reached."""

    @property
    def record(self) -> CallRecord:
        """The call's row as it stands."""
        return self._ledger.record

    @property
    def open_offers(self) -> list[OfferRecord]:
        """The rows of those who ring."""
        return self._ledger.open_offers

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

    def note(self, now: float, event: str, detail: str) -> Effect:
        """Return the order to add a line to the timeline about what is decided elsewhere."""
        return self._ledger.note(now, event, detail)

    def _begin_talk(self) -> None:
        """Nothing is known yet of how the talk ends that begins now, or may begin."""
        self._caller_is_gone = False
        self._caller_went_on = False
        """The caller was transferred out of the talk, and lives on."""
        self._caller_end: Hangup | None = None
        self._agent_end: Hangup | None = None
        self._caller_was_up = True
        """The bridge ended before the caller was gone, as far as we know."""
        self._apart_since: float | None = None
        """Since when the two hear each other no longer; None while they do."""
        self._is_apart = False
        """They are apart for longer than from a bridge to the hangups that follow it."""
        self._apart_seconds = 0.0
        self._was_bridged_again = False
        self._leg_was_busy = self._leg_was_idle = False
        """What the agent's leg was doing after the talk, when the switch was asked last."""

    def follow_on(self, before: CallLife) -> None:
        """Go on from an earlier visit of this caller: from another queue, or to call back.

        A bridge that lapsed there may yet come, unless the caller has hung up.
        """
        self._ledger.change(previous_visit=before.record.arrival.call)
        if not self._ledger.arrival.callback:
            self._lapsed, self._was_away = before._lapsed, before._was_away

    # --- the caller's socket ---

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

    def _await_bridge(self, now: float) -> list[Effect]:
        """The caller came back from elsewhere, and the order to bridge, which may take a moment, after it."""
        self._was_away, self._is_unattended = False, True
        return self._resume(now)

    def not_fetched(self, event: ev.CallerNotFetched, now: float) -> list[Effect]:
        # Who is not heard of is not lost: it is tried again when the time to return is over once more.
        self._was_fetched = False
        return []

    # --- the ends ---

    def caller_gone(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        # Where nobody tells, the caller: switches end waiting callers seldom.
        by = HungUpBy.CALLCTL if self._hangup_is_ours else event.by or HungUpBy.CALLER
        reason = Reason.CALLER_HANGUP
        if self._hangup_is_ours:
            reason = Reason.WITHDRAWN
        elif by is HungUpBy.SWITCH:
            reason = SWITCH_FAULTS.get(event.cause, Reason.CALLER_HANGUP)
        return self._end_wait(reason, now, by=by, hangup_cause=event.cause)

    def switch_lost(self, event: ev.SwitchLost, now: float) -> list[Effect]:
        return self._end_wait(Reason.SWITCH_LOST, self._when_lost(event, now), by=HungUpBy.SWITCH)

    def _when_lost(self, event: ev.SwitchLost, now: float) -> float:
        """Return when the call ended with its switch: when that was last heard of, and after all we know."""
        record, offers = self._ledger.record, self._ledger.open_offers
        known = (record.arrival.joined_at, record.answered_at, record.bridged_at)
        latest = max([*filter(None, known), *(offer.offered_at for offer in offers)])
        return max(latest, now - event.silent_seconds)

    def order_hangup(self, event: ev.HangupOrdered, now: float) -> list[Effect]:
        self._hangup_is_ours = True
        return [ev.HangUpCaller(event.cause), self._ledger.note(now, "hangup-ordered", event.cause)]

    def _end_wait(
        self,
        reason: Reason,
        now: float,
        *,
        by: HungUpBy | None,
        hangup_cause: str = "",
        target: str = "",
        exit_key: str = "",
        transferred_to: str = "",
    ) -> list[Effect]:
        effects: list[Effect] = [ev.LeaveQueue(abandoned=reason is Reason.CALLER_HANGUP)]
        effects += self._stop_all_ringing(reason, now)
        if by is None and reason is not Reason.TRANSFERRED and not self._ledger.arrival.callback:
            effects.append(self._send_on(reason, now, target, exit_key))
        ended = self._enter(
            Stage.ENDED,
            reason=reason,
            outcome=OUTCOME_OF_REASON[reason],
            target="" if by is not None else target,
            hung_up_by=by,
            hangup_cause=hangup_cause,
            transferred_to=transferred_to,
            agent="",
            agent_uuid="",
            answered_at=None,
            ended_at=now,
        )
        why = f"{reason.value}, on to {target}" if self.record.target else reason.value
        return [*effects, ended, self._ledger.note(now, "ended", why), ev.End()]

    def _left_at(self, event: ev.CallerElsewhere, now: float) -> float:
        """Return when the caller was sent on, which nobody may have heard at that moment."""
        return now if event.at is None else max(self._ledger.arrival.joined_at, min(event.at, now))

    def _send_on(self, reason: Reason, now: float, target: str, exit_key: str) -> Effect:
        """Return where the caller goes; the dialplan branches on extensions and voicemail boxes."""
        kind, _, name = target.partition(":")
        if kind == "queue":
            return ev.MoveToQueue(name)
        if kind == "hangup":
            return ev.HangUpCaller(name)
        variables = hand_back_variables(reason, now, target=target, exit_key=exit_key)
        return ev.KeepForCallback(variables) if target == CALLBACK_TARGET else ev.HandBack(variables)

    def _free_agent(self) -> list[Effect]:
        """The agent's leg is gone, so the phone is free: not before, or the next call finds it busy."""
        offer, self._taken = self._taken, None
        return [] if offer is None else [ev.ReportTalkEnded(offer.id)]

    def finish(self, event: CallHappening, now: float) -> list[Effect]:
        return [
            ev.StopTimer(TIMER_FAREWELL),
            *self._free_agent(),
            self._enter(Stage.ENDED),
            self._ledger.note(now, "ended", Reason.BRIDGED.value),
            ev.End(),
        ]

    # --- what comes too late ---

    def nothing(self, event: CallHappening, now: float) -> list[Effect]:
        return []

    def release(self, event: ev.AgentUnavailable, now: float) -> list[Effect]:
        # Also for an offer that was taken back: only now is the agent's phone free.
        return [ev.ReleaseOffer(event.offer_id, event.result, event.cause, event.reached)]

    def kill_late_leg(self, event: ev.AgentAnswered, now: float) -> list[Effect]:
        return [ev.HangUpLeg(event.leg_uuid, "ORIGINATOR_CANCEL")]

    # --- pieces ---

    def _enter(self, stage: Stage, **what: Any) -> Effect:
        """Go to `stage`, and return the order to write the row with `what` changed in it."""
        self._stage = stage
        return self._ledger.change(state=STATE_OF_STAGE[stage], **what)

    def _entertain(self, now: float) -> list[Effect]:
        self._is_unattended = False
        return [*self._keep_place(), *self._entertainment.begin(now)]

    def _keep_place(self) -> list[Effect]:
        """Let the channel carry the place, once no bridge can take the caller: its variables lead back."""
        if self._lapsed is not None:
            return [ev.StartTimer(TIMER_BRIDGE, BRIDGE_PROOF_SECONDS)]
        return [ev.SetCallerVariables(waiting_variables(self._ledger.arrival))]

    def _stop_all_ringing(self, reason: Reason, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for offer in list(self._ringing.values()):
            effects.append(ev.HangUpLeg(offer.leg_uuid, "ORIGINATOR_CANCEL"))
            effects += self._stop_ringing(offer.id, OfferResult.CANCELLED, reason.value, now)
        return effects

    def _stop_ringing(self, offer_id: str, result: OfferResult, cause: str, now: float) -> list[Effect]:
        offer = self._ringing.pop(offer_id)
        effects = [
            self._ledger.close_offer(offer_id, result, cause, now),
            self._ledger.note(now, f"offer-{result.value}", f"{offer.agent} {cause}".strip()),
        ]
        if self._stage is Stage.RINGING and not self._ringing:
            effects.append(self._enter(Stage.WAITING))
        return effects
