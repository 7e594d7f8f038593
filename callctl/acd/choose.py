"""Finds who gets whom next, in the order of the scores: from the heads of the lines, among those free."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import attrgetter

from attrs import frozen

from callctl.acd.agent import Seat
from callctl.acd.limits import open_level, relaxed_by
from callctl.acd.lines import Line
from callctl.acd.member import Member
from callctl.acd.needs import Needs
from callctl.acd.queue import Queue
from callctl.acd.strategy import Past, in_order, missed_last
from callctl.acd.unreached import comes_last, may_be_tried
from callctl.model import Strategy

NAMED_AT_MOST = 50
"""In a queue of so many agents a decision names each of them: more nobody reads, and it is written for
each offer."""

NAMED_OF_MANY = 10
"""How many of those eligible a decision names where there are more agents: the rest are counted."""

_FREE = attrgetter("free.number")

_Head = tuple[float, tuple[float, int], Needs, Line, int]
"""The first of a line who is still to be looked at: what is compared, the lowest first, and its place."""


@frozen(kw_only=True)
class Choice:
    """A member, and the seats eligible for it in the strategy's order: all, or of many the first ones.

    None at all: nobody is eligible, or nobody is asked for.
    """

    member: Member
    needs: Needs
    order: Sequence[Seat]

    @property
    def chosen(self) -> Sequence[Seat]:
        """Those to be offered the call now."""
        return _chosen(self.member.queue, self.order)

    @property
    def named(self) -> int:
        """How many of the order a decision names."""
        return NAMED_AT_MOST if len(self.member.queue.seats) <= NAMED_AT_MOST else NAMED_OF_MANY


def choices(queues: Iterable[Queue], now: float, draw: Callable[[], float]) -> Iterator[Choice]:
    """Yield what to do about each member of `queues` that wants an offer, highest score times weight first.

    Whoever is chosen must be reserved before the next one is asked for. As agents only become fewer on
    the way, a line that nobody free fits is left. Members who would get an agent of whom no phone was reached
    for them are looked at once more when all others have been.
    """
    touched = [queue for queue in queues if queue.free.number]
    heads = _heads(touched, now)
    heapq.heapify(heads)
    last: list[tuple[Member, Needs]] = []
    while heads:
        *_, needs, line, at = heads[0]
        member = line[at]
        order = _order(member, needs, now, draw)
        goes_on = bool(order)
        if _comes_last(member, order, now):
            # Who steps back may be offered to fewer than others of its line, so that goes on behind it.
            last.append((member, needs))
            goes_on, at = True, at + 1
        elif order:
            yield Choice(member=member, needs=needs, order=order)
            if not any(map(_FREE, touched)):
                return
        if goes_on and at < len(line):
            heapq.heapreplace(heads, _head(line, needs, member.queue.settings.weight, now, at))
        else:
            heapq.heappop(heads)
    for member, needs in last:
        order = _order(member, needs, now, draw)
        if order:
            yield Choice(member=member, needs=needs, order=order)


def is_anybody_left(member: Member, now: float) -> bool:
    """Return whether an agent is free for `member` of whom it is not known that no phone was reached."""
    free, tried = member.queue.free.fitting(needs_of(member, now)), member.tries.unreached
    return any(seat.name not in tried for bench in free for seat in bench)


def _comes_last(member: Member, order: Sequence[Seat], now: float) -> bool:
    if not member.tries.unreached:
        return False
    if member.tries.steps_back_until > now:
        return True
    return bool(order) and all(comes_last(member, seat.agent) for seat in _chosen(member.queue, order))


def _heads(queues: Iterable[Queue], now: float) -> list[_Head]:
    """Return the heads of all lines; where a queue has several, of those only that somebody free fits."""
    heads = []
    for queue in queues:
        lines = queue.lines.by_needs
        weight = queue.settings.weight
        for needs, line in lines.items() if len(lines) == 1 else queue.free.served(lines):
            heads.append(_head(line, needs, weight, now))
    return heads


def _head(line: Line, needs: Needs, weight: float, now: float, at: int = 0) -> _Head:
    rank = line.key(at)
    # Of equal scores, however weighted, the earliest comes first.
    return (rank[0] - now) * weight, rank[1:], needs, line, at


def _order(member: Member, needs: Needs, now: float, draw: Callable[[], float]) -> list[Seat]:
    """Return those eligible for `member` in the order of the strategy, as many as there is use for."""
    queue = member.queue
    benches = queue.free.fitting(needs)
    if not benches:
        return []
    strategy = queue.settings.strategy
    past = Past(
        draw=draw,
        queue_last=queue.goes_round_from if strategy is Strategy.ROUND_ROBIN else None,
        member_last=member.last_tried,
        tried=member.tried,
    )
    missed = member.tries.missed
    order = missed_last(in_order(strategy, benches, past), missed)
    preferred = queue.free.preferred(member.arrival.preferred_agent, needs)
    if preferred is not None and preferred.name not in missed:
        order = chain([preferred], (seat for seat in order if seat is not preferred))
    if member.tries.steps_back_until > now:
        order = (seat for seat in order if may_be_tried(member, seat.name, now))
    few = len(queue.seats) <= NAMED_AT_MOST
    return list(order if few or _rings_all_at_once(queue) else islice(order, NAMED_OF_MANY))


def _chosen(queue: Queue, order: Sequence[Seat]) -> Sequence[Seat]:
    return order if _rings_all_at_once(queue) else order[:1]


def _rings_all_at_once(queue: Queue) -> bool:
    settings = queue.settings
    return settings.strategy is Strategy.RING_ALL or (
        settings.strategy is Strategy.RING_PROGRESSIVELY and settings.ring_progressively_delay <= 0
    )


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
    """Return what an agent must have to be eligible for `member` at `now`."""
    queue, joined_at = member.queue, member.arrival.joined_at
    settings = queue.settings
    level = open_level(settings, queue.levels, joined_at, now, queue.lowest_present_level)
    skills = member.skills
    if skills:
        less = relaxed_by(settings, joined_at, now)
        skills = tuple((skill, wanted - less) for skill, wanted in skills if wanted > less)
    return Needs(member.arrival.switch, level, skills)
