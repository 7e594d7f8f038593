"""A queue as it stands now: its members in the order of their score, and the agents who serve it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from attrs import define, field

from callctl.acd.agent import Agent, Reservation, Seat
from callctl.acd.strategy import Place
from callctl.model import Arrival, MemberState, QueueSettings, Tier

REMEMBERED_WAITS = 20
"""How many of the last waits an expected wait is made from: enough to be steady, few enough to be new."""

Rank = tuple[float, float, int]
"""Where a member stands in its queue, lowest first. The time is not in it, as all scores grow alike."""


class Needs(NamedTuple):
    """What an agent must have to be eligible for a member; members with equal needs share one answer."""

    switch: str
    open_level: float
    skills: tuple[tuple[str, int], ...]


@define(eq=False)
class Member:
    """A caller waiting in a queue, live. Only the distributor changes it."""

    arrival: Arrival
    queue: Queue
    ticket: int
    base_score: float
    skills: tuple[tuple[str, int], ...] = ()
    rank: Rank = (0.0, 0.0, 0)
    offers: dict[str, Reservation] = field(factory=dict)
    winner: Reservation | None = None
    last_tried: Place | None = None
    tried: set[str] = field(factory=set)
    next_ring_at: float = 0.0
    explained: Needs | None = None

    @property
    def call(self) -> str:
        """The key of this visit."""
        return self.arrival.call

    @property
    def counts_from(self) -> float:
        """The moment from which the score counts: joining, or the call's beginning."""
        system = self.queue.settings.time_base_score == "system"
        return self.arrival.arrived_at if system else self.arrival.joined_at

    def score(self, now: float) -> float:
        """Return the score at `now`: seconds waited and the base score."""
        return now - self.counts_from + self.base_score

    def ranked(self) -> Rank:
        """Return the rank that belongs to the present settings and base score."""
        return self.counts_from - self.base_score, self.arrival.joined_at, self.ticket

    @property
    def state(self) -> MemberState:
        """Where this member stands."""
        if self.winner is not None:
            return MemberState.ANSWERED
        return MemberState.TRYING if self.offers else MemberState.WAITING


@define(eq=False)
class Queue:
    """One queue, live. Only the roster and the distributor change it."""

    settings: QueueSettings
    agentless_since: float | None
    members: dict[str, Member] = field(factory=dict)
    seats: dict[str, Seat] = field(factory=dict)
    free: dict[str, Seat] = field(factory=dict)
    present: dict[str, int] = field(factory=dict)
    levels: tuple[int, ...] = ()
    last_place: Place | None = None
    is_removed: bool = False
    waits: deque[tuple[float, float]] = field(factory=lambda: deque(maxlen=REMEMBERED_WAITS))
    _order: list[Member] = field(factory=list)

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.settings.name

    def __iter__(self) -> Iterator[Member]:
        """Iterate over the members, the highest score first."""
        return iter(self._order)

    def add(self, member: Member) -> None:
        """Put `member` where its score belongs."""
        member.rank = member.ranked()
        self.members[member.call] = member
        insort(self._order, member, key=_rank)

    def remove(self, member: Member) -> None:
        """Take `member` out."""
        del self.members[member.call]
        del self._order[bisect_left(self._order, member.rank, key=_rank)]

    def position(self, member: Member) -> int:
        """Return how many callers have to go before this one does, and one: 1 is the next."""
        return bisect_left(self._order, member.rank, key=_rank) + 1

    def rerank(self) -> None:
        """Sort again after the settings have changed what a score is."""
        for member in self._order:
            member.rank = member.ranked()
        self._order.sort(key=_rank)

    def head(self) -> Member | None:
        """Return the member with the highest score, or None."""
        return self._order[0] if self._order else None

    def seat(self, agent: Agent, tier: Tier) -> None:
        """Let `agent` serve this queue in the place that `tier` gives it."""
        self.seats[agent.name] = Seat(agent, tier)
        self._levels_changed()

    def unseat(self, name: str) -> None:
        """Let the agent `name` no longer serve this queue."""
        for seats in (self.seats, self.free, self.present):
            seats.pop(name, None)
        self._levels_changed()

    @property
    def lowest_present_level(self) -> float:
        """The lowest level on which somebody is present."""
        return min(self.present.values(), default=float("inf"))

    def _levels_changed(self) -> None:
        self.levels = tuple(sorted({seat.level for seat in self.seats.values()}))


def _rank(member: Member) -> Rank:
    return member.rank
