"""Frozen pictures of the floor, for the HTTP API, the wallboard and the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from attrs import frozen

from callctl.acd.agent import Agent
from callctl.acd.floor import Floor
from callctl.acd.limits import open_level
from callctl.acd.member import Member
from callctl.acd.needs import Needs
from callctl.acd.queue import Queue
from callctl.model import AgentSettings, AgentState, AgentStatus, Arrival, MemberState, Offer


@frozen(kw_only=True)
class MemberView:
    """A waiting caller: `position` 1 is the next, `agents` are those being rung or having answered."""

    call: str
    queue: str
    arrival: Arrival
    state: MemberState
    position: int
    base_score: float
    score: float
    waited_seconds: float
    agents: tuple[str, ...]


@frozen(kw_only=True)
class AgentView:
    """An agent: `call` is what it is offered, talks in or wraps up, `why_not_free` "" for one who is."""

    name: str
    settings: AgentSettings
    status: AgentStatus
    state: AgentState
    reason: str
    status_until: float | None
    since: float
    call: str
    misses: int
    calls_answered: int
    talk_seconds: float
    last_offered_at: float | None
    last_call_ended_at: float | None
    registered: bool | None
    external_call: bool
    wrap_up_until: float | None
    why_not_free: str
    offer: Offer | None
    tiers: Mapping[str, tuple[int, int]]


@frozen(kw_only=True)
class QueueView:
    """A queue in numbers: `agents` counts those with a tier by state, `present` those who serve it.

    `waiting`, `trying`, `longest_wait_seconds` and `oldest_joined_at` (None if nobody waits) are of callers
    on the line; `callbacks` are promised.
    """

    name: str
    account: str
    waiting: int
    trying: int
    callbacks: int
    longest_wait_seconds: float
    oldest_joined_at: float | None
    expected_wait_seconds: float | None
    agents: Mapping[AgentState, int]
    present: int
    free: int
    agentless_since: float | None
    is_open: bool
    is_removed: bool


def member_view(member: Member, position: int, now: float) -> MemberView:
    """Return `member` as it stands at `now`, at this position of its queue."""
    held = [*member.offers.values(), *([member.winner] if member.winner else [])]
    return MemberView(
        call=member.call,
        queue=member.queue.name,
        arrival=member.arrival,
        state=member.state,
        position=position,
        base_score=member.base_score,
        score=member.score(now),
        waited_seconds=now - member.arrival.joined_at,
        agents=tuple(reservation.offer.agent for reservation in held),
    )


def agent_view(agent: Agent, since: float, now: float) -> AgentView:
    """Return `agent` as it stands at `now`, in this status and state `since`."""
    return AgentView(
        name=agent.name,
        settings=agent.settings,
        status=agent.status,
        state=agent.state,
        reason=agent.reason,
        status_until=agent.status_until,
        since=since,
        call=agent.call,
        misses=agent.misses,
        calls_answered=agent.calls_answered,
        talk_seconds=agent.talk_seconds,
        last_offered_at=agent.last_offered_at,
        last_call_ended_at=agent.last_call_ended_at,
        registered=agent.registered,
        external_call=agent.external_call,
        wrap_up_until=agent.wrap_up_until if agent.state is AgentState.WRAP_UP else None,
        why_not_free=agent.why_not_free(now),
        offer=agent.reservation.offer if agent.reservation is not None else None,
        tiers={tier.queue: (tier.level, tier.position) for tier in agent.tiers.values()},
    )


def expected_wait_of(queue: Queue, now: float) -> float | None:
    """Return the seconds that a caller who joined `queue` now might wait, None if nobody can know.

    It is one without a required skill, on a switch that every agent's contact is for.
    """
    level = open_level(queue.settings, queue.levels, now, now, queue.lowest_present_level)
    return queue.expected_wait_of_newcomer(Needs("", level), now)


def queue_view(queue: Queue, now: float) -> QueueView:
    """Return `queue` as it stands at `now`."""
    callers = [member for member in queue.members.values() if not member.arrival.callback]
    oldest = min((member.arrival.joined_at for member in callers), default=None)
    agents = dict.fromkeys(AgentState, 0)
    for seat in queue.seats.values():
        agents[seat.agent.state] += 1
    return QueueView(
        name=queue.name,
        account=queue.settings.account,
        waiting=len(callers),
        trying=sum(member.state is not MemberState.WAITING for member in callers),
        callbacks=queue.callbacks,
        longest_wait_seconds=0.0 if oldest is None else now - oldest,
        oldest_joined_at=oldest,
        expected_wait_seconds=expected_wait_of(queue, now),
        agents=agents,
        present=len(queue.present),
        free=len(queue.free),
        agentless_since=queue.agentless_since,
        is_open=queue.is_open(now),
        is_removed=queue.is_removed,
    )


def members_of(floor: Floor, now: float) -> tuple[MemberView, ...]:
    """Return all members, each queue's in its order."""
    return tuple(
        member_view(member, position, now)
        for queue in floor.queues.values()
        for position, member in queue.in_order()
    )


def first_members_of(floor: Floor, most: int, now: float) -> tuple[MemberView, ...]:
    """Return the first `most` members of each queue, in its order."""
    return tuple(
        member_view(member, position, now)
        for queue in floor.queues.values()
        for position, member in islice(queue.in_order(), most)
    )


def agents_of(floor: Floor, now: float) -> tuple[AgentView, ...]:
    """Return all agents by name."""
    agents = sorted(floor.roster, key=lambda agent: agent.name)
    return tuple(agent_view(agent, floor.roster.since(agent), now) for agent in agents)
