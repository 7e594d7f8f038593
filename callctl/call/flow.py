"""A call's life as a table: (state, event, time) → (state, effects), with no input or output.

`TABLE` has a row for every stage, and in it an entry for every event that can reach it. An event with no
entry raises and changes nothing. What happened too late is an entry as well: it says what is done about
it, which is mostly nothing, but never leaves an agent's leg behind.

    WAITING ⇄ RINGING → BRIDGING → TALKING → PARTING → ENDED     (and from each of them to ENDED)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from callctl.call import events as ev
from callctl.call.bridging import Bridging
from callctl.call.events import CallHappening, Effect
from callctl.call.life import CallLife
from callctl.call.stages import Stage
from callctl.call.talking import Talking
from callctl.call.waiting import Waiting

Handler = Callable[[Any, Any, float], list[Effect]]


_OFFERS_MAY_END_LATE: Mapping[type, Handler] = {
    ev.OfferWithdrawn: Waiting.withdraw_offer,
    ev.AgentAnswered: Waiting.agent_answered,
    ev.AgentUnavailable: Waiting.agent_unavailable,
}
"""With `ring-all` other agents may still ring when one has answered."""

_NOTHING_TO_DO: Mapping[type, Handler] = dict.fromkeys(
    (
        ev.Offered,
        ev.OfferWithdrawn,
        ev.LeaseExpired,
        ev.AgentUnavailable,
        ev.AgentHungUp,
        ev.Bridged,
        ev.BridgeRefused,
        ev.Unbridged,
        ev.AgentTalksElsewhere,
        ev.TalkSettled,
        ev.CallerHungUp,
        ev.CallerTaken,
        ev.CallerElsewhere,
        ev.ClaimRefuted,
        ev.SocketLost,
        ev.CallerReturned,
        ev.CallerNotFetched,
        ev.SwitchLost,
        ev.WaitOver,
        ev.HangupOrdered,
        ev.MusicEnded,
        ev.SoundFailed,
        ev.KeyPressed,
        ev.PlaceTold,
        ev.CallerUnreached,
        ev.TimerFired,
    ),
    CallLife.nothing,
) | {ev.CallerReached: Bridging.hang_up_late_caller}

_IN_THE_QUEUE: Mapping[type, Handler] = {
    **_OFFERS_MAY_END_LATE,
    ev.Offered: Waiting.ring,
    ev.LeaseExpired: CallLife.nothing,
    ev.AgentHungUp: Waiting.agent_gone,
    ev.Bridged: Waiting.caller_taken,
    ev.BridgeRefused: Bridging.lapsed_bridge_refused,
    ev.Unbridged: CallLife.nothing,
    ev.AgentTalksElsewhere: CallLife.nothing,
    ev.TalkSettled: CallLife.nothing,
    ev.CallerHungUp: Waiting.caller_gone_from_queue,
    ev.CallerTaken: Waiting.caller_taken,
    ev.CallerElsewhere: Waiting.caller_elsewhere,
    ev.RecordingBegan: Waiting.recording_began,
    ev.ClaimRefuted: Waiting.claim_refuted,
    ev.SocketLost: CallLife.socket_lost,
    ev.CallerReturned: CallLife.caller_returned,
    ev.CallerNotFetched: CallLife.not_fetched,
    ev.SwitchLost: Waiting.switch_lost_from_queue,
    ev.WaitOver: Waiting.wait_over,
    ev.HangupOrdered: CallLife.order_hangup,
    ev.MusicEnded: Waiting.music_ended,
    ev.SoundFailed: Waiting.sound_failed,
    ev.KeyPressed: Waiting.key_pressed,
    ev.PlaceTold: Waiting.place_told,
    ev.CallerReached: Bridging.caller_reached,
    ev.CallerUnreached: Bridging.caller_unreached,
    ev.TimerFired: Waiting.waiting_timer,
}

TABLE: Mapping[Stage, Mapping[type, Handler]] = {
    Stage.WAITING: _IN_THE_QUEUE,
    Stage.RINGING: _IN_THE_QUEUE,
    Stage.BRIDGING: {
        **_NOTHING_TO_DO,
        **_OFFERS_MAY_END_LATE,
        ev.LeaseExpired: Bridging.lease_expired,
        ev.AgentHungUp: Bridging.agent_gone_before_bridge,
        ev.Bridged: Bridging.bridged,
        ev.BridgeRefused: Bridging.bridge_refused,
        ev.CallerReached: Bridging.caller_reached,
        ev.CallerUnreached: Bridging.caller_unreached,
        ev.CallerHungUp: Bridging.caller_gone_while_bridging,
        ev.CallerTaken: Bridging.left_for_the_bridge,
        ev.CallerElsewhere: Bridging.elsewhere_while_bridging,
        ev.SocketLost: CallLife.socket_lost,
        ev.CallerReturned: Bridging.returned_while_bridging,
        ev.SwitchLost: Bridging.caller_gone_while_bridging,
        ev.HangupOrdered: CallLife.order_hangup,
        ev.TimerFired: Bridging.bridge_timer,
        ev.RecordingBegan: Bridging.recording_began,
    },
    Stage.TALKING: {
        **_NOTHING_TO_DO,
        **_OFFERS_MAY_END_LATE,
        ev.AgentHungUp: Talking.agent_left_talk,
        ev.Bridged: Talking.bridged_again,
        ev.Unbridged: Talking.unbridged,
        ev.AgentTalksElsewhere: Talking.agent_elsewhere,
        ev.TalkSettled: Talking.talk_settled,
        ev.TimerFired: Talking.talking_timer,
        ev.CallerElsewhere: Talking.sent_on,
        ev.CallerHungUp: Talking.caller_left_talk,
        ev.SocketLost: CallLife.socket_lost,
        ev.CallerReturned: Talking.returned_from_talk,
        ev.SwitchLost: Talking.switch_lost_in_talk,
        ev.HangupOrdered: CallLife.order_hangup,
        ev.RecordingBegan: Talking.recording_began,
    },
    Stage.PARTING: {
        **_NOTHING_TO_DO,
        ev.AgentAnswered: CallLife.kill_late_leg,
        ev.AgentUnavailable: CallLife.release,
        ev.AgentHungUp: Talking.agent_parted,
        ev.CallerElsewhere: Talking.sent_on_late,
        ev.Unbridged: Talking.unbridged_late,
        ev.TalkSettled: Talking.parting_settled,
        ev.CallerHungUp: Talking.caller_parted,
        ev.CallerReturned: CallLife.finish,
        ev.SwitchLost: CallLife.finish,
        ev.TimerFired: Talking.farewell,
        ev.RecordingBegan: Talking.recording_began,
    },
    Stage.ENDED: {
        **_NOTHING_TO_DO,
        ev.AgentAnswered: CallLife.kill_late_leg,
        ev.AgentUnavailable: CallLife.release,
        ev.RecordingBegan: Talking.recording_began,
    },
}


class CallFlow(Waiting):
    """One call's state, and what is to be done about whatever happens to it."""

    def handle(self, event: CallHappening, now: float) -> list[Effect]:
        """Take one event in, at `now`, and return what to do about it, in order.

        Raises KeyError for an event that cannot come in this state; the state is then unchanged.
        """
        handler = TABLE[self._stage][type(event)]
        return handler(self, event, now)
