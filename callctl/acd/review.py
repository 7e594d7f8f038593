"""Whether a member's wait is over by the rules of its queue, and when to look again: a pure question."""

from __future__ import annotations

from attrs import frozen

from callctl.acd.limits import NEVER, next_opening_at, no_agent_timeout_at, timeout_at
from callctl.acd.queue import Member
from callctl.model import Reason, Strategy


@frozen(kw_only=True)
class Verdict:
    """What is to become of a member: out for `reason`, or to be looked at again at `wakes_at`."""

    reason: Reason | None = None
    target: str = ""
    wakes_at: float = NEVER


def review(member: Member, now: float) -> Verdict:
    """Return what the rules say about `member` at `now`. Nobody is taken out in the midst of a bridge."""
    if member.winner is not None:
        return Verdict()
    queue = member.queue
    settings = queue.settings
    joined_at = member.arrival.joined_at
    timeout = timeout_at(settings, joined_at)
    if timeout <= now:
        return Verdict(reason=Reason.TIMEOUT)
    if settings.leave_when_empty and not queue.present:
        return Verdict(reason=Reason.EMPTY)
    no_agent_timeout = no_agent_timeout_at(settings, joined_at, queue.agentless_since)
    if no_agent_timeout <= now:
        return Verdict(reason=Reason.NO_AGENT_TIMEOUT)
    opening = next_opening_at(settings, queue.levels, joined_at, now)
    return Verdict(wakes_at=min(timeout, no_agent_timeout, opening, _next_ring_at(member, now)))


def _next_ring_at(member: Member, now: float) -> float:
    progressive = member.queue.settings.strategy is Strategy.RING_PROGRESSIVELY
    waits_for_it = progressive and member.offers and member.next_ring_at > now
    return member.next_ring_at if waits_for_it else NEVER
