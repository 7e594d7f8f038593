"""The nine strategies: each puts the free agents who are eligible for a caller in the order of offering.

All are pure. What depends on the agents alone is a key, by which they are kept in order while they are
free; what depends on the past or on chance as well is a walk over agents who are in order already. Both
give as many as are asked for, and look at no others. Agents come on benches: each bench is of one level.

Ties are broken by position, then name, so that a decision can be explained and repeated. The orders are
mod_callcenter's, as its ORDER BY clauses give them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from typing import Any, Protocol, TypeVar

from attrs import frozen

from callctl.acd.ordered import Ordered
from callctl.model import Strategy


class Candidate(Protocol):
    """What a strategy may know of an agent in a queue."""

    @property
    def name(self) -> str: ...
    @property
    def level(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def talk_seconds(self) -> float: ...
    @property
    def calls_answered(self) -> int: ...
    @property
    def last_call_ended_at(self) -> float | None: ...
    @property
    def last_offered_at(self) -> float | None: ...


C = TypeVar("C", bound=Candidate)

Place = tuple[int, int, str]
"""Level, position and name: where an agent stands in a queue, and the last word on every tie."""

Key = tuple[Any, ...]
"""Where an agent comes in the order of a strategy: the level is always first, the name always last."""

Benches = Sequence[Ordered[Key, C]]
"""Eligible agents in the order of their strategy's key. None is empty, and each has one level."""


def place(candidate: Candidate) -> Place:
    """Return where this agent stands in the queue."""
    return candidate.level, candidate.position, candidate.name


@frozen(kw_only=True)
class Past:
    """What a strategy may know of the past, and its source of chance.

    `queue_last` is the agent that the queue offered a call to last, `member_last` the one that this
    caller was offered to last, `tried` all the agents this caller was offered to.
    """

    draw: Callable[[], float]
    queue_last: Place | None = None
    member_last: Place | None = None
    tried: Collection[str] = ()


def longest_idle(candidate: Candidate) -> Key:
    """Order by level, end of the last call (never is longest ago), position."""
    return candidate.level, _moment(candidate.last_call_ended_at), candidate.position, candidate.name


def least_talk_time(candidate: Candidate) -> Key:
    """Order by level, talk time, position."""
    return candidate.level, candidate.talk_seconds, candidate.position, candidate.name


def fewest_calls(candidate: Candidate) -> Key:
    """Order by level, calls answered, position."""
    return candidate.level, candidate.calls_answered, candidate.position, candidate.name


def by_agent_order(candidate: Candidate) -> Key:
    """Order by level, position, and who was offered a call longest ago (never is longest)."""
    return candidate.level, candidate.position, _moment(candidate.last_offered_at), candidate.name


KEYS: Mapping[Strategy, Callable[[Candidate], Key]] = {
    Strategy.LONGEST_IDLE_AGENT: longest_idle,
    Strategy.AGENT_WITH_LEAST_TALK_TIME: least_talk_time,
    Strategy.AGENT_WITH_FEWEST_CALLS: fewest_calls,
    Strategy.ROUND_ROBIN: place,
    Strategy.TOP_DOWN: place,
    Strategy.SEQUENTIALLY_BY_AGENT_ORDER: by_agent_order,
    Strategy.RANDOM: place,
    Strategy.RING_ALL: place,
    Strategy.RING_PROGRESSIVELY: place,
}
"""What each strategy orders by as far as it depends on the agents alone; it stays while one is free."""


def in_key_order(benches: Benches[C], after: Key | None = None) -> Iterator[C]:
    """Give all by their key, or those behind the key `after`."""
    if len(benches) == 1:
        return (candidate for _, candidate in benches[0].items(after))
    return (candidate for _, candidate in heapq.merge(*(bench.items(after) for bench in benches)))


