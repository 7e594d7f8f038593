"""The two talk, and part: PARTING is over for the history, only the hangups are still to come."""

from __future__ import annotations

from callctl.call import events as ev
from callctl.call.events import Effect
from callctl.call.life import CallLife
from callctl.call.stages import (
    LATE_SECONDS,
    TIMER_FAREWELL,
    Stage,
)
from callctl.call.variables import (
    talk_variables,
)
from callctl.model import (
    OUTCOME_OF_REASON,
    HungUpBy,
    Offer,
    Reason,
)


class Talking(CallLife):
    """What happens from the bridge on."""

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

    def agent_left_talk(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        ended = self._end_talk(
            now,
            hung_up_by=HungUpBy.AGENT,
            hangup_cause=event.cause,
            hold_seconds=event.hold_seconds,
            bridged_at=self._began_at(event, now),
        )
        return [*self._free_agent(), *ended]

    def unbridged(self, event: ev.Unbridged, now: float) -> list[Effect]:
        return self._end_talk(now)

    def caller_left_talk(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        return [*self._end_talk(now), *self.caller_parted(event, now)]

    def _began_at(self, event: ev.AgentHungUp | ev.CallerHungUp, now: float) -> float | None:
        """Return when the talk began, now that a hangup tells it too.

        Its proof may have come late, and so may the hangup, but none came early: the earlier time is nearer.
        It is not before the agent's answer, whatever a switch says whose clock was set meanwhile.
        """
        record = self._ledger.record
        told = record.bridged_at
        is_of_this_talk = event.talked_to in (record.agent_uuid, self._ledger.arrival.uuid)
        if told is None or not is_of_this_talk or event.bridged_seconds <= 0:
            return told
        earliest = told if record.answered_at is None else record.answered_at
        began_at = max(earliest, now - event.bridged_seconds)
        return began_at if began_at < told - LATE_SECONDS else told

    def switch_lost_in_talk(self, event: ev.SwitchLost, now: float) -> list[Effect]:
        return [*self._end_talk(now, hung_up_by=HungUpBy.SWITCH), *self.finish(event, now)]

    def returned_from_talk(self, event: ev.CallerReturned, now: float) -> list[Effect]:
        # The dialplan led the caller back into a queue after the talk: that is a new visit.
        return [*self._end_talk(now), *self.finish(event, now)]

    # --- parting ---

    def agent_parted(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        told = self._ledger.change(hold_seconds=event.hold_seconds, bridged_at=self._began_at(event, now))
        freed = [*self._free_agent(), told]
        return [*freed, *self.finish(event, now)] if self._caller_is_gone else freed

    def caller_parted(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        self._caller_is_gone = True
        by = event.by
        if self._hangup_is_ours:
            by = HungUpBy.CALLCTL
        elif by is HungUpBy.SWITCH:
            # With hangup_after_bridge the switch ends the caller's leg because the agent's has ended.
            by = HungUpBy.AGENT
        began_at = self._began_at(event, now)
        parted = self._ledger.change(hung_up_by=by, hangup_cause=event.cause, bridged_at=began_at)
        return [parted, *(self.finish(event, now) if self._taken is None else [])]

    def farewell(self, event: ev.TimerFired, now: float) -> list[Effect]:
        if event.timer != TIMER_FAREWELL:
            return []
        went_on = [] if self._caller_is_gone else [self._ledger.note(now, "caller-went-on")]
        return [*went_on, *self.finish(event, now)]
