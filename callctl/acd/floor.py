"""The floor: all that is live, and the moves that change two things at once and must keep them in step.

A move leaves notes of whom it concerns. `settle` then looks at these until there is nothing left to
decide, so that the verbs of the distributor need not know what follows from what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from callctl.acd import unreached
from callctl.acd.agent import Agent, Phase, Reservation, Seat
from callctl.acd.choose import Choice, choices, is_anybody_left, needs_of, wants_offer
from callctl.acd.delays import BACK_OFF_SECONDS, OFFER_INTERVAL_SECONDS, consequence
from callctl.acd.effects import (
    AgentLeaseExpired,
    CallerSteppedBack,
    Effect,
    Noted,
    Offered,
    OfferWithdrawn,
    WaitOver,
)
from callctl.acd.explain import decision
from callctl.acd.limits import NEVER
from callctl.acd.member import Member
from callctl.acd.memory import CallerMemory
from callctl.acd.queue import Queue
from callctl.acd.review import review
from callctl.acd.roster import Roster
from callctl.acd.strategy import place
from callctl.acd.timers import Key, Timers, Wakes
from callctl.errors import UnknownCall, UnknownQueue
from callctl.ids import Ids
from callctl.model import (
    AgentState,
    AgentStatus,
    Arrival,
    CallEvent,
    Decision,
    Fact,
    Offer,
    OfferResult,
    QueueSettings,
    Strategy,
    prelude_seconds,
)

LEASE_MARGIN_SECONDS = 5.0
"""What a lease lasts beyond the ring: the switch's own timeout and its event come within that, or never."""

BRIDGE_LEASE_SECONDS = 90.0
"""How long an agent may have answered without being bridged: time to call a caller back, and to find out that
a switch which says nothing is away. Cut short on a guess, this would hang up two who talk already."""

AWAY_LEASE_SECONDS = 330.0
"""How long that may be while the call's switch is known to be away: its calls count as lost before."""

RELEASE_SECONDS = 1.0
"""How long a cancelled leg is waited for before its agent is offered the next call: no leg lives longer
without its caller, and a phone that still rings would answer the next call with busy."""


