"""The nine strategies: each puts the agents that are eligible for a caller in the order of offering.

All are pure. Ties are broken by position, then name, so that a decision can be explained and repeated.
The orders are mod_callcenter's, as its ORDER BY clauses give them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol, TypeVar

from attrs import frozen

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


def longest_idle_agent(candidates: Iterable[C]) -> list[C]:
    """Order by level, end of the last call (never is longest ago), position."""
    return sorted(
        candidates,
        key=lambda c: (
            c.level,
            float("-inf") if c.last_call_ended_at is None else c.last_call_ended_at,
            c.position,
            c.name,
        ),
    )


def agent_with_least_talk_time(candidates: Iterable[C]) -> list[C]:
    """Order by level, talk time, position."""
    return sorted(candidates, key=lambda c: (c.level, c.talk_seconds, c.position, c.name))


def agent_with_fewest_calls(candidates: Iterable[C]) -> list[C]:
    """Order by level, calls answered, position."""
    return sorted(candidates, key=lambda c: (c.level, c.calls_answered, c.position, c.name))


def round_robin(candidates: Iterable[C], last: Place | None) -> list[C]:
    """Order those behind the agent offered last on its level first, then all by level and position."""
    return sorted(
        candidates,
        key=lambda c: (last is None or c.level != last[0] or place(c) <= last, place(c)),
    )


def top_down(candidates: Iterable[C], last_tried: Place | None) -> list[C]:
    """Order by level and position, for one caller on from the last one tried, then from the top again."""
    return sorted(candidates, key=lambda c: (last_tried is not None and place(c) <= last_tried, place(c)))


def sequentially_by_agent_order(candidates: Iterable[C]) -> list[C]:
    """Order by level, position, and who was offered a call longest ago (never is longest)."""
    return sorted(
        candidates,
        key=lambda c: (
            c.level,
            c.position,
            float("-inf") if c.last_offered_at is None else c.last_offered_at,
            c.name,
        ),
    )


def at_random(candidates: Iterable[C], draw: Callable[[], float]) -> list[C]:
    """Order by level and chance. Chances are drawn by place, so that a seed gives one order."""
    drawn = [(c.level, draw(), place(c), c) for c in sorted(candidates, key=place)]
    return [c for *_, c in sorted(drawn, key=lambda entry: entry[:3])]


def ring_all(candidates: Iterable[C]) -> list[C]:
    """Order by level and position; everyone is offered the call at once."""
    return sorted(candidates, key=place)


def ring_progressively(candidates: Iterable[C], tried: Collection[str]) -> list[C]:
    """Order by level and position, those whom this caller has not rung yet first: one more each time."""
    return sorted(candidates, key=lambda c: (c.name in tried, place(c)))


def in_order(strategy: Strategy, candidates: Iterable[C], past: Past) -> list[C]:
    """Return `candidates` in the order in which `strategy` offers them a call."""
    match strategy:
        case Strategy.LONGEST_IDLE_AGENT:
            return longest_idle_agent(candidates)
        case Strategy.AGENT_WITH_LEAST_TALK_TIME:
            return agent_with_least_talk_time(candidates)
        case Strategy.AGENT_WITH_FEWEST_CALLS:
            return agent_with_fewest_calls(candidates)
        case Strategy.ROUND_ROBIN:
            return round_robin(candidates, past.queue_last)
        case Strategy.TOP_DOWN:
            return top_down(candidates, past.member_last)
        case Strategy.SEQUENTIALLY_BY_AGENT_ORDER:
            return sequentially_by_agent_order(candidates)
        case Strategy.RANDOM:
            return at_random(candidates, past.draw)
        case Strategy.RING_ALL:
            return ring_all(candidates)
        case Strategy.RING_PROGRESSIVELY:
            return ring_progressively(candidates, past.tried)


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

STEADY_STRATEGIES = frozenset(
    {
        Strategy.LONGEST_IDLE_AGENT,
        Strategy.AGENT_WITH_LEAST_TALK_TIME,
        Strategy.AGENT_WITH_FEWEST_CALLS,
        Strategy.SEQUENTIALLY_BY_AGENT_ORDER,
        Strategy.RING_ALL,
    }
)
"""Their order depends on the agents alone: whom a caller was offered to does not change it for the rest."""
