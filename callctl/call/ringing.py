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


class AgentUnreached(CallctlError):
    """An agent's leg was not answered: `result`, and FreeSWITCH's `cause`."""

    def __init__(self, result: OfferResult, cause: str) -> None:
        super().__init__(f"the agent was not reached: {cause}")
        self.result = result
        self.cause = cause


def unreached(cause: str) -> AgentUnreached:
    """Return what it means that a leg ended with `cause` before it was answered."""
    return AgentUnreached(RESULT_OF_CAUSE.get(cause, OfferResult.FAILED), cause)


class RingingLeg:
    """An agent's leg of which we wait to hear that it is parked, having heard its prelude, or gone."""

    def __init__(self) -> None:
        self.dialled: PendingJob | CallctlError | None = None
        """The result to come of the order to ring it, or why there will be none; None until it is given."""
        self.event = trio.Event()
        self.patience = trio.CancelScope()
        """How long the result of the order is waited for."""
        self.pressed = ""
        self.hangup_cause = ""
        self.has_heard = False
        """Whether any sound was played to it before it was parked."""

    def take(self, event: Event) -> None:
        if event.name == "CHANNEL_PARK":
            self.pressed = event.variable(ACCEPTED_VARIABLE)
            self.has_heard = bool(event.variable("playback_ms"))
            self.event.set()
        elif event.name == "CHANNEL_HANGUP_COMPLETE":
            self.hangup_cause = event.get("Hangup-Cause")
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
