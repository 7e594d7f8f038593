"""What follows for an agent from an offer that came to nothing: the table of VOCABULARY, by hangup cause."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from callctl.model import AgentSettings, OfferResult

UNREGISTERED_SECONDS = 5.0
"""How long an agent whose phone is away is left alone, unless it registers before."""

OFFER_INTERVAL_SECONDS = 1.0
"""An agent whose offers fail is offered one a second at most: a phone that fails at once, with all delays
at 0, would otherwise have the switch originate as fast as it can."""

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
    """What follows: not offered for `delay_seconds`, perhaps a miss, perhaps until the phone registers."""

    cause: str
    delay_seconds: float = 0.0
    is_miss: bool = False
    until_registered: bool = False


def consequence(settings: AgentSettings, result: OfferResult, cause: str) -> Consequence:
    """Return what follows for an agent with `settings`; without a `cause` the result stands in for it.

    An unknown end (the connection was lost, a lease expired) is nobody's miss.
    """
    cause = cause or _CAUSE_OF_RESULT.get(result, str(result))
    if result in (OfferResult.CANCELLED, OfferResult.UNKNOWN) or cause in BLAMELESS_CAUSES:
        return Consequence(cause=cause)
    if cause in BUSY_CAUSES:
        return Consequence(cause=cause, delay_seconds=settings.busy_delay_time)
    if cause in REJECTED_CAUSES:
        return Consequence(cause=cause, delay_seconds=settings.reject_delay_time)
    if cause in UNREGISTERED_CAUSES:
        return Consequence(cause=cause, delay_seconds=UNREGISTERED_SECONDS, until_registered=True)
    return Consequence(cause=cause, delay_seconds=settings.no_answer_delay_time, is_miss=True)
