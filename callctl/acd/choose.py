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
from callctl.acd.member import Member, Rank
from callctl.acd.needs import Needs
from callctl.acd.queue import Queue
from callctl.acd.strategy import Past, in_order
from callctl.model import Strategy

NAMED_AT_MOST = 50
"""In a queue of so many agents a decision names each of them: more nobody reads, and it is written for
each offer."""

NAMED_OF_MANY = 10
"""How many of those eligible a decision names where there are more agents: the rest are counted."""

_FREE = attrgetter("free.number")

_Head = tuple[float, Rank, Needs, Line]
"""The first of a line: what is to be compared of it, the lowest first, and where it stands."""


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
        return self.order if _rings_all_at_once(self.member.queue) else self.order[:1]

    @property
    def named(self) -> int:
        """How many of the order a decision names."""
        return NAMED_AT_MOST if len(self.member.queue.seats) <= NAMED_AT_MOST else NAMED_OF_MANY


def choices(queues: Iterable[Queue], now: float, draw: Callable[[], float]) -> Iterator[Choice]:
    """Yield what to do about each member of `queues` that wants an offer, highest score times weight first.

    Whoever is chosen must be reserved before the next one is asked for. As agents only become fewer on
    the way, a line that nobody free fits is left.
    """
    touched = [queue for queue in queues if queue.free.number]
    heads = _heads(touched, now)
    heapq.heapify(heads)
    while heads:
        *_, needs, line = heads[0]
        member = line[0]
        queue = member.queue
        order = _order(member, needs, draw)
        if order:
            yield Choice(member=member, needs=needs, order=order)
            if not any(map(_FREE, touched)):
                return
        if order and line:
            heapq.heapreplace(heads, _head(line, needs, queue.settings.weight, now))
        else:
            heapq.heappop(heads)


def _heads(queues: Iterable[Queue], now: float) -> list[_Head]:
    """Return the heads of all lines; where a queue has several, of those only that somebody free fits."""
    heads = []
    for queue in queues:
        lines = queue.lines.by_needs
        weight = queue.settings.weight
        for needs, line in lines.items() if len(lines) == 1 else queue.free.served(lines):
            heads.append(_head(line, needs, weight, now))
    return heads


def _head(line: Line, needs: Needs, weight: float, now: float) -> _Head:
    rank = line.first_key
    return (rank[0] - now) * weight, rank, needs, line


def _order(member: Member, needs: Needs, draw: Callable[[], float]) -> list[Seat]:
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
    order = in_order(strategy, benches, past)
    preferred = queue.free.preferred(member.arrival.preferred_agent, needs)
    if preferred is not None:
        order = chain([preferred], (seat for seat in order if seat is not preferred))
    few = len(queue.seats) <= NAMED_AT_MOST
    return list(order if few or _rings_all_at_once(queue) else islice(order, NAMED_OF_MANY))


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
