"""From an agent's answer to the bridge: the order, its proof, and everything that can come in between.

The reply to the order proves nothing. What does is CHANNEL_BRIDGE, or a hangup that names the other leg.
"""

from __future__ import annotations

from attrs import evolve

from callctl.call import events as ev
from callctl.call.events import Effect, PastTalk
from callctl.call.stages import (
    BRIDGE_PROOF_SECONDS,
    RETURN_SECONDS,
    TIMER_BRIDGE,
    TIMER_EXPIRY,
    TIMER_RETURN,
    Stage,
)
from callctl.call.talking import Talking
from callctl.call.variables import (
    bridge_variables,
    talk_variables,
    waiting_variables,
)
from callctl.model import (
    OUTCOME_OF_REASON,
    HungUpBy,
    Offer,
    OfferResult,
    Reason,
)


class Bridging(Talking):
    """What happens while two legs are being joined."""

    def _order_bridge(self, offer: Offer) -> list[Effect]:
        # A bridge that lapsed may have taken the caller too, and we have not heard of it.
        self._was_away = not self._socket_is_open or self._lapsed is not None
        return [
            ev.Bridge(offer, bridge_variables(offer)),
            ev.StartTimer(TIMER_BRIDGE, BRIDGE_PROOF_SECONDS),
        ]

    def bridged(self, event: ev.Bridged, now: float) -> list[Effect]:
        offer = self._taken
        if offer is None or event.leg_uuid != offer.leg_uuid:
            return []
        self._begin_talk()
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
            *self._record_talk(offer, now),
        ]

    def _bridged_after_all(self, talk: PastTalk, now: float) -> list[Effect]:
        """The two did hear each other: a hangup says so, which overtook CHANNEL_BRIDGE or is all we heard."""
        assert self._taken is not None, "BRIDGING always has an offer"
        began_at = self._began_at(talk, latest=now - talk.seconds)
        return self.bridged(ev.Bridged(self._taken.leg_uuid, began_at), now)

    def bridge_refused(self, event: ev.BridgeRefused, now: float) -> list[Effect]:
        if self._taken is None or event.offer_id != self._taken.id:
            self._lapsed = None
            return []
        return self._give_bridge_up(event.why, now)

    def lease_expired(self, event: ev.LeaseExpired, now: float) -> list[Effect]:
        # The agent is free again and may be rung for somebody else, so nothing is to come of this any more.
        if self._taken is None or event.offer_id != self._taken.id:
            return []
        return self._give_bridge_up("the agent's lease is over", now)

    def _give_bridge_up(self, why: str, now: float) -> list[Effect]:
        return [
            *self._bridge_failed(why, now, leg_is_gone=False),
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
        if self._ledger.arrival.callback:
            return []
        if self._is_unattended:
            return self._entertain(now)
        return [ev.SetCallerVariables(waiting_variables(self._ledger.arrival))]

    def agent_gone_before_bridge(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        if event.talk is not None and event.talk.leg_uuid == self._ledger.arrival.uuid:
            return [*self._bridged_after_all(event.talk, now), *self.agent_left_talk(event, now)]
        # The order may still be on its way. If FreeSWITCH takes the caller for it, only the variables that
        # were set before it lead back, so they stay until that is settled: by a refusal, by the caller's
        # return, or by the time for a proof.
        self._lapsed = self._taken
        return self._bridge_failed(event.cause, now, leg_is_gone=True)

    def _bridge_failed(
        self, why: str, now: float, *, leg_is_gone: bool, is_last: bool = False
    ) -> list[Effect]:
        offer = self._taken
        assert offer is not None, "BRIDGING always has an offer"
        self._taken = None
        effects: list[Effect] = [
            ev.ReportBridgeFailed(offer.id, caller_gone=is_last),
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
            effects += self._let_go_of_called_back(now)
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
        talk = event.talk if isinstance(event, ev.CallerHungUp) else None
        if isinstance(event, ev.CallerHungUp) and talk is not None and talk.leg_uuid == offer.leg_uuid:
            return [*self._bridged_after_all(talk, now), *self.caller_left_talk(event, now)]
        if self._ledger.arrival.callback and not self._hangup_is_ours:
            if isinstance(event, ev.SwitchLost):
                return [ev.StopTimer(TIMER_BRIDGE), *self._call_again_later("the switch was lost", "", now)]
            if not self._ledger.arrival.uuid:
                # The phone is busy, or declines: the result of the order says the same, a moment later.
                return self._not_reached(event.cause, now)
            if event.by is HungUpBy.SWITCH:
                # As it does to a caller with no way back, whose agent is gone in the instant of the bridge.
                return [ev.StopTimer(TIMER_BRIDGE), *self._call_again_later(event.cause, event.cause, now)]
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

    def elsewhere_while_bridging(self, event: ev.CallerElsewhere, now: float) -> list[Effect]:
        offer = self._taken
        assert offer is not None, "BRIDGING always has an offer"
        if event.talked_with == offer.leg_uuid:
            bridged = self._bridged_after_all(PastTalk(offer.leg_uuid), self._left_at(event, now))
            return [*bridged, *self.sent_on(event, now)]
        self._taken = None
        return [
            ev.StopTimer(TIMER_BRIDGE),
            ev.ReportBridgeFailed(offer.id, caller_gone=True),
            ev.HangUpLeg(offer.leg_uuid, "ORIGINATOR_CANCEL"),
            self._ledger.close_offer(offer.id, OfferResult.CANCELLED, Reason.TRANSFERRED.value, now),
            *self._end_wait(
                Reason.TRANSFERRED, self._left_at(event, now), by=None, transferred_to=event.place
            ),
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

    def bridge_timer(self, event: ev.TimerFired, now: float) -> list[Effect]:
        assert self._taken is not None, "BRIDGING always has an offer"
        return [ev.SettleBridge(self._taken)] if event.timer == TIMER_BRIDGE else []

    # --- calling back ---

    def _let_go_of_called_back(self, now: float) -> list[Effect]:
        """The agent for whom the caller was called is not there any more: another one is to call again."""
        nobody_on_the_line = self._ledger.change(arrival=evolve(self._ledger.arrival, uuid=""))
        return [ev.HangUpCaller("ORIGINATOR_CANCEL"), nobody_on_the_line, self._expire_later(now)]

    def _expire_later(self, now: float) -> Effect:
        """Return the timer of a callback, which counts from the key on, also over a restart."""
        expires_at = self._ledger.arrival.joined_at + self._queue.callback_expiry
        return ev.StartTimer(TIMER_EXPIRY, max(0.0, expires_at - now))

    def caller_reached(self, event: ev.CallerReached, now: float) -> list[Effect]:
        if self._taken is None or event.offer_id != self._taken.id:
            return self.hang_up_late_caller(event, now)
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
        return self._not_reached(event.cause, now)

    def _not_reached(self, cause: str, now: float) -> list[Effect]:
        return self._call_again_later(f"caller not reached: {cause}", cause, now)

    def _call_again_later(self, why: str, cause: str, now: float) -> list[Effect]:
        """Offer the callback again after a while; after the last attempt the promise has run out.

        Nobody has hung up then. `why` is for people, `cause` FreeSWITCH's, or "".
        """
        self._attempts += 1
        is_last = self._attempts >= self._queue.callback_attempts
        failed = self._bridge_failed(why, now, leg_is_gone=False, is_last=is_last)
        if is_last:
            given_up = self._ledger.note(now, "callback-given-up", f"attempt {self._attempts}")
            ended = self._end_wait(Reason.TIMEOUT, now, by=HungUpBy.CALLCTL, hangup_cause=cause)
            return [*failed, given_up, *ended]
        # Before the agent is free: nobody is to be offered this call in the meantime.
        return [ev.Postpone(self._queue.callback_retry_interval), *failed]

    def hang_up_late_caller(self, event: ev.CallerReached, now: float) -> list[Effect]:
        return [ev.HangUpLeg(event.uuid, "ORIGINATOR_CANCEL")]
