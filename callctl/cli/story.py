"""Tells the story of one call in words: for `callctl call show`, from the history's records alone."""

from __future__ import annotations

from collections.abc import Iterator

from callctl.clock import iso_utc
from callctl.model import CallEvent, Decision, OfferRecord
from callctl.store.timeline import Visit


def tell(visit: Visit) -> Iterator[str]:
    """Yield the lines of one visit: who called, every step with its time, and how it ended."""
    arrival = visit.call.arrival
    caller = " ".join(filter(None, (arrival.caller_name, arrival.caller_number))) or "an unknown caller"
    yield f"call {arrival.uuid} from {caller}"
    about = {
        "visit": arrival.call,
        "queue": arrival.queue,
        "dialled_number": arrival.dialled_number,
        "switch": arrival.switch,
        "source": arrival.source,
        "lead_number": arrival.lead_number,
        "account_id": arrival.account_id,
    }
    yield "  " + ", ".join(f"{name} {value}" for name, value in about.items() if value)
    yield f"  {iso_utc(arrival.joined_at)}  joined"
    for step in visit.steps:
        yield f"  {step.at - arrival.joined_at:>+10.3f} s  {_words(step, visit)}"
    yield f"  {_end(visit)}"


def _words(step: CallEvent | Decision, visit: Visit) -> str:
    if isinstance(step, Decision):
        return _decision_words(step)
    words = f"{step.event.replace('-', ' ')}{f': {step.detail}' if step.detail else ''}"
    offer = _offer_begun(step, visit)
    return f"{words}  ({_offer_words(offer)})" if offer is not None else words


def _decision_words(decision: Decision) -> str:
    chosen = ", ".join(decision.chosen) or "nobody"
    why = "; ".join(f"not {each.agent}: {each.why}" for each in decision.passed_over)
    return f"chose {chosen} by {decision.strategy.value}{f'; {why}' if why else ''}"


def _offer_begun(event: CallEvent, visit: Visit) -> OfferRecord | None:
    """Return the offer that this event is the begin of."""
    if event.event != "offered":
        return None
    begun = [offer for offer in visit.offers if offer.agent == event.detail and offer.offered_at <= event.at]
    return max(begun, key=lambda offer: offer.offered_at, default=None)


def _offer_words(offer: OfferRecord) -> str:
    if offer.ended_at is None:
        return "still ringing"
    cause = f", {offer.cause}" if offer.cause else ""
    return f"{offer.result.value} after {offer.ended_at - offer.offered_at:.1f} s{cause}"


def _end(visit: Visit) -> str:
    call = visit.call
    if call.ended_at is None:
        return f"not ended: {call.state.value}" + (f" with {call.agent}" if call.agent else "")
    parts = [
        f"ended {call.reason.value if call.reason else 'without a reason'}"
        + (f", on to {call.target}" if call.target else ""),
        f"hung up by {call.hung_up_by.value}" if call.hung_up_by else "",
        call.hangup_cause,
        f"waited {visit.wait_seconds:.1f} s" if visit.wait_seconds is not None else "",
        f"talked {visit.talk_seconds:.1f} s with {call.agent}" if visit.talk_seconds is not None else "",
        f"on hold {call.hold_seconds:.1f} s" if call.hold_seconds else "",
    ]
    return ", ".join(filter(None, parts))
