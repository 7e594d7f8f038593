"""What can happen to a call, and what a call can ask for: the two languages of `flow`.

Events come from the caller's socket, from the inbound connection, from the distributor and from timers.
Effects are orders as data; `session` performs them. Neither does anything by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen

from callctl.call.standing import Standing
from callctl.model import Fact, HungUpBy, Offer, OfferResult, Reason, WaitMedia


class MediaKind(StrEnum):
    """What a caller or an agent was to hear; the value is the label of a metric."""

    MUSIC = "music"
    GREETING = "greeting"
    ANNOUNCEMENT = "announcement"
    WHISPER = "whisper"


# --- events ---------------------------------------------------------------------------------------


@frozen
class Offered:
    """The distributor reserved an agent: ring it."""

    offer: Offer


@frozen
class OfferWithdrawn:
    """The distributor took a reservation back; `cause` is what the agent's leg is to be told."""

    offer_id: str
    cause: str


@frozen
class LeaseExpired:
    """The distributor let an agent go, as nobody told how the offer ended; it was taken back before this."""

    offer_id: str


@frozen
class AgentAnswered:
    """The agent's leg answered. `won` says whether the distributor gave this agent the call."""

    offer_id: str
    leg_uuid: str
    won: bool


@frozen
class AgentUnavailable:
    """Ringing the agent ended without an answer, with FreeSWITCH's `cause`.

    `reached` says whether a phone rang, answered or refused.
    """

    offer_id: str
    result: OfferResult
    cause: str
    reached: bool = False


@frozen
class PastTalk:
    """What the hangup of a leg tells of its last bridge: with which leg, since when, and for how long.

    `began_at` is epoch seconds by the switch's clock, None where the switch does not say; `seconds` are up
    to the hangup.
    """

    leg_uuid: str
    began_at: float | None = None
    seconds: float = 0.0


@frozen
class AgentHungUp:
    """The agent's answered leg is gone, after the agent had the caller on hold for so long in all.

    `by` is AGENT or SWITCH, None where nobody told; `hung_up_at` is epoch seconds by the switch's clock. Its
    `talk` may be the first that we hear of a bridge: CHANNEL_BRIDGE may come after this, or not at all.
    """

    leg_uuid: str
    cause: str
    hold_seconds: float = 0.0
    talk: PastTalk | None = None
    by: HungUpBy | None = HungUpBy.AGENT
    hung_up_at: float | None = None


@frozen
class Bridged:
    """FreeSWITCH says that the caller and this leg hear each other (CHANNEL_BRIDGE), since `at` or now."""

    leg_uuid: str
    at: float | None = None


@frozen
class BridgeRefused:
    """FreeSWITCH would not bridge, or the switch knows of no bridge; the caller is still there."""

    offer_id: str
    why: str


@frozen
class Unbridged:
    """The caller and this leg hear each other no longer (CHANNEL_UNBRIDGE), for now or for good.

    `caller_was_gone`: the caller had hung up by then, or had been hung up.
    """

    leg_uuid: str
    caller_was_gone: bool = False


@frozen
class AgentTalksElsewhere:
    """The agent's leg is bridged with a channel that is not the caller's: a consultation."""

    leg_uuid: str


@frozen
class TalkSettled:
    """How the channels of a talk stand, as the switch was asked; None for one that was not asked for."""

    caller: Standing | None
    leg: Standing | None


@frozen
class CallerHungUp:
    """The caller's leg is gone: who ended it, with which cause, when, and its last talk, if it had one.

    `by` is None where that is still to be told, or nobody knows. `hung_up_at` is epoch seconds by the
    switch's clock.
    """

    cause: str
    by: HungUpBy | None
    talk: PastTalk | None = None
    hung_up_at: float | None = None


@frozen
class CallerTaken:
    """Somebody took the caller out of the socket application: a transfer, or the end of a dialplan.

    `place` is the extension to which the caller was sent, or "".
    """

    place: str = ""


