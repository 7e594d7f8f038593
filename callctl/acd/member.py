"""A caller who waits in a queue, as it stands now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from callctl.acd.agent import Reservation
from callctl.acd.needs import Needs
from callctl.acd.strategy import Place
from callctl.model import Arrival, MemberState

if TYPE_CHECKING:
    from callctl.acd.queue import Queue

Rank = tuple[float, float, int]
"""Where a member stands in its queue, lowest first. The time is not in it, as all scores grow alike."""


@define(eq=False)
class Tries:
    """How the offers of one caller went so far. It outlives a caller's return to the same visit."""

    missed: dict[str, float] = field(factory=dict)
    """The agents who did not take this caller, and when each last did not."""
    unreached: dict[str, float] = field(factory=dict)
    """The agents of whom no phone was reached, and when, since one was last reached for this caller."""
    suspicious: set[str] = field(factory=set)
    """Those of them with whom it may have been this caller's own data."""
    step_backs: int = 0
    """How often in a row this caller was found to be the reason, and stepped back."""
    steps_back_until: float = 0.0
    """Until when others are offered first."""
    not_before: float = 0.0
    """Until when this caller is offered to nobody: as long, unless somebody new comes free before."""


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
    tried: frozenset[str] = frozenset()
    tries: Tries = field(factory=Tries)
    next_ring_at: float = 0.0
    postponed_until: float = 0.0
    is_out_of_reach: bool = False
    """No agent can be rung for it: its switch takes no orders now, or it `is_held`."""
    is_held: bool = False
    """Its switch is yet to confirm that there is such a caller."""
    told_wait_seconds: float | None = None
    estimate_from: tuple[float, int] = (0.0, 1)
    """Since when, and from which position, this wait shows how long a place takes. Neither a restart nor a
    change of priority is part of that."""
    explained: Needs | None = None
    stands_in: Needs | None = None
    """The line in which this member stands for an offer; None while it wants none."""

    @property
    def call(self) -> str:
        """The key of this visit."""
        return self.arrival.call

    @property
    def not_before(self) -> float:
        """Until when this caller is offered to nobody."""
        return max(self.postponed_until, self.tries.not_before)

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
