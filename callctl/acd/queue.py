"""A queue as it stands now: its members in the order of their score, and the agents who serve it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from attrs import define, field

from callctl.acd.agent import Agent, Reservation, Seat
from callctl.acd.estimate import Waits
from callctl.acd.hours import Calendar, parse_hours
from callctl.acd.strategy import Place, place
from callctl.model import Arrival, MemberState, QueueSettings, Tier

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
    position_at_entry: int = 0
    rank: Rank = (0.0, 0.0, 0)
    offers: dict[str, Reservation] = field(factory=dict)
    winner: Reservation | None = None
    last_tried: Place | None = None
    tried: set[str] = field(factory=set)
    next_ring_at: float = 0.0
    not_before: float = 0.0
    is_out_of_reach: bool = False
    """The switch that this caller is on takes no orders now, so no agent can be rung for it."""
    told_wait_seconds: float | None = None
    explained: Needs | None = None
    needs: Needs | None = None
    needs_until: float = 0.0
    needs_version: int = 0

    @property
    def call(self) -> str:
        """The key of this visit."""
        return self.arrival.call

    @property
    def highest_skill_level(self) -> int:
        """The highest level of a skill that this caller asked for."""
        return max((level for _, level in self.skills), default=0)

    @property
    def place_since(self) -> float:
        """Since when this caller has its place: joining, or the earlier visit it was brought along from."""
        arrival = self.arrival
        return arrival.joined_at if arrival.place_since is None else arrival.place_since

    @property
    def counts_from(self) -> float:
        """The moment from which the score counts: the place, or the call's beginning."""
        system = self.queue.settings.time_base_score == "system"
        return min(self.arrival.arrived_at, self.place_since) if system else self.place_since

    def score(self, now: float) -> float:
        """Return the score at `now`: seconds waited and the base score."""
        return now - self.counts_from + self.base_score

    def ranked(self) -> Rank:
        """Return the rank that belongs to the present settings and base score."""
        return self.counts_from - self.base_score, self.place_since, self.ticket

    @property
    def state(self) -> MemberState:
        """Where this member stands."""
        if self.winner is not None:
            return MemberState.ANSWERED
        return MemberState.TRYING if self.offers else MemberState.WAITING


@define(eq=False)
class Queue:
    """One queue, live. Only the roster and the distributor change it.

    `version` counts what changes the needs of members: the settings, the levels, and who is present.
    """

    settings: QueueSettings
    agentless_since: float | None
    members: dict[str, Member] = field(factory=dict)
    seats: dict[str, Seat] = field(factory=dict)
    free: dict[str, Seat] = field(factory=dict)
    present: dict[str, Seat] = field(factory=dict)
    last_place: Place | None = None
    is_removed: bool = False
    calendar: Calendar | None = None
    waits: Waits = field(factory=Waits)
    version: int = 0
    _order: list[Member] = field(factory=list)
    _in_place: tuple[Seat, ...] | None = None
    _levels: tuple[int, ...] = ()
    _present_levels: Counter[int] = field(factory=Counter)

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.settings.name

    def __iter__(self) -> Iterator[Member]:
        """Iterate over the members, the highest score first."""
        return iter(self._order)

    def apply(self, settings: QueueSettings) -> None:
        """Let these parameters hold from now on. Raises ConfigError, and changes nothing then."""
        self.calendar = parse_hours(settings.hours) if settings.hours is not None else None
        self.settings = settings
        self.version += 1
        for member in self._order:
            member.rank = member.ranked()
        self._order.sort(key=_rank)

    def is_open(self, now: float) -> bool:
        """Return whether callers may come at `now` by the opening hours."""
        return self.calendar is None or self.calendar.is_open(now)

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

    def seat(self, agent: Agent, tier: Tier) -> None:
        """Let `agent` serve this queue in the place that `tier` gives it."""
        self.seats[agent.name] = Seat(agent, tier)
        self._in_place = None
        self.version += 1

    def unseat(self, name: str) -> None:
        """Let the agent `name` no longer serve this queue."""
        if name in self.seats:
            self.set_present(name, False)
            self.free.pop(name, None)
            del self.seats[name]
            self._in_place = None
            self.version += 1

    def set_present(self, name: str, is_present: bool) -> None:
        """Count the agent `name` among those who are present, or not."""
        if is_present == (name in self.present):
            return
        self.version += 1
        if is_present:
            seat = self.present[name] = self.seats[name]
            self._present_levels[seat.level] += 1
            return
        level = self.present.pop(name).level
        self._present_levels[level] -= 1
        if not self._present_levels[level]:
            del self._present_levels[level]

    @property
    def goes_round_from(self) -> Place | None:
        """The place of the agent offered a call last; before the first offer, as the agents remember it."""
        if self.last_place is not None:
            return self.last_place
        offered = [(seat.last_offered_at, place(seat)) for seat in self.in_place if seat.last_offered_at]
        return max(offered)[1] if offered else None

    @property
    def lowest_present_level(self) -> float:
        """The lowest level on which somebody is present; infinite if nobody is."""
        return min(self._present_levels, default=inf)

    @property
    def in_place(self) -> tuple[Seat, ...]:
        """All seats by level, position and name."""
        if self._in_place is None:
            # Sorted when asked for, as a centre's agents take their seats one by one, but all at once.
            self._in_place = tuple(sorted(self.seats.values(), key=place))
            self._levels = tuple(sorted({seat.level for seat in self._in_place}))
        return self._in_place

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels that there are, the lowest first."""
        return self._levels if self.in_place else ()


def _rank(member: Member) -> Rank:
    return member.rank
