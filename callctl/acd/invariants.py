"""What must be true of the floor whenever nothing is being decided; each violation is told in words.

Each belongs to an invariant with a short name, which is the label of a metric:

- `bookkeeping`: what is kept twice, to be fast, says the same twice.
- `order`: nobody stands in a queue before somebody with a higher score.
- `idle-agent`: nobody waits while somebody is free who could take the call.
- `agent-state`: an agent's state fits the status and what the agent is reserved for.
- `one-leg`: an agent has at most one leg.
- `lease`: no agent stays reserved past the lease.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise

from attrs import frozen

from callctl.acd.agent import PRESENT_STATUSES, Agent, Phase
from callctl.acd.choose import needs_of, wants_offer
from callctl.acd.floor import Floor
from callctl.acd.member import Member
from callctl.acd.needs import Needs, misfit
from callctl.acd.queue import Queue
from callctl.acd.timers import Key, Wakes
from callctl.model import AgentState

ON_A_LEG = frozenset({AgentState.RESERVED, AgentState.RECEIVING, AgentState.IN_A_QUEUE_CALL})
"""The states of an agent who has a reservation."""


@frozen
class Violation:
    """One violation: of which invariant, in words, and of which call if it is of one."""

    invariant: str
    words: str
    call: str = ""

    def __str__(self) -> str:
        """Return it in words."""
        return self.words


Check = Callable[[float], Iterable[Violation]]
"""Finds what is violated at a moment. To be asked only when `advance` is done to that moment."""

LOT = 500
"""So many agents are looked at in one check: a millisecond."""


def checks(floor: Floor) -> Sequence[Check]:
    """Return all checks of `floor` as it is now: of each queue, of the agents, and of the reservations.

    They are independent of each other, so that others may have their turn in between.
    """
    agents = [agent.name for agent in floor.roster]
    return [
        *(partial(_of_queue, floor, queue) for queue in floor.queues),
        *(partial(_of_agents, floor, agents[first : first + LOT]) for first in range(0, len(agents), LOT)),
        partial(_of_reservations, floor),
    ]


def violations(floor: Floor, now: float) -> list[Violation]:
    """Return every violated invariant of `floor` at `now`. To be asked only when `advance(now)` is done."""
    return [violation for check in checks(floor) for violation in check(now)]


def _of_queue(floor: Floor, name: str, now: float) -> Iterator[Violation]:
    queue = floor.queues.get(name)
    if queue is None:
        return
    ordered = list(queue)
    if {member.call for member in ordered} != set(queue.members) or len(ordered) != len(queue.members):
        yield Violation("bookkeeping", f"the queue {queue.name} counts its members twice over, differently")
    if any(floor.members.get(member.call) is not member for member in ordered):
        yield Violation("bookkeeping", f"the queue {queue.name} keeps a member who is gone")
    scores = [member.score(now) for member in ordered]
    if any(after > before + 1e-6 for before, after in pairwise(scores)):
        yield Violation("order", f"the queue {queue.name} is not in the order of the scores")
    free = {seat.name for seat in queue.seats.values() if seat.agent.is_free(now)}
    if free != set(queue.free):
        yield Violation(
            "bookkeeping",
            f"the queue {queue.name} is wrong about who is free: {sorted(free ^ set(queue.free))}",
        )
    occupied = Counter(seat.agent.occupation(now) for seat in queue.seats.values())
    del occupied[""]
    if occupied != queue.occupied:
        yield Violation("bookkeeping", f"the queue {queue.name} is wrong about what its agents do")
    present = {seat.name for seat in queue.seats.values() if seat.agent.is_present}
    if present != set(queue.present):
        yield Violation(
            "bookkeeping",
            f"the queue {queue.name} is wrong about who is present: {sorted(present ^ set(queue.present))}",
        )
    if bool(queue.present) != (queue.agentless_since is None):
        yield Violation("bookkeeping", f"the queue {queue.name} is wrong about since when nobody is there")
    yield from _of_lines(queue, ordered, now)


def _of_lines(queue: Queue, ordered: list[Member], now: float) -> Iterator[Violation]:
    idle: dict[Needs, list[str]] = {}
    for member in ordered:
        needs = needs_of(member, now) if wants_offer(member, now) else None
        if needs != member.stands_in:
            yield Violation(
                "bookkeeping", f"the call {member.call} stands in the wrong line of {queue.name}", member.call
            )
        if needs is None or not queue.free:
            continue
        if needs not in idle:
            idle[needs] = _eligible(queue, needs, now)
        if idle[needs]:
            yield Violation(
                "idle-agent",
                f"the call {member.call} waits in {queue.name} while {', '.join(idle[needs])} is free",
                member.call,
            )
    standing = [member.call for line in queue.lines.by_needs.values() for member in line]
    if sorted(standing) != sorted(member.call for member in ordered if member.stands_in is not None):
        yield Violation("bookkeeping", f"the lines of {queue.name} are wrong about who stands in them")


def _eligible(queue: Queue, needs: Needs, now: float) -> list[str]:
    return sorted(
        seat.name for seat in queue.seats.values() if seat.agent.is_free(now) and not misfit(seat.kind, needs)
    )


def _of_agents(floor: Floor, names: Iterable[str], now: float) -> Iterator[Violation]:
    for name in names:
        if (agent := floor.roster.get(name)) is not None:
            yield from _of_agent(floor, agent, now)


def _of_agent(floor: Floor, agent: Agent, now: float) -> Iterator[Violation]:
    reservation = agent.reservation
    if (reservation is not None) != (agent.state in ON_A_LEG):
        yield Violation(
            "agent-state",
            f"the agent {agent.name} is {agent.state} with{'' if reservation else 'out'} a reservation",
        )
    if reservation is not None:
        if floor.reservations.get(reservation.offer.id) is not reservation:
            yield Violation(
                "bookkeeping", f"the agent {agent.name} is held by a reservation that nobody knows"
            )
        if (agent.state is AgentState.IN_A_QUEUE_CALL) != (reservation.phase is Phase.TALKING):
            yield Violation(
                "agent-state",
                f"the agent {agent.name} is {agent.state} while its reservation is {reservation.phase.name}",
            )
    kept = agent.kept_refusal
    if kept is not None and kept.why != agent.why_not_free(now):
        yield Violation("bookkeeping", f"of the agent {agent.name} is said what is not true: {kept.why}")
    if agent.state is AgentState.WAITING and agent.status not in PRESENT_STATUSES:
        yield Violation("agent-state", f"the agent {agent.name} waits for calls while {agent.status}")
    if agent.state is AgentState.WRAP_UP and agent.wrap_up_until < now:
        yield Violation("agent-state", f"the agent {agent.name} has not ended its wrap-up")


def _of_reservations(floor: Floor, now: float) -> Iterator[Violation]:
    legs: set[str] = set()
    for reservation in floor.reservations.values():
        offer = reservation.offer
        if offer.agent in legs:
            yield Violation("one-leg", f"the agent {offer.agent} has two legs", offer.call)
        legs.add(offer.agent)
        if reservation.phase is Phase.TALKING:
            continue
        due = floor.timers.at(Key(Wakes.OFFER, offer.id))
        if due is None or due < now:
            yield Violation(
                "lease", f"the offer of {offer.call} to {offer.agent} has outlived its lease", offer.call
            )
        member = floor.members.get(offer.call)
        held = member is not None and (offer.id in member.offers or member.winner is reservation)
        if held == (reservation.phase is Phase.WITHDRAWN):
            yield Violation(
                "bookkeeping",
                f"the offer of {offer.call} to {offer.agent} is {reservation.phase.name} on one side only",
                offer.call,
            )
