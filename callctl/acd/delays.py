"""What follows for an agent from an offer that came to nothing: the table of VOCABULARY, by hangup cause.

Whether it is the agent or the caller who waits after an offer that reached no phone, `unreached` decides.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from callctl.model import AgentSettings, OfferResult

UNREGISTERED_SECONDS = 5.0
"""How long an agent whose phone is away is left alone, unless it registers before."""

OFFER_INTERVAL_SECONDS = 1.0
"""An agent whose offers fail is offered one a second at most: a phone that fails at once, with all delays
at 0, would otherwise have the switch originate as fast as it can."""

BACK_OFF_SECONDS = 5.0
LONGEST_BACK_OFF_SECONDS = 60.0
"""After an offer that reached no phone the next one waits this long, twice as long after each further one,
up to the longest: a dead phone costs the switch little, and one that is back is found within a minute."""

BUSY_CAUSES = frozenset({"USER_BUSY", "NORMAL_CIRCUIT_CONGESTION"})
REJECTED_CAUSES = frozenset({"CALL_REJECTED"})
UNREGISTERED_CAUSES = frozenset({"USER_NOT_REGISTERED", "SUBSCRIBER_ABSENT"})
BLAMELESS_CAUSES = frozenset({"ORIGINATOR_CANCEL", "LOSE_RACE"})

_CAUSE_OF_RESULT: Mapping[OfferResult, str] = {
    OfferResult.BUSY: "USER_BUSY",
    OfferResult.REJECTED: "CALL_REJECTED",
    OfferResult.UNREACHABLE: "USER_NOT_REGISTERED",
    OfferResult.CANCELLED: "ORIGINATOR_CANCEL",
    OfferResult.NO_ANSWER: "NO_ANSWER",
}


@frozen(kw_only=True)
class Consequence:
    """What follows: not offered for `delay_seconds`, perhaps a miss, perhaps until the phone registers.

    `reached_phone` says that a phone rang, answered or refused. `is_unreached`: none did, and the reason may
    lie with the agent or with the caller; the delay is then for `unreached` to find.
    """

    cause: str
    delay_seconds: float = 0.0
    is_miss: bool = False
    until_registered: bool = False
    reached_phone: bool = False
    is_unreached: bool = False


def consequence(
    settings: AgentSettings, result: OfferResult, cause: str, *, reached: bool = True
) -> Consequence:
    """Return what follows for an agent with `settings`; without a `cause` the result stands in for it.

    `reached` says whether the leg came as far as a phone. An unknown end (the connection was lost, a lease
    expired) is nobody's miss.
    """
    cause = cause or _CAUSE_OF_RESULT.get(result, str(result))
    if result in (OfferResult.CANCELLED, OfferResult.UNKNOWN) or cause in BLAMELESS_CAUSES:
        return Consequence(cause=cause, reached_phone=reached and result is not OfferResult.UNKNOWN)
    if cause in BUSY_CAUSES:
        return Consequence(cause=cause, delay_seconds=settings.busy_delay_time, reached_phone=reached)
    if cause in REJECTED_CAUSES:
        return Consequence(cause=cause, delay_seconds=settings.reject_delay_time, reached_phone=reached)
    if cause in UNREGISTERED_CAUSES:
        return Consequence(cause=cause, delay_seconds=UNREGISTERED_SECONDS, until_registered=True)
    if not reached:
        return Consequence(cause=f"{cause}, which reached no phone", is_unreached=True)
    return Consequence(
        cause=cause, delay_seconds=settings.no_answer_delay_time, is_miss=True, reached_phone=True
    )


def back_off_seconds(times: int) -> float:
    """Return how long nothing is offered after so many offers in a row that reached no phone; at least 1."""
    doublings = min(times - 1, 8)  # Far beyond the longest, and no number too large for a float.
    return min(LONGEST_BACK_OFF_SECONDS, BACK_OFF_SECONDS * 2.0**doublings)
