"""An agent's leg while it rings: what it runs once it is answered, and in which ways it is not reached."""

from __future__ import annotations

import math
from collections.abc import Mapping

import trio

from callctl.call.variables import Prelude
from callctl.errors import CallctlError
from callctl.esl.inbound import PendingJob
from callctl.esl.wire import Event
from callctl.model import OfferResult

RESULT_SECONDS = 1.0
"""How long the result of an originate may come after the hangup of its leg; they are not in order."""

HANGUP_SECONDS = 0.5
"""How long the hangup may come after the result; 20 ms are usual. A leg that never had a channel has none."""

ACCEPTED_VARIABLE = "callctl_accepted"
"""The key that an agent pressed to accept a call, on the agent's leg."""

RESULT_OF_CAUSE: Mapping[str, OfferResult] = {
    "USER_BUSY": OfferResult.BUSY,
    "NORMAL_CIRCUIT_CONGESTION": OfferResult.BUSY,
    "CALL_REJECTED": OfferResult.REJECTED,
    "NO_ANSWER": OfferResult.NO_ANSWER,
    "NO_USER_RESPONSE": OfferResult.NO_ANSWER,
    "ALLOTTED_TIMEOUT": OfferResult.NO_ANSWER,
    "PROGRESS_TIMEOUT": OfferResult.NO_ANSWER,
    "USER_NOT_REGISTERED": OfferResult.UNREACHABLE,
    "SUBSCRIBER_ABSENT": OfferResult.UNREACHABLE,
    "ORIGINATOR_CANCEL": OfferResult.CANCELLED,
    "LOSE_RACE": OfferResult.CANCELLED,
}
"""Everything else is FAILED."""


REFUSED_BY_PHONE = frozenset({"USER_BUSY", "CALL_REJECTED"})
"""Only a phone says so, and whether it rang before makes no difference."""

_TOLD_BY_CAUSE = REFUSED_BY_PHONE | {
    "NORMAL_CIRCUIT_CONGESTION",
    "USER_NOT_REGISTERED",
    "SUBSCRIBER_ABSENT",
    "ORIGINATOR_CANCEL",
    "LOSE_RACE",
}
"""What follows from these does not depend on whether a phone rang."""

_SIGNS_OF_A_PHONE = (
    "Caller-Channel-Progress-Time",
    "Caller-Channel-Progress-Media-Time",
    "Caller-Channel-Answered-Time",
)
"""When a leg rang (180), had early media (183) and was answered, in its hangup event; "0" for never. A phone
that hangs up as it answers does neither of the first two, and its originate comes to nothing."""


class AgentUnreached(CallctlError):
    """An agent's leg was not answered: `result`, FreeSWITCH's `cause`, and whether a phone was reached."""

    def __init__(self, result: OfferResult, cause: str, *, reached: bool = False) -> None:
        super().__init__(f"the agent was not reached: {cause}")
        self.result = result
        self.cause = cause
        self.reached = reached


def depends_on_phone(cause: str) -> bool:
    """Say whether it matters for a leg that ended with `cause` whether it had reached a phone."""
    return cause not in _TOLD_BY_CAUSE


def unreached(cause: str, hangup: Event | None) -> AgentUnreached:
    """Return what it means that a leg ended with `cause` before it was answered.

    `hangup` is the CHANNEL_HANGUP_COMPLETE of the leg, None where none came: of a leg that came to nothing at
    once, or one whose event was lost. Where nobody answered, the phone is then taken to have rung.
    """
    result = RESULT_OF_CAUSE.get(cause, OfferResult.FAILED)
    if cause in REFUSED_BY_PHONE:
        reached = True
    elif hangup is None:
        reached = result is OfferResult.NO_ANSWER
    else:
        # Who says BYE has answered, also where FreeSWITCH had no time to note that (seen on 1.10.12).
        said_bye = hangup.variable("sip_hangup_disposition") == "recv_bye"
        reached = said_bye or any(hangup.get(name, "0") != "0" for name in _SIGNS_OF_A_PHONE)
    if result is OfferResult.NO_ANSWER and not reached:
        result = OfferResult.FAILED
    return AgentUnreached(result, cause, reached=reached)


class RingingLeg:
    """An agent's leg of which we wait to hear that it is parked, having heard its prelude, or gone."""

    def __init__(self) -> None:
        self.dialled: PendingJob | CallctlError | None = None
        """The result to come of the order to ring it, or why there will be none; None until it is given."""
        self.event = trio.Event()
        self.patience = trio.CancelScope()
        """How long the result of the order is waited for."""
        self.pressed = ""
        self.hangup: Event | None = None
        """The event that tells how it ended."""
        self.ended = trio.Event()
        self.has_heard = False
        """Whether any sound was played to it before it was parked."""

    @property
    def hangup_cause(self) -> str:
        """Why it ended; "" while it lives."""
        return "" if self.hangup is None else self.hangup.get("Hangup-Cause")

    async def failure(self, cause: str) -> AgentUnreached:
        """Return what it means that the leg ended with `cause`, once it is known whether a phone rang."""
        if depends_on_phone(cause):
            with trio.move_on_after(HANGUP_SECONDS):
                await self.ended.wait()
        return unreached(cause, self.hangup)

    def take(self, event: Event) -> None:
        if event.name == "CHANNEL_PARK":
            self.pressed = event.variable(ACCEPTED_VARIABLE)
            self.has_heard = bool(event.variable("playback_ms"))
            self.event.set()
        elif event.name == "CHANNEL_HANGUP_COMPLETE":
            self.hangup = event
            self.ended.set()
            self.event.set()
            # Should the job's result be lost, the hangup has said how it ended.
            self.patience.deadline = trio.current_time() + RESULT_SECONDS


def applications_of(prelude: Prelude) -> list[tuple[str, str]]:
    """Return what an agent's leg runs once it is answered, up to being parked for the bridge."""
    if prelude.key:
        milliseconds = math.ceil(prelude.seconds * 1000)
        sound = prelude.sound or "silence_stream://100"
        # "none": else # would end what is pressed, and could not be the key.
        ask = f"1 1 1 {milliseconds} none {sound} silence_stream://100 {ACCEPTED_VARIABLE} [{prelude.key}]"
        return [("play_and_get_digits", ask), ("park", "")]
    if prelude.sound:
        return [("playback", prelude.sound), ("park", "")]
    return [("park", "")]
