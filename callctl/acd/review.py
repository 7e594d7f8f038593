"""Whether a member's wait is over by the rules of its queue, and when to look again: a pure question."""

from __future__ import annotations

from attrs import frozen

from callctl.acd.choose import needs_of
from callctl.acd.limits import NEVER, next_opening_at, next_relaxation_at, no_agent_timeout_at, timeout_at
from callctl.acd.member import Member
from callctl.acd.overflow import Situation, next_overflow_at, overflow_target
from callctl.model import Reason, Strategy


@frozen(kw_only=True)
class Verdict:
    """What is to become of a member: out for `reason`, or to be looked at again at `wakes_at`."""

    reason: Reason | None = None
    target: str = ""
    wakes_at: float = NEVER


def review(member: Member, now: float, *, is_entering: bool = False) -> Verdict:
    """Return what the rules say about `member` at `now`.

    Nobody is taken out in the midst of a bridge. A callback waits for its turn, however long.
    """
    if member.winner is not None:
        return Verdict()
    if member.arrival.callback:
        return Verdict(wakes_at=_next_change_at(member, now))
    queue, arrival = member.queue, member.arrival
    settings, joined_at = queue.settings, arrival.joined_at
    if is_entering and not queue.is_open(now):
        return Verdict(reason=Reason.CLOSED, target=settings.closed_target)
    timeout = timeout_at(settings, joined_at)
    if timeout <= now:
        return Verdict(reason=Reason.TIMEOUT)
    if settings.overflow:
        target = overflow_target(settings.overflow, _situation(member, is_entering, now))
        if target is not None:
            return Verdict(reason=Reason.OVERFLOW, target=target)
    if settings.leave_when_empty and not queue.present:
        return Verdict(reason=Reason.EMPTY)
    no_agent_timeout = no_agent_timeout_at(settings, joined_at, queue.agentless_since)
    if no_agent_timeout <= now:
        return Verdict(reason=Reason.NO_AGENT_TIMEOUT)
    overflow = next_overflow_at(settings.overflow, joined_at, now)
    return Verdict(wakes_at=min(timeout, no_agent_timeout, overflow, _next_change_at(member, now)))


def _situation(member: Member, is_entering: bool, now: float) -> Situation:
    queue = member.queue
    return Situation(
        now=now,
        joined_at=member.arrival.joined_at,
        position=queue.position(member),
        is_entering=is_entering,
        nobody_there=not queue.present,
        expected_wait_seconds=queue.expected_wait(member, needs_of(member, now), now),
        came_through=(*member.arrival.came_through, queue.name),
    )


def _next_change_at(member: Member, now: float) -> float:
    """When more agents become eligible for `member`, or one more is to be rung, by time alone."""
    settings, joined_at = member.queue.settings, member.arrival.joined_at
    opening = next_opening_at(settings, member.queue.levels, joined_at, now)
    relaxation = next_relaxation_at(settings, member.highest_skill_level, joined_at, now)
    moments = [opening, relaxation]
    if settings.strategy is Strategy.RING_PROGRESSIVELY and member.offers and member.next_ring_at > now:
        moments.append(member.next_ring_at)
    if member.not_before > now:
        moments.append(member.not_before)
    return min(moments)