def round_robin(benches: Benches[C], last: Place | None) -> Iterator[C]:
    """Give those behind the agent offered last on its level first, then all by level and position."""
    if last is not None:
        yield from takewhile(lambda c: c.level == last[0], in_key_order(benches, after=last))
    for candidate in in_key_order(benches):
        if last is None or candidate.level != last[0] or place(candidate) <= last:
            yield candidate


def top_down(benches: Benches[C], last_tried: Place | None) -> Iterator[C]:
    """Give all by level and position, for one caller on from the last one tried, then from the top again."""
    yield from in_key_order(benches, after=last_tried)
    if last_tried is not None:
        yield from takewhile(lambda c: place(c) <= last_tried, in_key_order(benches))


def ring_progressively(benches: Benches[C], tried: Collection[str]) -> Iterator[C]:
    """Give those by level and position whom this caller has not rung yet, then the others."""
    again = []
    for candidate in in_key_order(benches):
        if candidate.name in tried:
            again.append(candidate)
        else:
            yield candidate
    yield from again


def at_random(benches: Benches[C], draw: Callable[[], float]) -> Iterator[C]:
    """Give all by level and chance. The benches are taken by place, so that a seed gives one order."""
    by_place = sorted(benches, key=lambda bench: place(bench[0]))
    for _, of_level in groupby(by_place, key=lambda bench: bench[0].level):
        yield from _shuffled(list(of_level), draw)


def _shuffled(benches: Benches[C], draw: Callable[[], float]) -> Iterator[C]:
    """Shuffle as Fisher and Yates do, remembering what was moved: who is not asked for costs nothing."""
    moved: dict[int, int] = {}
    for left in range(sum(map(len, benches)), 0, -1):
        drawn = int(draw() * left)
        at = moved.get(drawn, drawn)
        moved[drawn] = moved.get(left - 1, left - 1)
        for bench in benches:
            if at < len(bench):
                yield bench[at]
                break
            at -= len(bench)


def in_order(strategy: Strategy, benches: Benches[C], past: Past) -> Iterator[C]:
    """Give the agents on `benches` in the order in which `strategy` offers them a call."""
    match strategy:
        case Strategy.ROUND_ROBIN:
            return round_robin(benches, past.queue_last)
        case Strategy.TOP_DOWN:
            return top_down(benches, past.member_last)
        case Strategy.RANDOM:
            return at_random(benches, past.draw)
        case Strategy.RING_PROGRESSIVELY:
            return ring_progressively(benches, past.tried)
        case _:
            return in_key_order(benches)


def missed_last(order: Iterable[C], missed: Mapping[str, float]) -> Iterable[C]:
    """Give those of each level who have `missed` this caller last, whoever did so longest ago first.

    Or an agent who never answers, and therefore has been idle longest, would be rung for ever beside others
    who are free. `missed` says when.
    """
    return _missed_last(order, missed) if missed else order


def _missed_last(order: Iterable[C], missed: Mapping[str, float]) -> Iterator[C]:
    for _, of_level in groupby(order, key=lambda candidate: candidate.level):
        again = []
        for candidate in of_level:
            if candidate.name in missed:
                again.append(candidate)
            else:
                yield candidate
        yield from sorted(again, key=lambda candidate: missed[candidate.name])


def _moment(at: float | None) -> float:
    return float("-inf") if at is None else at


FIRST_BECAUSE: Mapping[Strategy, str] = {
    Strategy.LONGEST_IDLE_AGENT: "has been idle longer",
    Strategy.AGENT_WITH_LEAST_TALK_TIME: "has talked less",
    Strategy.AGENT_WITH_FEWEST_CALLS: "has answered fewer calls",
    Strategy.ROUND_ROBIN: "is next in the round",
    Strategy.TOP_DOWN: "is next from the top for this caller",
    Strategy.SEQUENTIALLY_BY_AGENT_ORDER: "is first in the agents' order",
    Strategy.RANDOM: "was drawn first",
    Strategy.RING_ALL: "rings as well",
    Strategy.RING_PROGRESSIVELY: "is the next to ring",
}
"""Why the agent at the head of the order comes before the others, in words (of the same level)."""
