"""The caller waits, and agents are rung: what happens from joining the queue to an agent's answer."""

from __future__ import annotations

from attrs import evolve

from callctl.call import events as ev
from callctl.call.bridging import Bridging
from callctl.call.events import Effect
from callctl.call.stages import (
    RETURN_SECONDS,
    TIMER_BRIDGE,
    TIMER_EXPIRY,
    TIMER_RETURN,
    Stage,
)
from callctl.call.variables import KEYS_AS_USUAL
from callctl.model import (
    CALLBACK_TARGET,
    HungUpBy,
    OfferResult,
    Place,
    Reason,
)
from callctl.records.caller_identity import can_be_dialled


class Waiting(Bridging):
    """What happens in the queue."""

    def begin(self, place: Place, now: float) -> list[Effect]:
        """The caller stands in the queue. Returns what to do first."""
        placed = self._stand(place)
        arrival = self._ledger.arrival
        joined = (
            self._ledger.note(now, "resumed", f"{arrival.queue}, time {arrival.resumes}")
            if arrival.resumes
            else self._ledger.note(now, "joined", f"{arrival.queue}, position {place.position}")
        )
        return [placed, joined, *self._entertain(now)]

    def begin_without_socket(self, place: Place, now: float) -> list[Effect]:
        """The caller stands in the queue, and no socket leads it. Returns what to do meanwhile.

        It is the old place of one who is on the way back after a restart, one in a queue to which another
        has sent the caller, or that of a callback.
        """
        placed = self._stand(place)
        arrival = self._ledger.arrival
        self._socket_is_open = False
        if arrival.callback:
            return [
                placed,
                self._ledger.note(now, "callback-queued", f"{arrival.queue}, position {place.position}"),
                self._expire_later(now),
            ]
        self._is_returning = was_here = arrival.resumes > 0
        return [
            placed,
            self._ledger.note(now, "place-kept", arrival.queue)
            if was_here
            else self._ledger.note(now, "joined", f"{arrival.queue}, position {place.position}"),
            *([] if was_here else self._keep_place()),
            ev.SettleCaller(),
            ev.StartTimer(TIMER_RETURN, RETURN_SECONDS),
        ]

    def _stand(self, place: Place) -> Effect:
        self._has_begun = True
        return self._ledger.change(
            # Where the row of an earlier time had not reached the disk, this is all that is known of it.
            position_at_entry=self._ledger.record.position_at_entry or place.position,
            arrival=evolve(self._ledger.arrival, place_since=place.since),
        )

    def refuse(self, reason: Reason, now: float, target: str = "") -> list[Effect]:
        """The queue does not take this caller. Returns what to do: on to `target`, or to the dialplan."""
        return self._end_wait(reason, now, by=None, target=target)

    # --- agents ---

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

    def agent_gone(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        self._gone_legs[event.leg_uuid] = event.cause
        return []

    def agent_answered(self, event: ev.AgentAnswered, now: float) -> list[Effect]:
        offer = self._ringing.get(event.offer_id)
        if offer is None:
            return [ev.HangUpLeg(event.leg_uuid, "ORIGINATOR_CANCEL")]
        if not event.won:
            return [
                ev.HangUpLeg(event.leg_uuid, "LOSE_RACE"),
                *self._stop_ringing(offer.id, OfferResult.CANCELLED, "LOSE_RACE", now),
            ]
        if (cause := self._gone_legs.get(event.leg_uuid)) is not None:
            return [
                ev.ReportBridgeFailed(offer.id, caller_gone=False),
                # Of a contact with several phones one may be gone, and another have answered as the same leg.
                ev.HangUpLeg(event.leg_uuid, "ORIGINATOR_CANCEL"),
                *self._stop_ringing(offer.id, OfferResult.FAILED, cause, now),
            ]
        # FreeSWITCH names the leg; ours is only a wish where the UUID was taken already.
        offer = evolve(offer, leg_uuid=event.leg_uuid)
        del self._ringing[offer.id]
        self._taken = offer
        if self._ledger.arrival.callback:
            ordered: list[Effect] = [ev.CallBack(offer)]
        else:
            ordered = self._order_bridge(offer)
        # Written before it is sent: after a kill in between, the row says what was about to happen.
        return [
            self._enter(Stage.BRIDGING, agent=offer.agent, agent_uuid=offer.leg_uuid, answered_at=now),
            self._ledger.close_offer(offer.id, OfferResult.ANSWERED, "", now),
            self._ledger.note(now, "agent-answered", offer.agent),
            *ordered,
        ]

    # --- the wait ---

    def caller_gone_from_queue(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        # Of a callback it is the caller who was reached and let go, and who is to be called again.
        return [] if self._ledger.arrival.callback else self.caller_gone(event, now)

    def switch_lost_from_queue(self, event: ev.SwitchLost, now: float) -> list[Effect]:
        return [] if self._ledger.arrival.callback else self.switch_lost(event, now)

    def wait_over(self, event: ev.WaitOver, now: float) -> list[Effect]:
        return self._end_wait(event.reason, now, by=None, target=event.target)

    def caller_taken(self, event: ev.CallerTaken | ev.Bridged, now: float) -> list[Effect]:
        if not self._socket_is_open:
            return []  # The dialplan is playing music between two visits; the caller is still ours.
        if self._is_of_lapsed_bridge(event):
            return [ev.StopTimer(TIMER_BRIDGE), *self._expect_return()]
        return [
            ev.SetCallerVariables({**KEYS_AS_USUAL, "callctl_call": ""}),
            *self._end_wait(Reason.TRANSFERRED, now, by=None, transferred_to=_place(event)),
        ]

    def caller_elsewhere(self, event: ev.CallerElsewhere, now: float) -> list[Effect]:
        # Nothing is set on the channel: it may be in the next visit already.
        at = self._left_at(event, now)
        return self._end_wait(Reason.TRANSFERRED, at, by=None, transferred_to=event.place)

    def claim_refuted(self, event: ev.ClaimRefuted, now: float) -> list[Effect]:
        refuted = self._ledger.note(now, "claim-refuted", "the switch has no such caller")
        return [refuted, *self._end_wait(Reason.ERROR, now, by=HungUpBy.CALLCTL)]

    def _is_of_lapsed_bridge(self, event: ev.CallerTaken | ev.Bridged) -> bool:
        """Say whether this is the bridge that has failed: the way back, set before it, leads to us."""
        if self._lapsed is None:
            return False
        return isinstance(event, ev.CallerTaken) or event.leg_uuid == self._lapsed.leg_uuid

    def music_ended(self, event: ev.MusicEnded, now: float) -> list[Effect]:
        return self._note_failures(self._entertainment.music_ended(event, now), now)

    def sound_failed(self, event: ev.SoundFailed, now: float) -> list[Effect]:
        return self._note_failures([self._entertainment.sound_failed(event)], now)

    def _note_failures(self, effects: list[Effect], now: float) -> list[Effect]:
        """Return `effects`, and for each sound that fails for the first time a line of the timeline."""
        notes = [
            self._ledger.note(now, f"{effect.kind.value}-failed", effect.sound)
            for effect in effects
            if isinstance(effect, ev.ReportUnplayable) and self._entertainment.is_first_failure(effect.sound)
        ]
        return [*effects, *notes]

    def key_pressed(self, event: ev.KeyPressed, now: float) -> list[Effect]:
        if event.digit == self._queue.callback_key:
            if not can_be_dialled(self._ledger.arrival.caller_number):
                return [self._ledger.note(now, "callback-refused", "the caller has no number to dial")]
            return self._end_wait(
                Reason.EXIT_WITH_KEY, now, by=None, exit_key=event.digit, target=CALLBACK_TARGET
            )
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


def _place(event: ev.CallerTaken | ev.Bridged) -> str:
    return event.place if isinstance(event, ev.CallerTaken) else ""
