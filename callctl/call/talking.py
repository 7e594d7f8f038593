"""The two talk, and part: PARTING is over for the history, only the hangups are still to come."""

from __future__ import annotations

from callctl.call import events as ev
from callctl.call.events import Effect, PastTalk
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
            offers=max(1, self._ledger.record.offers),  # That the phone rang may not have reached the row.
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
            now, hung_up_by=HungUpBy.AGENT, hangup_cause=event.cause, hold_seconds=event.hold_seconds
        )
        return [*self._free_agent(), *ended, *self._put_right(event.talk, now)]

    def unbridged(self, event: ev.Unbridged, now: float) -> list[Effect]:
        return self._end_talk(now)

    def sent_on(self, event: ev.CallerElsewhere, now: float) -> list[Effect]:
        return self._end_talk(now)

    def caller_left_talk(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        return [*self._end_talk(now), *self.caller_parted(event, now)]

    def switch_lost_in_talk(self, event: ev.SwitchLost, now: float) -> list[Effect]:
        return [*self._end_talk(now, hung_up_by=HungUpBy.SWITCH), *self.finish(event, now)]

    def returned_from_talk(self, event: ev.CallerReturned, now: float) -> list[Effect]:
        # The dialplan led the caller, whom the agent has left, back into a queue: that is a new visit.
        return [*self._end_talk(now, hung_up_by=HungUpBy.AGENT), *self.finish(event, now)]

    # --- parting ---

    def agent_parted(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        held = self._ledger.change(hold_seconds=event.hold_seconds)
        freed = [*self._free_agent(), held, *self._put_right(event.talk, now)]
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
        return [
            parted,
            *self._put_right(event.talk, now),
            *(self.finish(event, now) if self._taken is None else []),
        ]

    def farewell(self, event: ev.TimerFired, now: float) -> list[Effect]:
        if event.timer != TIMER_FAREWELL:
            return []
        went_on = [] if self._caller_is_gone else [self._ledger.note(now, "caller-went-on")]
        return [*went_on, *self.finish(event, now)]

    # --- what the switch says of the talk ---

    def _put_right(self, talk: PastTalk | None, now: float) -> list[Effect]:
        """Correct when the talk began and ended, if a hangup tells that we heard of it late.

        A switch that stalls or is cut off just then tells of it when it can again.
        """
        record = self.record
        if talk is None or record.bridged_at is None or record.ended_at is None:
            return []
        if talk.leg_uuid not in (record.agent_uuid, record.arrival.uuid) or not talk.seconds:
            return []
        began_at = self._began_at(talk, latest=min(record.bridged_at, now - talk.seconds))
        if began_at > record.bridged_at - LATE_SECONDS:
            began_at = record.bridged_at
        ended_at = began_at + talk.seconds
        if ended_at > record.ended_at - LATE_SECONDS:
            ended_at = record.ended_at
        if (began_at, ended_at) == (record.bridged_at, record.ended_at):
            return []
        return [self._ledger.change(bridged_at=began_at, ended_at=ended_at)]

    def _began_at(self, talk: PastTalk, *, latest: float) -> float:
        """Return when the talk began: what the switch says, where its clock can be right.

        That is not before the agent's answer, which the bridge was ordered after, and at `latest` then.
        """
        earliest = self.record.answered_at
        if talk.began_at is None or earliest is None:
            return latest
        return max(earliest, min(talk.began_at, latest))
