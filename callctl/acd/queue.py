"""A queue as it stands now: its members in the order of their score, and the agents who serve it."""

from __future__ import annotations

from bisect import bisect_left, insort
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
    told_wait_seconds: float | None = None
    explained: Needs | None = None

    @property
    def call(self) -> str:
        """The key of this visit."""
        return self.arrival.call

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
    """One queue, live. Only the roster and the distributor change it."""

    settings: QueueSettings
    agentless_since: float | None
    members: dict[str, Member] = field(factory=dict)
    seats: dict[str, Seat] = field(factory=dict)
    free: dict[str, Seat] = field(factory=dict)
    present: dict[str, Seat] = field(factory=dict)
    in_place: tuple[Seat, ...] = ()
    levels: tuple[int, ...] = ()
    lowest_present_level: float = inf
    last_place: Place | None = None
    is_removed: bool = False
    calendar: Calendar | None = None
    waits: Waits = field(factory=Waits)
    _order: list[Member] = field(factory=list)

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
        self._seats_changed()

    def unseat(self, name: str) -> None:
        """Let the agent `name` no longer serve this queue."""
        if self.seats.pop(name, None) is not None:
            self.free.pop(name, None)
            self.set_present(name, False)
            self._seats_changed()

    def set_present(self, name: str, is_present: bool) -> None:
        """Count the agent `name` among those who are present, or not."""
        if is_present:
            self.present[name] = self.seats[name]
        else:
            self.present.pop(name, None)
        self.lowest_present_level = min((seat.level for seat in self.present.values()), default=inf)

    def _seats_changed(self) -> None:
        self.in_place = tuple(sorted(self.seats.values(), key=place))
        self.levels = tuple(sorted({seat.level for seat in self.in_place}))


def _rank(member: Member) -> Rank:
    return member.rank
