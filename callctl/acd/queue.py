"""A queue as it stands now: its members in the order of their score, and the agents who serve it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import inf

from attrs import define, field

from callctl.acd.agent import Agent, Seat
from callctl.acd.benches import Benches
from callctl.acd.estimate import Waits
from callctl.acd.hours import Calendar, parse_hours
from callctl.acd.lines import Lines
from callctl.acd.member import Member, Rank
from callctl.acd.needs import Needs
from callctl.acd.ordered import Ordered
from callctl.acd.strategy import KEYS, Place, place
from callctl.model import QueueSettings, Strategy, Tier

LAST: Rank = (inf, inf, 0)
"""The rank behind everybody."""


@define(eq=False)
class Queue:
    """One queue, live. Only the roster and the distributor change it.

    All `members` are in order for their positions; the `lines` hold those who want an offer. `free` and
    `present` are those of the `seats` whose agents are, `occupied` counts the rest by what they do.
    """

    settings: QueueSettings
    agentless_since: float | None
    members: dict[str, Member] = field(factory=dict)
    lines: Lines = field(factory=Lines)
    seats: dict[str, Seat] = field(factory=dict)
    free: Benches = field(init=False)
    present: dict[str, Seat] = field(factory=dict)
    occupied: Counter[str] = field(factory=Counter)
    levels: tuple[int, ...] = ()
    """The levels that there are, the lowest first."""
    lowest_present_level: float = inf
    """The lowest level on which somebody is present; infinite if nobody is."""
    has_other_needs: bool = False
    """What the needs of all members depend on has changed: they have to be looked at."""
    last_place: Place | None = None
    is_removed: bool = False
    calendar: Calendar | None = None
    waits: Waits = field(factory=Waits)
    postponed: dict[str, Member] = field(factory=dict)
    """Those of the members who are offered to nobody before a certain time: callbacks to be tried again."""
    callbacks: int = 0
    """How many of the members are callbacks: nobody of them is on the line, or hears how long it takes."""
    _order: Ordered[Rank, Member] = field(factory=Ordered)
    _in_place: tuple[Seat, ...] | None = None
    _on_level: Counter[int] = field(factory=Counter)
    _present_on_level: Counter[int] = field(factory=Counter)

    def __attrs_post_init__(self) -> None:
        self.free = Benches(KEYS[self.settings.strategy])

    @property
    def callers(self) -> int:
        """How many wait on the line: the members without the callbacks."""
        return len(self.members) - self.callbacks

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.settings.name

    def __iter__(self) -> Iterator[Member]:
        """Iterate over the members, the highest score first."""
        return iter(self._order)

    def in_order(self) -> Iterator[tuple[int, Member]]:
        """Iterate over the members with their `position`, which takes less than asking for each."""
        position = 1
        for member in self._order:
            yield position, member
            position += member.call not in self.postponed

    def apply(self, settings: QueueSettings) -> None:
        """Let these parameters hold from now on. Raises ConfigError, and changes nothing then.

        The members leave their lines, as their needs may be others: they have to be looked at.
        """
        self.calendar = parse_hours(settings.hours) if settings.hours is not None else None
        members = list(self.members.values())
        for member in members:
            self.remove(member)
        self.settings = settings
        for member in members:
            self.add(member)
        self.has_other_needs = True
        free = [self.seats[name] for name in self.free]
        self.free = Benches(KEYS[settings.strategy])
        for seat in free:
            self.free.put(seat)

    def is_open(self, now: float) -> bool:
        """Return whether callers may come at `now` by the opening hours."""
        return self.calendar is None or self.calendar.is_open(now)

    # --- members ---

    def add(self, member: Member) -> None:
        """Put `member` where its score belongs. It stands in no line yet."""
        member.rank = member.ranked()
        self.members[member.call] = member
        self.callbacks += member.arrival.callback
        self._order.add(member.rank, member)

    def remove(self, member: Member) -> None:
        """Take `member` out."""
        self.lines.put(member, None)
        self.set_postponed(member, False)
        del self.members[member.call]
        self.callbacks -= member.arrival.callback
        self._order.remove(member.rank)

    def set_postponed(self, member: Member, is_postponed: bool) -> None:
        """Count `member` among those whose time has not come, or not."""
        if is_postponed:
            self.postponed[member.call] = member
        else:
            self.postponed.pop(member.call, None)

    def position(self, member: Member) -> int:
        """Return how many callers have to go before this one does, and one: 1 is the next.

        A callback that is to be tried again later goes before nobody until then.
        """
        passed_over = sum(1 for each in self.postponed.values() if each.rank < member.rank)
        return self._order.index(member.rank) + 1 - passed_over

    def expected_wait(self, member: Member, needs: Needs, now: float) -> float | None:
        """Return the seconds that `member`, with these needs, has still to wait; None if nobody can know."""
        if self._has_agent_for(needs, member.rank):
            return 0.0
        return self.waits.expected(self.position(member), now) if self.present else None

    def expected_wait_of_newcomer(self, needs: Needs, now: float) -> float | None:
        """Return the seconds that a caller who joined now might wait; None if nobody can know."""
        if self._has_agent_for(needs, LAST):
            return 0.0
        position = len(self.members) - len(self.postponed) + 1
        return self.waits.expected(position, now) if self.present else None

    def _has_agent_for(self, needs: Needs, rank: Rank) -> bool:
        """Say whether a caller of this rank is offered to somebody free at once.

        Whoever is being offered an agent needs no other one. Of those who stand in a line before this
        caller, all for whom anybody free is eligible are taken to go first.
        """
        free = sum(map(len, self.free.fitting(needs)))
        if not free:
            return False
        before = sum(line.index(rank) for _, line in self.free.served(self.lines.by_needs))
        return before < (1 if self.settings.strategy is Strategy.RING_ALL else free)

    # --- agents ---

    def seat(self, agent: Agent, tier: Tier) -> None:
        """Let `agent` serve this queue in the place that `tier` gives it."""
        seat = self.seats[agent.name] = agent.seats[self.name] = Seat(agent, self, tier)
        self._in_place = None
        self._on_level[seat.level] += 1
        self._levels_changed()

    def unseat(self, name: str) -> None:
        """Let the agent `name` no longer serve this queue."""
        if name not in self.seats:
            return
        seat = self.seats[name]
        self.set_present(seat, False)
        self.free.discard(name)
        del self.seats[name]
        del seat.agent.seats[self.name]
        if seat.occupation:
            self.occupied[seat.occupation] -= 1
        self._in_place = None
        _count_down(self._on_level, seat.level)
        self._levels_changed()

    def set_occupation(self, seat: Seat, occupation: str) -> None:
        """Let the agent in `seat` be occupied with this, or free if that is ""."""
        before = seat.occupation
        if occupation != before:
            seat.occupation = occupation
            if before:
                self.occupied[before] -= 1
            elif before is not None:
                self.free.discard(seat.name)
            if occupation:
                self.occupied[occupation] += 1
        if not occupation:
            self.free.put(seat)

    def set_present(self, seat: Seat, is_present: bool) -> None:
        """Count the agent in `seat` among those who are present, or not."""
        if is_present is seat.is_present:
            return
        seat.is_present = is_present
        if is_present:
            self.present[seat.name] = seat
            self._present_on_level[seat.level] += 1
        else:
            del self.present[seat.name]
            _count_down(self._present_on_level, seat.level)
        self._levels_changed()

    @property
    def goes_round_from(self) -> Place | None:
        """The place of the agent offered a call last; before the first offer, as the agents remember it."""
        if self.last_place is not None:
            return self.last_place
        offered = [(seat.last_offered_at, place(seat)) for seat in self.in_place if seat.last_offered_at]
        return max(offered)[1] if offered else None

    @property
    def in_place(self) -> tuple[Seat, ...]:
        """All seats by level, position and name."""
        if self._in_place is None:
            # Sorted when asked for, as a centre's agents take their seats one by one, but all at once.
            self._in_place = tuple(sorted(self.seats.values(), key=place))
        return self._in_place

    def _levels_changed(self) -> None:
        levels, lowest = tuple(sorted(self._on_level)), min(self._present_on_level, default=inf)
        if (levels, lowest) != (self.levels, self.lowest_present_level):
            self.levels, self.lowest_present_level = levels, lowest
            self.has_other_needs = self.has_other_needs or self.settings.tier_rules_apply


def _count_down(counts: Counter[int], level: int) -> None:
    counts[level] -= 1
    if not counts[level]:
        del counts[level]
