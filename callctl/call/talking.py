"""The two talk, and part.

The end of a bridge is not the end of the talk: the agent may ask a colleague and come back, and so may the
caller from an announcement. The talk lasts until either leg is gone, or the caller is in a queue again; in
between the two are *apart*, which counts as hold. What they do then, the switch is asked.

PARTING is over for the history: the other hangup is still to come. The agent is busy until its leg is gone,
also when it is still on the phone with somebody else.
"""

from __future__ import annotations

from callctl.call import events as ev
from callctl.call.events import Effect, PastTalk
from callctl.call.hangup import Hangup, who_ended
from callctl.call.life import CallLife
from callctl.call.recording import path_of_talk
from callctl.call.stages import (
    APART_SECONDS,
    FAREWELL_SECONDS,
    LAST_WORDS_SECONDS,
    LATE_SECONDS,
    QUESTION_SECONDS,
    TIMER_APART,
    TIMER_FAREWELL,
    Stage,
)
from callctl.call.standing import Standing, hear_each_other
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

    def adopt(
        self, offer: Offer, bridged_at: float, now: float, *, are_together: bool = True
    ) -> list[Effect]:
        """The caller talks with this offer's agent since `bridged_at`; we found them so.

        Not `are_together`: the agent's leg is in use, and the switch is asked what has become of the caller.
        """
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
        if not are_together:
            self._apart_since = now
        return [
            adopted,
            self._ledger.note(now, "adopted", offer.agent),
            ev.SetCallerVariables(talk_variables(now)),
            ev.SettleCaller(),
            *([] if are_together else [ev.SettleTalk(offer.leg_uuid)]),
        ]

    # --- the recording ---

    def _record_talk(self, offer: Offer, now: float) -> list[Effect]:
        template = self._queue.record_template
        return [ev.RecordTalk(path_of_talk(template, self._ledger.arrival, offer, now))] if template else []

    def recording_began(self, event: ev.RecordingBegan, now: float) -> list[Effect]:
        return [
            self._ledger.change(recording=event.path),
            self._ledger.note(now, "recording", event.path),
            *(self._stop_recording() if self._stage is not Stage.TALKING else []),
        ]

    def _stop_recording(self) -> list[Effect]:
        """What the caller does next is not for the recording of this talk; a hangup ends it by itself."""
        path = self._ledger.record.recording
        is_gone = self._caller_is_gone and not self._caller_went_on
        return [ev.StopRecording(path)] if path and not is_gone else []

    # --- apart, and together again ---

    def unbridged(self, event: ev.Unbridged, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        self._caller_was_up = not event.caller_was_gone
        return [*self._come_apart(now), ev.StartTimer(TIMER_APART, APART_SECONDS)]

    def agent_elsewhere(self, event: ev.AgentTalksElsewhere, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid or self._is_apart:
            return []
        return [*self._come_apart(now), *self._be_apart("the agent talks with somebody else", now)]

    def bridged_again(self, event: ev.Bridged, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        return self._be_together(now if event.at is None else event.at)

    def talking_timer(self, event: ev.TimerFired, now: float) -> list[Effect]:
        if event.timer != TIMER_APART or self._taken is None or self._apart_since is None:
            return []
        return [ev.SettleTalk(self._taken.leg_uuid)]

    def talk_settled(self, event: ev.TalkSettled, now: float) -> list[Effect]:
        taken, caller, leg = self._taken, event.caller, event.leg
        if taken is None or self._apart_since is None or caller is None or leg is None:
            return []
        if not caller.is_up:
            return self.caller_left_talk(ev.CallerHungUp("", None), now)
        if not leg.is_up:
            return self.agent_left_talk(ev.AgentHungUp(taken.leg_uuid, "", by=None), now)
        if hear_each_other(self._ledger.arrival.uuid, caller, taken.leg_uuid, leg):
            return self._be_together(now)
        # An idle leg is left alone while the caller lives: it may be waiting for the caller to come back.
        asked_again = ev.StartTimer(TIMER_APART, QUESTION_SECONDS)
        return [asked_again] if self._is_apart else self._be_apart(_whereabouts(caller), now)

    def _come_apart(self, now: float) -> list[Effect]:
        """The bridge has ended, for now or for good: what the caller does meanwhile is not recorded."""
        if self._apart_since is not None:
            return []
        self._apart_since = now
        path = self._ledger.record.recording
        return [ev.PauseRecording(path, is_paused=True)] if path and self._caller_was_up else []

    def _be_apart(self, why: str, now: float) -> list[Effect]:
        self._is_apart = True
        return [self._ledger.note(now, "apart", why), ev.StartTimer(TIMER_APART, QUESTION_SECONDS)]

    def _be_together(self, now: float) -> list[Effect]:
        """The two hear each other again, or still."""
        since, was_apart = self._apart_since, self._is_apart
        self._apart_since, self._is_apart = None, False
        if since is None:
            return []
        self._was_bridged_again = True
        path = self._ledger.record.recording
        going_on: list[Effect] = [ev.StopTimer(TIMER_APART)]
        if path:
            going_on.append(ev.PauseRecording(path, is_paused=False))
        if not was_apart:
            return going_on
        self._apart_seconds += max(0.0, now - since)
        held = self._ledger.change(hold_seconds=self._apart_seconds)
        return [*going_on, held, self._ledger.note(now, "together-again")]

    # --- the end of the talk ---

    def agent_left_talk(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        ended = self._end_talk(now)
        return [*ended, *self.agent_parted(event, now)]

    def caller_left_talk(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        self._caller_is_gone = True
        return [*self._end_talk(now), *self.caller_parted(event, now)]

    def switch_lost_in_talk(self, event: ev.SwitchLost, now: float) -> list[Effect]:
        lost = self._end_talk(self._when_lost(event, now))
        return [*lost, self._ledger.change(hung_up_by=HungUpBy.SWITCH), *self.finish(event, now)]

    def sent_on(self, event: ev.CallerElsewhere, now: float) -> list[Effect]:
        if event.place:  # The caller begins another visit: that is the end of this one.
            return [
                *self._end_talk(now),
                self._date_back(event, now),
                *self._let_caller_go_on(event.place, event, now),
            ]
        if self._taken is None or self._apart_since is not None:
            return []
        return [*self._come_apart(now), ev.StartTimer(TIMER_APART, APART_SECONDS)]

    def sent_on_late(self, event: ev.CallerElsewhere, now: float) -> list[Effect]:
        if not event.place:
            return []
        dated_back = self._date_back(event, now)
        if self._caller_is_gone:
            return [dated_back]
        return [dated_back, *self._let_caller_go_on(event.place, event, now)]

    def _date_back(self, event: ev.CallerElsewhere, now: float) -> Effect:
        """The talk has ended by when the caller's next visit begins, however late we have heard of it."""
        record, left_at = self.record, self._left_at(event, now)
        return self._ledger.change(
            bridged_at=min(record.bridged_at or left_at, left_at),
            ended_at=min(record.ended_at or left_at, left_at),
        )

    def returned_from_talk(self, event: ev.CallerReturned, now: float) -> list[Effect]:
        # The dialplan led the caller back to us: that is a new visit, on a socket of its own.
        back = ev.HandBack({"callctl_call": "", "callctl_reason": ""})
        return [*self._end_talk(now), back, *self._let_caller_go_on("", event, now)]

    def _end_talk(self, now: float) -> list[Effect]:
        """The two hear each other no more; what is still to come is told in PARTING."""
        since, was_apart = self._apart_since, self._is_apart
        self._apart_since, self._is_apart = None, False
        if was_apart and since is not None:
            self._apart_seconds += max(0.0, now - since)
        # Bridges end a moment before the hangups that explain it.
        ended_at = since if since is not None and not was_apart else now
        return [
            *([] if since is None else [ev.StopTimer(TIMER_APART)]),
            ev.StartTimer(TIMER_FAREWELL, FAREWELL_SECONDS),
            *self._stop_all_ringing(Reason.BRIDGED, now),
            *self._stop_recording(),
            self._enter(Stage.PARTING, ended_at=ended_at, hold_seconds=self._apart_seconds),
        ]

    # --- parting ---

    def agent_parted(self, event: ev.AgentHungUp, now: float) -> list[Effect]:
        if self._taken is None or event.leg_uuid != self._taken.leg_uuid:
            return []
        self._agent_end = Hangup(event.by, event.hung_up_at)
        told = self._ledger.change(
            hold_seconds=self._apart_seconds + event.hold_seconds,
            hung_up_by=self._hung_up_by(),
            hangup_cause=self.record.hangup_cause or event.cause,
        )
        parted = [*self._free_agent(), told, *self._put_right(event.talk, now)]
        return [*parted, *self._finish_if_told(event, now)]

    def caller_parted(self, event: ev.CallerHungUp, now: float) -> list[Effect]:
        self._caller_is_gone = True
        if event.by is not None or self._caller_end is None:
            self._caller_end = Hangup(event.by, event.hung_up_at)
        told = self._ledger.change(
            hung_up_by=self._hung_up_by(), hangup_cause=event.cause or self.record.hangup_cause
        )
        return [told, *self._put_right(event.talk, now), *self._finish_if_told(event, now)]

    def _hung_up_by(self) -> HungUpBy | None:
        if self._hangup_is_ours:
            return HungUpBy.CALLCTL
        if self._caller_went_on:
            return HungUpBy.TRANSFERRED
        return who_ended(self._caller_end, self._agent_end, caller_was_up=self._caller_was_up)

    def _finish_if_told(self, event: ev.CallHappening, now: float) -> list[Effect]:
        """End the call when both legs are gone, and have told how."""
        if self._taken is not None or not self._caller_is_gone:
            return []
        ends = () if self._hangup_is_ours or self._caller_went_on else (self._caller_end, self._agent_end)
        if any(end is None or end.by is None for end in ends):
            return [ev.StartTimer(TIMER_FAREWELL, LAST_WORDS_SECONDS)]
        return self.finish(event, now)

    def unbridged_late(self, event: ev.Unbridged, now: float) -> list[Effect]:
        record = self.record
        if event.leg_uuid != record.agent_uuid:
            return []
        self._caller_was_up = not event.caller_was_gone
        by = self._hung_up_by()
        return [] if by is None or by is record.hung_up_by else [self._ledger.change(hung_up_by=by)]

    def farewell(self, event: ev.TimerFired, now: float) -> list[Effect]:
        if event.timer != TIMER_FAREWELL:
            return []
        if self._taken is None and self._caller_is_gone:
            return self.finish(event, now)  # Nobody told who ended it, and nobody will.
        return [ev.SettleTalk("" if self._taken is None else self._taken.leg_uuid)]

    def parting_settled(self, event: ev.TalkSettled, now: float) -> list[Effect]:
        caller, leg = event.caller, event.leg
        effects: list[Effect] = []
        if caller is not None and not caller.is_up and not self._caller_is_gone:
            effects += self.caller_parted(ev.CallerHungUp("", None), now)
        if self._taken is None:
            if self._stage is Stage.PARTING and not self._caller_is_gone and caller is not None:
                effects += self._let_caller_go_on(caller.place, event, now)
            return effects
        if leg is None:
            return effects
        if not leg.is_up:
            return effects + self.agent_parted(ev.AgentHungUp(self._taken.leg_uuid, "", by=None), now)
        if leg.is_parked or (leg.is_idle and self._leg_was_idle):
            # Nobody is left whom it could be waiting for.
            effects.append(ev.HangUpLeg(self._taken.leg_uuid, "NORMAL_CLEARING"))
            return [*effects, ev.StartTimer(TIMER_FAREWELL, FAREWELL_SECONDS)]
        if not leg.is_idle and not self._leg_was_busy:
            self._leg_was_busy = True
            effects.append(self._ledger.note(now, "agent-still-on-the-phone", self._taken.agent))
        self._leg_was_idle = leg.is_idle
        pause_seconds = FAREWELL_SECONDS if leg.is_idle else QUESTION_SECONDS
        return [*effects, ev.StartTimer(TIMER_FAREWELL, pause_seconds)]

    def _let_caller_go_on(self, place: str, event: ev.CallHappening, now: float) -> list[Effect]:
        """The caller lives on elsewhere: sent there by the agent, or by somebody else."""
        self._caller_is_gone = self._caller_went_on = True
        by_agent = self._agent_end is not None and self._agent_end.by is HungUpBy.AGENT
        detail = f"{place}, by the agent" if by_agent else place
        return [
            self._ledger.change(hung_up_by=HungUpBy.TRANSFERRED, transferred_to=place),
            self._ledger.note(now, "caller-went-on", detail),
            *self._finish_if_told(event, now),
        ]

    # --- what the switch says of the talk ---

    def _put_right(self, talk: PastTalk | None, now: float) -> list[Effect]:
        """Correct when the talk began and ended, if a hangup tells that we heard of it late.

        A switch that stalls or is cut off just then tells of it when it can again. After a consultation the
        last bridge is not the whole talk.
        """
        record = self.record
        if talk is None or record.bridged_at is None or record.ended_at is None or self._was_bridged_again:
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


def _whereabouts(caller: Standing) -> str:
    """Return what a caller does who is not with the agent, for people to read."""
    return caller.place or caller.application or "nothing"