@frozen
class CallerElsewhere:
    """The caller was sent somewhere else, and comes back to this visit no more: the switch says so itself.

    `place` is the visit that begins, as `queue NAME`, or "" where it is not known to be one; `at` is since
    when, in epoch seconds, None for now. `talked_with` is the leg that the caller was bridged with last: that
    this was so may not have been heard yet.
    """

    place: str = ""
    at: float | None = None
    talked_with: str = ""


@frozen
class ClaimRefuted:
    """The switch has no such caller: the socket by which this visit began was somebody else's."""


@frozen
class SocketLost:
    """The caller's socket ended, and nothing said that the caller hung up."""


@frozen
class CallerReturned:
    """The dialplan brought the caller back to us on a new socket."""


@frozen
class CallerNotFetched:
    """The switch did not say whether the caller is on its way back to us."""


@frozen
class SwitchLost:
    """The switch of this call restarted or stayed away: nothing of the call is left.

    Nothing was heard of it for `silent_seconds`, so the call ended about then.
    """

    silent_seconds: float = 0.0


@frozen
class WaitOver:
    """The wait is over without an agent; `target` is where an overflow leads, or ""."""

    reason: Reason
    target: str = ""


@frozen
class HangupOrdered:
    """A person ended this call from outside."""

    cause: str


@frozen
class MusicEnded:
    """What the caller heard came to its end; `played` is False when it could not be played at all.

    `by_key`: the caller has ended it, by a key that the dialplan lets end a playback.
    """

    played: bool
    by_key: bool = False


@frozen
class SoundFailed:
    """Something else than the music could not be played: a greeting or an announcement."""

    sound: str


@frozen
class KeyPressed:
    """The caller pressed a key."""

    digit: str


@frozen
class PlaceTold:
    """The distributor's answer to `AskPlace`: 1 is next; an expected wait of None cannot be told."""

    position: int
    expected_wait_seconds: float | None


@frozen
class CallerReached:
    """The caller who asked to be called back has answered, as channel `uuid`."""

    offer_id: str
    uuid: str


@frozen
class CallerUnreached:
    """The caller who asked to be called back did not answer."""

    offer_id: str
    cause: str


@frozen
class RecordingBegan:
    """The switch records the talk into the file `path`."""

    path: str


@frozen
class TimerFired:
    """The time that a `StartTimer` asked for is over."""

    timer: str


CallHappening = (
    Offered
    | OfferWithdrawn
    | LeaseExpired
    | AgentAnswered
    | AgentUnavailable
    | AgentHungUp
    | Bridged
    | BridgeRefused
    | Unbridged
    | AgentTalksElsewhere
    | TalkSettled
    | CallerHungUp
    | CallerTaken
    | CallerElsewhere
    | ClaimRefuted
    | SocketLost
    | CallerReturned
    | CallerNotFetched
    | SwitchLost
    | WaitOver
    | HangupOrdered
    | MusicEnded
    | SoundFailed
    | KeyPressed
    | PlaceTold
    | CallerReached
    | CallerUnreached
    | RecordingBegan
    | TimerFired
)

# --- effects --------------------------------------------------------------------------------------


@frozen
class PrepareCaller:
    """Give the caller's leg the media of a wait, before any music."""

    wait_media: WaitMedia


@frozen
class PlayMusic:
    """Play `sound` to the caller until something else is ordered."""

    sound: str


@frozen
class Greet:
    """Play `sound` to the caller once, before the music."""

    sound: str


@frozen
class Announce:
    """Play `sound` over the music; it may be `application::argument`.

    Two at once would not follow each other: FreeSWITCH plays the second inside the first.
    """

    sound: str


@frozen
class ReportUnplayable:
    """Count and log that the caller does not hear `sound`."""

    kind: MediaKind
    sound: str


@frozen
class AskPlace:
    """Report the caller's place in the queue by `PlaceTold`."""


@frozen
class SetCallerVariables:
    """Set channel variables on the caller's leg; an empty value unsets one."""

    variables: Mapping[str, str]


@frozen
class Ring:
    """Originate the agent's leg of this offer."""

    offer: Offer


