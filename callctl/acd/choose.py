"""Finds who gets whom next, in the order of the scores, and says why everybody else was passed over."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import frozen

from callctl.acd.agent import Seat
from callctl.acd.limits import next_opening_at, next_relaxation_at, open_level, relaxed_by
from callctl.acd.queue import Member, Needs, Queue, Rank
from callctl.acd.strategy import FIRST_BECAUSE, STEADY_STRATEGIES, Past, in_order
from callctl.model import PassedOver, Strategy

NAMED_AT_MOST = 50
"""How many agents a decision names one by one: more nobody reads, and it is written for each offer."""


PREFERRED_BECAUSE = "is preferred, having talked to this caller last"


@frozen(kw_only=True)
class Choice:
    """A member and the seats eligible for it in the strategy's order. None at all: nobody is eligible."""

    member: Member
    needs: Needs
    order: Sequence[Seat]

    @property
    def chosen(self) -> Sequence[Seat]:
        """Those to be offered the call now."""
        settings = self.member.queue.settings
        at_once = settings.strategy is Strategy.RING_PROGRESSIVELY and settings.ring_progressively_delay <= 0
        return self.order if at_once or settings.strategy is Strategy.RING_ALL else self.order[:1]


def choices(queues: Iterable[Queue], now: float, draw: Callable[[], float]) -> Iterator[Choice]:
    """Yield what to do about each member of `queues` that wants an offer, highest score times weight first.

    Whoever is chosen must be reserved before the next one is asked for. As agents only become fewer on
    the way, who is eligible for some needs is found once, and a queue without free agents is left.
    """
    found: dict[tuple[Queue, Needs], list[Seat]] = {}
    for _, _, member in heapq.merge(*(_weighted(queue, now) for queue in queues)):
        if not wants_offer(member, now):
            continue
        queue = member.queue
        needs = needs_of(member, now)
        key = queue, needs
        before = found.get(key)
        if before is None:
            eligible = [seat for seat in queue.free.values() if not misfit(queue, seat, needs)]
        else:
            eligible = [seat for seat in before if seat.name in queue.free] if before else before
        found[key] = eligible
        if not eligible:
            continue
        strategy = queue.settings.strategy
        if before is None or strategy not in STEADY_STRATEGIES:
            past = Past(
                draw=draw, queue_last=queue.goes_round_from, member_last=member.last_tried, tried=member.tried
            )
            eligible = found[key] = in_order(strategy, eligible, past)
        preferred = member.arrival.preferred_agent
        if preferred:
            eligible = sorted(eligible, key=lambda seat: seat.name != preferred)
        yield Choice(member=member, needs=needs, order=eligible)


def _weighted(queue: Queue, now: float) -> Iterator[tuple[float, Rank, Member]]:
    weight = queue.settings.weight
    for member in queue:
        if not queue.free:
            return
        yield (member.rank[0] - now) * weight, member.rank, member


def wants_offer(member: Member, now: float) -> bool:
    """Return whether one more agent should be rung for `member` at `now`, if there is one."""
    if member.winner is not None or member.is_out_of_reach or member.not_before > now:
        return False
    match member.queue.settings.strategy:
        case Strategy.RING_ALL:
            return True
        case Strategy.RING_PROGRESSIVELY:
            return not member.offers or member.next_ring_at <= now
        case _:
            return not member.offers


def needs_of(member: Member, now: float) -> Needs:
    """Return what an agent must have to be eligible for `member` at `now`.

    The answer is kept until waiting or the queue changes it, as it is asked for at every decision.
    """
    if member.needs is not None and now < member.needs_until and member.needs_version == member.queue.version:
        return member.needs
    queue, joined_at = member.queue, member.arrival.joined_at
    settings, levels = queue.settings, queue.levels
    level = open_level(settings, levels, joined_at, now, queue.lowest_present_level)
    less = relaxed_by(settings, joined_at, now)
    skills = tuple((skill, wanted - less) for skill, wanted in member.skills if wanted > less)
    member.needs = Needs(member.arrival.switch, level, skills)
    member.needs_until = min(
        next_opening_at(settings, levels, joined_at, now),
        next_relaxation_at(settings, member.highest_skill_level, joined_at, now),
    )
    member.needs_version = queue.version
    return member.needs


def misfit(queue: Queue, seat: Seat, needs: Needs) -> str:
    """Return in words why this agent, free or not, does not fit `needs`, or ""."""
    settings = seat.agent.settings
    if not settings.contact_on(needs.switch):
        return f"has no contact on {needs.switch}" if settings.contacts else "has no contact"
    if seat.level > needs.open_level:
        return f"level {seat.level} is not open to this caller yet"
    if seat.agent.external_call and queue.settings.skip_agents_with_external_calls:
        return "is on a call of its own"
    for skill, level in needs.skills:
        if settings.skills.get(skill, 0) < level:
            return f"lacks the skill {skill} at level {level}"
    return ""


def is_eligible(queue: Queue, seat: Seat, needs: Needs, now: float) -> bool:
    """Return whether this agent could be offered a call with `needs` at `now`."""
    return seat.agent.is_free(now) and not misfit(queue, seat, needs)


def passed_over(choice: Choice, now: float) -> tuple[PassedOver, ...]:
    """Return why each of the queue's other agents was not chosen; of many, most are only counted."""
    queue = choice.member.queue
    chosen = {seat.name for seat in choice.chosen}
    preferred = bool(choice.order) and choice.order[0].name == choice.member.arrival.preferred_agent
    because = PREFERRED_BECAUSE if preferred else FIRST_BECAUSE[queue.settings.strategy]
    named: list[PassedOver] = []
    for seat in queue.in_place:
        if seat.name in chosen:
            continue
        if len(named) == NAMED_AT_MOST:
            others = len(queue.in_place) - len(chosen) - len(named)
            named.append(PassedOver(agent=f"{others} others", why="too many to name"))
            break
        why = seat.agent.why_not_free(now) or misfit(queue, seat, choice.needs)
        if not why and not choice.order:
            why = _why_offered_to_nobody(choice)
        elif not why:
            first = choice.order[0]
            lower = first.level < seat.level and not preferred
            why = f"{first.name} is on a lower level" if lower else f"{first.name} {because}"
        named.append(PassedOver(agent=seat.name, why=why))
    return tuple(named)


def _why_offered_to_nobody(choice: Choice) -> str:
    if choice.member.is_out_of_reach:
        return f"the caller's switch {choice.needs.switch} is not connected"
    return "this caller is being offered to somebody, or to be offered later"