class Floor:
    """Queues, members, agents and reservations."""

    def __init__(self, ids: Ids, draw: Callable[[], float]) -> None:
        self.ids = ids
        self.effects: list[Effect] = []
        self.timers = Timers()
        self.queues: dict[str, Queue] = {}
        self.roster = Roster(self.queues, self.timers, self._note)
        self.members: dict[str, Member] = {}
        self.switches_away: set[str] = set()
        self.reservations: dict[str, Reservation] = {}
        self.memory = CallerMemory()
        self._draw = draw
        self._to_review: dict[str, None] = {}
        self._to_explain: dict[str, None] = {}
        self._entering: set[str] = set()
        self._stepping_back: set[str] = set()

    def queue(self, name: str) -> Queue:
        """Return the queue of this name that calls may join; raises UnknownQueue."""
        queue = self.queues.get(name)
        if queue is None or queue.is_removed:
            raise UnknownQueue(f"there is no queue {name!r}")
        return queue

    def member(self, call: str) -> Member:
        """Return the member with this call; raises UnknownCall."""
        member = self.members.get(call)
        if member is None:
            raise UnknownCall(f"no call {call!r} is waiting")
        return member

    def agent_of(self, reservation: Reservation) -> Agent | None:
        """Return the agent that this reservation holds; None once the agent is removed."""
        agent = self.roster.get(reservation.offer.agent)
        return agent if agent is not None and agent.reservation is reservation else None

    # --- members ---

    def add(self, member: Member, now: float) -> None:
        """Let `member` wait. The place of one who comes back to a running wait is not judged again."""
        self.members[member.call] = member
        member.is_out_of_reach = member.is_held or member.arrival.switch in self.switches_away
        member.queue.add(member)
        member.position_at_entry = member.queue.position(member)
        member.estimate_from = now, member.position_at_entry
        if member.tries.step_backs:
            self._stepping_back.add(member.call)
        self.memory.waits(member)
        self._to_explain[member.call] = None
        if not member.arrival.resumes:
            self._entering.add(member.call)
        self.look_at(member)

    def drop(self, call: str, now: float, but: Reservation | None = None) -> None:
        """Take a call out of its queue and withdraw its offers, all `but` one. Nothing if it is not there."""
        member = self.members.pop(call, None)
        if member is None:
            return
        member.queue.remove(member)
        self._stepping_back.discard(call)
        self.memory.gone(member)
        self.timers.cancel(Key(Wakes.MEMBER, call))
        held = [*member.offers.values(), member.winner]
        for reservation in held:
            if reservation is not None and reservation is not but:
                self.withdraw(reservation, "ORIGINATOR_CANCEL", now)
        self.forget_if_done(member.queue)

    def forget_if_done(self, queue: Queue) -> None:
        """Let a removed queue go once its last member has left."""
        if queue.is_removed and not queue.members and self.queues.pop(queue.name, None) is not None:
            for name in list(queue.seats):
                queue.unseat(name)

    # --- reservations ---

    def reserve(self, member: Member, seat: Seat, now: float) -> None:
        """Offer `member` to the agent in `seat`."""
        agent, settings = seat.agent, member.queue.settings
        offer = Offer(
            id=self.ids.uuid(),
            call=member.call,
            queue=settings.name,
            agent=agent.name,
            contact=agent.settings.contact_on(member.arrival.switch),
            leg_uuid=self.ids.leg_uuid(),
            offered_at=now,
            ring_timeout=settings.ring_timeout,
            lease_until=now + settings.ring_timeout + _prelude_seconds(settings) + LEASE_MARGIN_SECONDS,
        )
        reservation = Reservation(offer)
        self.reservations[offer.id] = reservation
        self.timers.set(Key(Wakes.OFFER, offer.id), offer.lease_until)
        member.offers[offer.id] = reservation
        member.queue.last_place = member.last_tried = place(seat)
        if settings.strategy is Strategy.RING_PROGRESSIVELY:
            member.tried |= {agent.name}
        member.next_ring_at = now + settings.ring_progressively_delay
        self.line_up(member, now)
        agent.reservation = reservation
        agent.call = member.call
        agent.last_offered_at = now
        agent.state = AgentState.RESERVED
        self.roster.changed(agent, now)
        self.effects.append(Offered(offer))

    def adopt(self, arrival: Arrival, agent: Agent, leg_uuid: str, bridged_at: float, now: float) -> Offer:
        """Let `agent` be in a queue call that began before we were started, and in nothing else."""
        if agent.reservation is not None:
            if agent.reservation.phase not in (Phase.TALKING, Phase.WITHDRAWN):
                self.withdraw(agent.reservation, "ORIGINATOR_CANCEL", now)
            self.release(agent.reservation)
        offer = Offer(
            id=self.ids.uuid(),
            call=arrival.call,
            queue=arrival.queue,
            agent=agent.name,
            contact=agent.settings.contact_on(arrival.switch),
            leg_uuid=leg_uuid,
            offered_at=bridged_at,
            ring_timeout=0.0,
            lease_until=bridged_at,
        )
        reservation = Reservation(offer, Phase.TALKING, bridged_at, arrival.caller_number)
        self.reservations[offer.id] = agent.reservation = reservation
        agent.call = arrival.call
        agent.state = AgentState.IN_A_QUEUE_CALL
        self.roster.changed(agent, now)
        return offer

    def win(self, reservation: Reservation, now: float) -> bool:
        """Give the call to the agent who answered first, and withdraw its other offers."""
        member = self.members.get(reservation.offer.call)
        if not reservation.is_ringing or member is None or member.winner is not None:
            return False
        del member.offers[reservation.offer.id]
        member.winner = reservation
        self.line_up(member, now)
        reservation.phase = Phase.ANSWERED
        self.lease_for_bridge(member, now)
        for other in list(member.offers.values()):
            self.withdraw(other, "LOSE_RACE", now)
        agent = self.agent_of(reservation)
        if agent is not None:
            agent.misses = 0
            self._reached_phone(agent, reservation.offer.call, now)
            agent.state = AgentState.RECEIVING
            self.roster.changed(agent, now)
        return True

    def lease_for_bridge(self, member: Member, now: float) -> None:
        """Keep the agent who answered `member`, if there is one, for as long as the bridge may take."""
        if member.winner is not None:
            seconds = AWAY_LEASE_SECONDS if member.is_out_of_reach else BRIDGE_LEASE_SECONDS
            self.timers.set(Key(Wakes.OFFER, member.winner.offer.id), now + seconds)

    def withdraw(self, reservation: Reservation, cause: str, now: float) -> None:
        """Take an offer back; the agent is kept until its leg is gone, or for RELEASE_SECONDS."""
        reservation.phase = Phase.WITHDRAWN
        self.timers.set(Key(Wakes.OFFER, reservation.offer.id), now + RELEASE_SECONDS)
        self.give_back(reservation)
        self.effects.append(OfferWithdrawn(reservation.offer, cause))

    def give_back(self, reservation: Reservation) -> None:
        """Let the member of an offer, if there still is one, wait for the next."""
        member = self.members.get(reservation.offer.call)
        if member is not None:
            member.offers.pop(reservation.offer.id, None)
            if member.winner is reservation:
                member.winner = None
            self.look_at(member)

    def release(self, reservation: Reservation) -> Agent | None:
        """Forget a reservation, and return the agent that it held, who must be given a state next."""
        del self.reservations[reservation.offer.id]
        self.timers.cancel(Key(Wakes.OFFER, reservation.offer.id))
        agent = self.agent_of(reservation)
        if agent is not None:
            agent.reservation = None
        return agent

    def reattach(self, agent: Agent, now: float) -> None:
        """Give an agent who was removed and comes back the leg that it still has."""
        for reservation in self.reservations.values():
            if reservation.offer.agent == agent.name and agent.reservation is None:
                talking = reservation.phase is Phase.TALKING
                agent.reservation = reservation
                agent.call = reservation.offer.call
                agent.state = AgentState.IN_A_QUEUE_CALL if talking else AgentState.RECEIVING
                self.roster.changed(agent, now)

    # --- what an agent does next ---

    def hold(
        self, agent: Agent, offer: Offer, result: OfferResult, cause: str, now: float, *, reached: bool
    ) -> None:
        """Hold against `agent` what the end of `offer` asks for: a delay, a miss, at last a break.

        Where no phone was `reached`, it may be the caller who is held back.
        """
        follows = consequence(agent.settings, result, cause, reached=reached)
        delay_seconds = follows.delay_seconds
        if follows.reached_phone:
            self._reached_phone(agent, offer.call, now)
        elif follows.is_unreached:
            delay_seconds = self._reached_no_phone(agent, offer.call, now)
        agent.held_until = max(now + delay_seconds, offer.offered_at + OFFER_INTERVAL_SECONDS)
        agent.held_for = follows.cause
        agent.held_until_registered = follows.until_registered
        if not follows.is_miss:
            return
        agent.misses += 1
        if 0 < agent.settings.max_no_answer <= agent.misses:
            queue = self.queues.get(offer.queue)
            status = queue.settings.agent_no_answer_status if queue is not None else AgentStatus.ON_BREAK
            self.roster.set_status(agent, status, f"{agent.misses} calls missed", now)

    def note_missed(self, offer: Offer, now: float) -> None:
        """The agent of `offer` has not taken the caller, who is offered to others first."""
        member = self.members.get(offer.call)
        if member is not None:
            member.tries.missed[offer.agent] = now

    def _reached_no_phone(self, agent: Agent, call: str, now: float) -> float:
        """Return for how many seconds `agent` is held, unless it is the caller who steps back."""
        member = self.members.get(call)
        if member is None:
            return unreached.charge(agent, call)
        is_tried_on = bool(member.offers) or is_anybody_left(member, now)
        if not unreached.is_callers_fault(agent, member, now, is_tried_on=is_tried_on) or member.offers:
            return unreached.charge(agent, call)
        self._step_back(member, now)
        return 0.0

    def _step_back(self, member: Member, now: float) -> None:
        """Let this caller be offered to nobody for a while, and its agents to others at once."""
        names = tuple(sorted(member.tries.suspicious))
        for agent in unreached.step_back(member, self._agents(names), now):
            if not agent.held_until_registered:
                agent.held_until = min(agent.held_until, now + OFFER_INTERVAL_SECONDS)
                self.roster.changed(agent, now)
        self._stepping_back.add(member.call)
        seconds = member.tries.not_before - now
        detail = f"for {seconds:.0f} s: no phone was reached of {', '.join(names)}"
        self._note(CallEvent(call=member.call, at=now, event="stepped-back", detail=detail))
        self.effects.append(CallerSteppedBack(member.call, seconds, names))
        self.look_at(member)

    def _reached_phone(self, agent: Agent, call: str, now: float) -> None:
        """A phone of `agent` was reached for this call."""
        unreached.note_reached(agent, now)
        member = self.members.get(call)
        if member is None or not member.tries.unreached:
            return
        self._stepping_back.discard(call)
        at_fault = unreached.exonerate(member, self._agents(member.tries.unreached))
        for other in at_fault:
            other.held_until = max(other.held_until, now + BACK_OFF_SECONDS)
            self.roster.changed(other, now)
        for call in sorted(self._stepping_back):
            if unreached.clear_of(self.members[call], at_fault):
                self._stepping_back.discard(call)
                self.look_at(self.members[call])

    def reached_while_withdrawn(self, reservation: Reservation, now: float) -> None:
        """An offer that was taken back had reached a phone by then."""
        agent = self.agent_of(reservation)
        if agent is not None:
            self._reached_phone(agent, reservation.offer.call, now)

    def _agents(self, names: Iterable[str]) -> list[Agent]:
        found = (self.roster.get(name) for name in sorted(names))
        return [agent for agent in found if agent is not None]

    def wrap_up(self, agent: Agent, queue_name: str, now: float) -> None:
        """Let `agent` do what is left to do after a call, the queue's time over its own."""
        queue = self.queues.get(queue_name)
        of_queue = queue.settings.wrap_up_time if queue is not None else None
        seconds = agent.settings.wrap_up_time if of_queue is None else of_queue
        if seconds <= 0 or agent.status is AgentStatus.LOGGED_OUT:
            self.rest_after_call(agent, now)
            return
        agent.state = AgentState.WRAP_UP
        agent.wrap_up_until = now + seconds
        self.roster.changed(agent, now)

    def rest_after_call(self, agent: Agent, now: float) -> None:
        """Let `agent` wait for the next call; one who is there on demand has to ask for it."""
        self.roster.rest(agent, now)
        if agent.status is AgentStatus.AVAILABLE_ON_DEMAND:
            agent.state = AgentState.IDLE
            self.roster.changed(agent, now)

    # --- time and decisions ---

    def advance(self, now: float) -> None:
        """Do everything whose time has come; what follows from it is left to `settle`."""
        while (key := self.timers.pop_due(now)) is not None:
            match key.kind:
                case Wakes.OFFER:
                    self._offer_is_over(self.reservations[key.name], now)
                case Wakes.AGENT:
                    agent = self.roster.agent(key.name)
                    if agent.state is AgentState.WRAP_UP:
                        self.rest_after_call(agent, now)
                    else:
                        self.roster.changed(agent, now)
                case Wakes.PAUSE:
                    self.roster.set_status(self.roster.agent(key.name), AgentStatus.AVAILABLE, "", now)
                case Wakes.MEMBER:
                    self._to_explain[key.name] = None
                    self.look_at(self.members[key.name])

    def settle(self, now: float) -> None:
        """Decide until there is nothing left to decide. What is due by now comes first, said or not."""
        self.advance(now)
        freed = _taken(self.roster.freed)
        stepping = [self.members[call] for call in sorted(self._stepping_back)] if freed else []
        forward = [each for each in stepping if unreached.come_forward(each, needs_of(each, now), freed)]
        for each in forward:
            self.look_at(each)
        self._decide(now)
        for each in forward:
            unreached.go_back(each)
            if self.members.get(each.call) is each:
                self.look_at(each)
        self._decide(now)
        for call in _taken(self._to_explain):
            self._note_unserved(call, now)

    def _decide(self, now: float) -> None:
        while self._to_review or self.roster.to_review or self.roster.to_serve:
            for name in _taken(self.roster.to_review):
                if (queue := self.queues.get(name)) is not None:
                    queue.has_other_needs = False
                    self.roster.to_serve[name] = None
                    self._to_review.update(dict.fromkeys(queue.members))
            for call in _taken(self._to_review):
                if (member := self.members.get(call)) is not None:
                    self._review(member, now)
            self._serve(now)

    def look_at(self, member: Member) -> None:
        """Have what `member` needs looked at when things are settled."""
        self._to_review[member.call] = None
        self.roster.to_serve[member.queue.name] = None

    def line_up(self, member: Member, now: float) -> None:
        """Let `member` stand in the line where it belongs at `now`, or in none if it wants no offer."""
        needs = needs_of(member, now) if wants_offer(member, now) else None
        member.queue.lines.put(member, needs)
        member.queue.set_postponed(member, member.not_before > now)

    def _review(self, member: Member, now: float) -> None:
        verdict = review(member, now, is_entering=member.call in self._entering)
        self._entering.discard(member.call)
        key = Key(Wakes.MEMBER, member.call)
        if verdict.reason is not None:
            self.drop(member.call, now)
            self.effects.append(WaitOver(member.call, verdict.reason, verdict.target))
            return
        self.line_up(member, now)
        if verdict.wakes_at < NEVER:
            self.timers.set(key, verdict.wakes_at)
        else:
            self.timers.cancel(key)

    def _serve(self, now: float) -> None:
        queues = [self.queues[name] for name in _taken(self.roster.to_serve) if name in self.queues]
        for choice in choices(queues, now, self._draw):
            decided = decision(choice, self.ids.uuid(), now)
            for seat in choice.chosen:
                self.reserve(choice.member, seat, now)
            self._to_review[choice.member.call] = None
            self._note(decided)

    def _note_unserved(self, call: str, now: float) -> None:
        member = self.members.get(call)
        if member is None or member.offers or member.winner is not None:
            return
        needs = needs_of(member, now)
        if needs != member.explained:
            member.explained = needs
            self._note(self.explain(member, now))

    def explain(self, member: Member, now: float) -> Decision:
        """Return why `member` is not being offered to each agent at `now`; nothing is noted."""
        choice = Choice(member=member, needs=needs_of(member, now), order=())
        return decision(choice, self.ids.uuid(), now)

    def _offer_is_over(self, reservation: Reservation, now: float) -> None:
        if reservation.phase is not Phase.WITHDRAWN:
            self.note_missed(reservation.offer, now)
            self.give_back(reservation)
            self.effects.append(OfferWithdrawn(reservation.offer, "ORIGINATOR_CANCEL"))
            self.effects.append(AgentLeaseExpired(reservation.offer))
        agent = self.release(reservation)
        if agent is not None:
            self.roster.rest(agent, now)

    def _note(self, fact: Fact) -> None:
        self.effects.append(Noted(fact))


def _taken(names: dict[str, None]) -> list[str]:
    """Return the names and leave none: what they lead to may add new ones."""
    taken = list(names)
    names.clear()
    return taken


def _prelude_seconds(settings: QueueSettings) -> float:
    """Return how long an agent may take between answering and getting the caller."""
    return prelude_seconds(settings.agent_announce, settings.accept_key, settings.accept_timeout)
