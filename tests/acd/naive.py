"""Who gets whom, found by looking through everything: plain, slow, and what the indexes must agree with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise

from callctl.acd.agent import Seat
from callctl.acd.choose import Choice, needs_of, wants_offer
from callctl.acd.member import Member
from callctl.acd.needs import Kind, misfit
from callctl.acd.ordered import Ordered
from callctl.acd.queue import Queue
from callctl.acd.strategy import Key, at_random, place
from callctl.acd.unreached import comes_last, may_be_tried
from callctl.model import Strategy


def choices(queues: Iterable[Queue], now: float, draw: Callable[[], float]) -> Iterator[Choice]:
    """What `callctl.acd.choose.choices` yields."""
    by_score = sorted(
        (-member.score(now) * queue.settings.weight, member.place_since, member.ticket, member)
        for queue in queues
        for member in queue.members.values()
    )
    last = []
    for *_, member in by_score:
        if wants_offer(member, now):
            order = eligible(member, now, draw)
            choice = Choice(member=member, needs=needs_of(member, now), order=order)
            steps_back = member.tries.steps_back_until > now
            if order and (steps_back or all(comes_last(member, seat.agent) for seat in choice.chosen)):
                last.append(member)
            elif order:
                yield choice
    for member in last:
        order = eligible(member, now, draw)
        if order:
            yield Choice(member=member, needs=needs_of(member, now), order=order)


def eligible(member: Member, now: float, draw: Callable[[], float]) -> list[Seat]:
    """Those who could take this member's call at `now`, in the order of the strategy."""
    queue, needs = member.queue, needs_of(member, now)
    fitting = [
        seat
        for seat in queue.seats.values()
        if seat.agent.is_free(now) and not misfit(seat.kind, needs) and may_be_tried(member, seat.name, now)
    ]
    order = in_order(member, fitting, draw)
    missed, preferred = member.tries.missed, member.arrival.preferred_agent
    # The strategies go through the levels in runs: within each, those who missed this caller come last.
    runs = [0, *accumulate(one.level != other.level for one, other in pairwise(order))]
    run_of = {seat.name: run for seat, run in zip(order, runs, strict=False)}
    order.sort(key=lambda seat: (run_of[seat.name], missed.get(seat.name, float("-inf"))))
    if not preferred or preferred in missed:
        return order
    return sorted(order, key=lambda seat: seat.name != preferred)


def in_order(member: Member, seats: list[Seat], draw: Callable[[], float]) -> list[Seat]:
    """The order of VOCABULARY, as one sort each."""
    queue_last, last, tried = member.queue.goes_round_from, member.last_tried, member.tried
    match member.queue.settings.strategy:
        case Strategy.LONGEST_IDLE_AGENT:
            return sorted(seats, key=lambda s: (s.level, _moment(s.last_call_ended_at), s.position, s.name))
        case Strategy.AGENT_WITH_LEAST_TALK_TIME:
            return sorted(seats, key=lambda s: (s.level, s.talk_seconds, s.position, s.name))
        case Strategy.AGENT_WITH_FEWEST_CALLS:
            return sorted(seats, key=lambda s: (s.level, s.calls_answered, s.position, s.name))
        case Strategy.SEQUENTIALLY_BY_AGENT_ORDER:
            return sorted(seats, key=lambda s: (s.level, s.position, _moment(s.last_offered_at), s.name))
        case Strategy.ROUND_ROBIN:
            return sorted(
                seats,
                key=lambda s: (
                    queue_last is None or s.level != queue_last[0] or place(s) <= queue_last,
                    place(s),
                ),
            )
        case Strategy.TOP_DOWN:
            return sorted(seats, key=lambda s: (last is not None and place(s) <= last, place(s)))
        case Strategy.RING_ALL:
            return sorted(seats, key=place)
        case Strategy.RING_PROGRESSIVELY:
            return sorted(seats, key=lambda s: (s.name in tried, place(s)))
        case Strategy.RANDOM:
            # Chance has no plain order to agree with: it is drawn the same way, from seats found plainly.
            benches: dict[Kind, Ordered[Key, Seat]] = {}
            for seat in seats:
                benches.setdefault(seat.kind, Ordered()).add(place(seat), seat)
            return list(at_random(list(benches.values()), draw))


def _moment(at: float | None) -> float:
    return float("-inf") if at is None else at