@frozen
class HangUpLeg:
    """Hang up an agent's leg, whether it rings or talks or is gone already."""

    leg_uuid: str
    cause: str


@frozen
class Bridge:
    """Bridge the caller with the answered leg of this offer, after setting `variables` on the caller."""

    offer: Offer
    variables: Mapping[str, str]


@frozen
class SettleBridge:
    """No proof of a bridge came: ask the switch, and report `Bridged` or `BridgeRefused`."""

    offer: Offer


@frozen
class SettleTalk:
    """Ask how the caller's channel and this leg stand, "" for none, and report `TalkSettled`."""

    leg_uuid: str


@frozen
class SettleCaller:
    """The socket is gone: follow the caller by the inbound connection, and report how it stands."""


@frozen
class FetchCaller:
    """The caller does not come back by itself: have the dialplan bring it, or report the end of the wait."""


@frozen
class LeaveSocket:
    """End the socket that the caller was taken out of; the dialplan brings the caller back on a new one."""


@frozen
class HandBack:
    """Leave the socket, so that the dialplan goes on with the caller, behind the `socket` action."""

    variables: Mapping[str, str]


@frozen
class MoveToQueue:
    """Let the caller begin a visit to another queue, with the place kept."""

    queue: str


@frozen
class KeepForCallback:
    """Let the caller hang up, and begin a visit that keeps the place until the caller is called back."""

    variables: Mapping[str, str]


@frozen
class CallBack:
    """Ring the caller who waits for a callback: this offer's agent is there."""

    offer: Offer


@frozen
class Postpone:
    """Have the distributor offer this call to nobody for `seconds`."""

    seconds: float


@frozen
class RecordTalk:
    """Record the two into the file `path`, and report `RecordingBegan` if the switch does so."""

    path: str


@frozen
class PauseRecording:
    """Leave out of the recording into `path` what comes now, or go on with it."""

    path: str
    is_paused: bool


@frozen
class StopRecording:
    """Record no more into the file `path`: the talk is over, and the caller may live on."""

    path: str


@frozen
class HangUpCaller:
    """Hang the caller up."""

    cause: str


@frozen
class ReleaseOffer:
    """Tell the distributor that an agent did not answer; `reached` as in AgentUnavailable."""

    offer_id: str
    result: OfferResult
    cause: str
    reached: bool = False


@frozen
class ReportBridged:
    """Tell the distributor that this agent talks now."""

    offer_id: str


@frozen
class ReportBridgeFailed:
    """Tell the distributor that an answered agent did not get the caller, through no fault of its own."""

    offer_id: str
    caller_gone: bool


@frozen
class ReportTalkEnded:
    """Tell the distributor that this agent's talk is over."""

    offer_id: str


@frozen
class LeaveQueue:
    """Tell the distributor that the caller waits no more; one who `abandoned` may come back to the place."""

    abandoned: bool


@frozen
class StartTimer:
    """Report `TimerFired(timer)` in `seconds`; a timer of the same name starts anew."""

    timer: str
    seconds: float


@frozen
class StopTimer:
    """Forget a timer."""

    timer: str


@frozen
class Write:
    """Give a fact to the store."""

    fact: Fact


@frozen
class End:
    """Nothing is left to do for this call."""


Effect = (
    PrepareCaller
    | PlayMusic
    | Greet
    | Announce
    | ReportUnplayable
    | AskPlace
    | SetCallerVariables
    | Ring
    | HangUpLeg
    | Bridge
    | SettleBridge
    | SettleTalk
    | SettleCaller
    | FetchCaller
    | LeaveSocket
    | HandBack
    | MoveToQueue
    | KeepForCallback
    | CallBack
    | Postpone
    | RecordTalk
    | PauseRecording
    | StopRecording
    | HangUpCaller
    | ReleaseOffer
    | ReportBridged
    | ReportBridgeFailed
    | ReportTalkEnded
    | LeaveQueue
    | StartTimer
    | StopTimer
    | Write
    | End
)
