"""The agents and their places in the queues: who is there, who is free, and a written trace of both.

The roster keeps each queue's sets of free and present agents right whenever an agent changes, remembers
which queues have to be looked at again because of it, and notes every span without gap or overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from attrs import define, evolve

from callctl.acd.agent import PRESENT_STATUSES, Agent, Seat
from callctl.acd.limits import depends_on_presence
from callctl.acd.queue import Queue
from callctl.acd.timers import Key, Timers, Wakes
from callctl.errors import ForeignAccount, UnknownAgent, UnknownQueue, UnknownTier
from callctl.model import (
    AgentRecord,
    AgentRemoved,
    AgentSettings,
    AgentSpan,
    AgentState,
    AgentStatus,
    Fact,
    Tier,
    TierRemoved,
)
from callctl.records.accounts import tier_complaint


@define(eq=False)
class _Trace:
    """What was last written down about an agent."""

    record: AgentRecord
    span: AgentSpan


class Roster:
    """The owner of the agents, and of the queues' seats."""

    def __init__(self, queues: Mapping[str, Queue], timers: Timers, note: Callable[[Fact], None]) -> None:
        """`queues` and `timers` are the distributor's; `note` takes what is to be stored."""
        self._queues = queues
        self._timers = timers
        self._note = note
        self._agents: dict[str, Agent] = {}
        self._traces: dict[str, _Trace] = {}
        self.to_serve: dict[str, None] = {}
        self.to_review: dict[str, None] = {}
        self.freed: dict[str, None] = {}
        """The agents who came free, for whoever waits for that."""

    def __iter__(self) -> Iterator[Agent]:
        """Iterate over all agents."""
        return iter(self._agents.values())

    def get(self, name: str) -> Agent | None:
        """Return the agent of this name, or None."""
        return self._agents.get(name)

    def agent(self, name: str) -> Agent:
        """Return the agent of this name; raises UnknownAgent."""
        agent = self._agents.get(name)
        if agent is None:
            raise UnknownAgent(f"there is no agent {name!r}")
        return agent

    def since(self, agent: Agent) -> float:
        """Return since when `agent` has had its present status and state."""
        return self._traces[agent.name].span.started_at

    def put(self, record: AgentRecord | AgentSettings, now: float) -> Agent:
        """Take an agent in as the record says, or give a known one these settings and no more."""
        settings = record.settings if isinstance(record, AgentRecord) else record
        agent = self._agents.get(settings.name)
        if agent is None:
            agent = Agent.of_record(record) if isinstance(record, AgentRecord) else Agent(settings)
            self._agents[agent.name] = agent
            if agent.status_until is not None:
                self._timers.set(Key(Wakes.PAUSE, agent.name), agent.status_until)
        has_moved = agent.settings.account != settings.account
        agent.apply(settings)
        if has_moved:
            for name in agent.tiers.keys() & self._queues.keys():
                self.keep_apart(agent, self._queues[name], now)
        self.changed(agent, now)
        return agent

    def remove(self, agent: Agent, now: float) -> None:
        """Forget an agent and its tiers; the last span ends now."""
        for seat in list(agent.seats.values()):
            seat.queue.unseat(agent.name)
            self._presence_changed(seat.queue, now)
        del self._agents[agent.name]
        for kind in (Wakes.AGENT, Wakes.PAUSE):
            self._timers.cancel(Key(kind, agent.name))
        self._note(evolve(self._traces.pop(agent.name).span, ended_at=now))
        self._note(AgentRemoved(agent=agent.name))

    def put_tier(self, tier: Tier, now: float) -> None:
        """Give an agent its place in a queue; raises UnknownAgent and UnknownQueue.

        Raises ForeignAccount for a queue of another account.
        """
        agent = self.agent(tier.agent)
        queue = self._queues.get(tier.queue)
        if queue is None:
            raise UnknownQueue(f"there is no queue {tier.queue!r} for the agent {tier.agent!r} to serve")
        if complaint := tier_complaint(agent.settings, queue.settings):
            raise ForeignAccount(complaint)
        if agent.tiers.get(tier.queue) == tier:
            return
        queue.unseat(agent.name)
        agent.tiers[tier.queue] = tier
        self._note(tier)
        self.take_seat(queue, agent, tier, now)

    def keep_apart(self, agent: Agent, queue: Queue, now: float) -> None:
        """Let `agent` serve `queue`, in which it has a tier, as far as their accounts allow it now.

        A tier that they do not allow is kept, as a tier is of a queue that is not there.
        """
        allowed = tier_complaint(agent.settings, queue.settings) is None
        if allowed and queue.name not in agent.seats:
            self.take_seat(queue, agent, agent.tiers[queue.name], now)
        elif not allowed and queue.name in agent.seats:
            queue.unseat(agent.name)
            self._presence_changed(queue, now)

    def take_seat(self, queue: Queue, agent: Agent, tier: Tier, now: float) -> None:
        """Let `agent` serve `queue` from now on."""
        queue.seat(agent, tier)
        seat = agent.seats[queue.name]
        queue.set_occupation(seat, agent.occupation(now))
        self._set_present(seat, agent.is_present, now)
        self._presence_changed(queue, now)
        self.changed(agent, now)

    def remove_tier(self, queue_name: str, agent_name: str, now: float) -> None:
        """Take an agent's place in a queue away; raises UnknownAgent and UnknownTier."""
        agent = self.agent(agent_name)
        if agent.tiers.pop(queue_name, None) is None:
            raise UnknownTier(f"the agent {agent_name!r} has no tier in the queue {queue_name!r}")
        self._note(TierRemoved(queue=queue_name, agent=agent_name))
        queue = self._queues.get(queue_name)
        if queue is not None:
            queue.unseat(agent_name)
            self._presence_changed(queue, now)

    def set_status(
        self, agent: Agent, status: AgentStatus, reason: str, now: float, until: float | None = None
    ) -> None:
        """Let `agent` be what a person chose, `until` then. A call or a ring it has goes on in its state.

        Who becomes present starts without misses and without delays. Logging out ends a wrap-up.
        """
        becomes_present = status in PRESENT_STATUSES and agent.status not in PRESENT_STATUSES
        agent.status = status
        agent.reason = reason
        agent.status_until = until
        pause = Key(Wakes.PAUSE, agent.name)
        if until is not None:
            self._timers.set(pause, until)
        else:
            self._timers.cancel(pause)
        if becomes_present:
            agent.misses = 0
            agent.held_until = 0.0
        wraps_up = agent.state is AgentState.WRAP_UP
        if agent.state in (AgentState.WAITING, AgentState.IDLE) or (
            wraps_up and status is AgentStatus.LOGGED_OUT
        ):
            self.rest(agent, now)
        else:
            self.changed(agent, now)

    def rest(self, agent: Agent, now: float) -> None:
        """Let `agent` wait for the next call, or be idle if its status says so."""
        agent.state = agent.resting_state
        agent.call = ""
        self.changed(agent, now)

    def changed(self, agent: Agent, now: float) -> None:
        """Bring everything up to date that depends on `agent`. To be called after each change of it."""
        agent.kept_refusal = None
        occupation, is_present = agent.occupation(now), agent.is_present
        # For who is free it matters as well what has become of settings and own calls.
        if not occupation or (occupation, is_present) != agent.stands_as:
            for seat in agent.seats.values():
                seat.queue.set_occupation(seat, occupation)
            if not occupation:
                self.to_serve.update(dict.fromkeys(agent.seats))
            if agent.stands_as is None or is_present is not agent.stands_as[1]:
                for seat in agent.seats.values():
                    self._set_present(seat, is_present, now)
            if not occupation and (agent.stands_as is None or agent.stands_as[0]):
                self.freed[agent.name] = None
            agent.stands_as = occupation, is_present
        key = Key(Wakes.AGENT, agent.name)
        if agent.state is AgentState.WRAP_UP:
            self._timers.set(key, agent.wrap_up_until)
        elif agent.state is AgentState.WAITING and agent.held_until > now:
            self._timers.set(key, agent.held_until)
        else:
            self._timers.cancel(key)
        self._write_down(agent, now)

    def _set_present(self, seat: Seat, is_present: bool, now: float) -> None:
        """Let an agent be present in one of its queues, or not."""
        if is_present is not seat.is_present:
            seat.queue.set_present(seat, is_present)
            self._presence_changed(seat.queue, now)

    def _presence_changed(self, queue: Queue, now: float) -> None:
        """Have the members looked at if who is there changes what they need, or how long they may wait."""
        if bool(queue.present) == (queue.agentless_since is not None):
            queue.agentless_since = None if queue.present else now
            if depends_on_presence(queue.settings):
                self.to_review[queue.name] = None
        if queue.has_other_needs:
            self.to_review[queue.name] = None

    def _write_down(self, agent: Agent, now: float) -> None:
        trace = self._traces.get(agent.name)
        if trace is None:
            record = agent.record()
            self._traces[agent.name] = _Trace(record, self._begin_span(agent, now))
            self._note(record)
            return
        if _differs(trace.span, agent):
            self._end_span(trace.span, now)
            trace.span = self._begin_span(agent, now)
        record = agent.record()
        # The state first, as that is what mostly changes, and the settings take longest to compare.
        if trace.record.state is not record.state or trace.record != record:
            trace.record = record
            self._note(record)

    def _begin_span(self, agent: Agent, now: float) -> AgentSpan:
        span = AgentSpan(
            agent=agent.name,
            started_at=now,
            ended_at=None,
            status=agent.status,
            state=agent.state,
            reason=agent.reason,
            call=agent.call,
            wrap_up_until=agent.wrap_up_until if agent.state is AgentState.WRAP_UP else None,
        )
        self._note(span)
        return span

    def _end_span(self, span: AgentSpan, now: float) -> None:
        """End a span. One that began this very instant is overwritten by the next, as it has its key."""
        if now > span.started_at:
            self._note(
                AgentSpan(
                    agent=span.agent,
                    started_at=span.started_at,
                    ended_at=now,
                    status=span.status,
                    state=span.state,
                    reason=span.reason,
                    call=span.call,
                )
            )


def _differs(span: AgentSpan, agent: Agent) -> bool:
    return (
        span.state is not agent.state
        or span.status is not agent.status
        or span.call != agent.call
        or span.reason != agent.reason
    )
