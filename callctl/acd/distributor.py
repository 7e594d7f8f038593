"""The distributor: the one owner of queues, members, agents and tiers, who decides who gets whom.

Every method is synchronous and hence atomic. It takes what happened and the time, decides at once, and
leaves what follows as effects in `take_effects`: when a method returns, no free agent and waiting member
who fit each other are left. `now` is in epoch seconds, everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import count

from attrs import evolve

from callctl.acd.admission import admit
from callctl.acd.agent import PRESENT_STATUSES, Phase
from callctl.acd.choose import needs_of
from callctl.acd.effects import Effect, WaitOver
from callctl.acd.estimate import rounded
from callctl.acd.floor import Floor
from callctl.acd.invariants import Check, Violation, checks, violations
from callctl.acd.member import Member, Tries
from callctl.acd.queue import Queue
from callctl.acd.timers import Key, Wakes
from callctl.acd.views import (
    AgentView,
    MemberView,
    QueueView,
    agent_view,
    agents_of,
    expected_wait_of,
    first_members_of,
    members_of,
    queue_view,
)
from callctl.errors import UnknownQueue
from callctl.ids import Ids
from callctl.model import (
    AgentRecord,
    AgentSettings,
    AgentState,
    AgentStatus,
    Arrival,
    Decision,
    Offer,
    OfferResult,
    Place,
    QueueSettings,
    Reason,
    Tier,
)
from callctl.records.accounts import may_go_on, tier_complaint


class Distributor:
    """Takes arrivals, agents, and what became of each offer; gives out offers, ends of waits, and facts."""

    def __init__(self, *, ids: Ids, random: random.Random) -> None:
        """`ids` makes the identifiers of offers and legs, `random` is the strategy random's chance."""
        self._floor = Floor(ids, random.random)
        self._roster = self._floor.roster
        self._tickets = count()

    # --- configuration ---

    def put_queue(self, settings: QueueSettings, now: float) -> None:
        """Open a queue, or change the parameters of a known one; no call is touched by it.

        Raises ConfigError for opening hours that cannot be read, and changes nothing then.
        """
        queue = self._floor.queues.get(settings.name)
        is_new_here = queue is None or queue.settings.account != settings.account
        if queue is None:
            queue = Queue(settings, agentless_since=now)
            queue.apply(settings)
            self._floor.queues[settings.name] = queue
        queue.apply(settings)
        if is_new_here:
            for agent in self._roster:
                if queue.name in agent.tiers:
                    self._roster.keep_apart(agent, queue, now)
        queue.is_removed = False
        self._roster.to_review[queue.name] = None
        self._settle(now)

    def remove_queue(self, name: str, now: float) -> None:
        """Let nobody join this queue any more; who waits in it is served as before. Raises UnknownQueue."""
        queue = self._floor.queue(name)
        queue.is_removed = True
        self._floor.forget_if_done(queue)
        self._settle(now)

    def put_agent(self, record: AgentRecord | AgentSettings, now: float) -> None:
        """Take an agent in as the record says (settings alone: logged out); a known one gets the settings."""
        agent = self._roster.put(record, now)
        self._floor.reattach(agent, now)
        self._settle(now)

    def remove_agent(self, name: str, now: float) -> None:
        """Forget an agent; a ring of it is taken back, a talk goes on. Raises UnknownAgent."""
        agent = self._roster.agent(name)
        if agent.reservation is not None and agent.reservation.is_ringing:
            self._floor.withdraw(agent.reservation, "ORIGINATOR_CANCEL", now)
        self._roster.remove(agent, now)
        self._settle(now)

    def put_tier(self, tier: Tier, now: float) -> None:
        """Give an agent a place in a queue. Raises UnknownAgent and UnknownQueue.

        Raises ForeignAccount for a queue of another account.
        """
        self._roster.put_tier(tier, now)
        self._settle(now)

    def keep_tier(self, tier: Tier, now: float) -> None:
        """Give an agent a place as `put_tier` does, or keep it for when there is such a queue for it.

        Raises UnknownAgent.
        """
        agent, queue = self._roster.agent(tier.agent), self._floor.queues.get(tier.queue)
        if queue is not None and tier_complaint(agent.settings, queue.settings) is None:
            self._roster.put_tier(tier, now)
        else:
            agent.tiers[tier.queue] = tier
        self._settle(now)

    def remove_tier(self, queue: str, agent: str, now: float) -> None:
        """Take an agent's place in a queue away; a ring or talk goes on. Raises UnknownAgent, UnknownTier."""
        self._roster.remove_tier(queue, agent, now)
        self._settle(now)

    # --- agents ---

    def set_status(
        self, agent: str, status: AgentStatus, now: float, reason: str = "", until: float | None = None
    ) -> None:
        """Let an agent be what a person chose. A talk goes on; a ring that is no longer wanted is taken back.

        For Available (On Demand) this is also how an idle agent asks for the next call. A pause `until`
        some moment ends in Available. Raises UnknownAgent.
        """
        subject = self._roster.agent(agent)
        ring = subject.reservation
        if status not in PRESENT_STATUSES and ring is not None and ring.is_ringing:
            self._floor.withdraw(ring, "ORIGINATOR_CANCEL", now)
        self._roster.set_status(subject, status, reason, now, until)
        self._settle(now)

    def end_wrap_up(self, agent: str, now: float) -> None:
        """End an agent's wrap-up; nothing happens to one who has none. Raises UnknownAgent."""
        subject = self._roster.agent(agent)
        if subject.state is AgentState.WRAP_UP:
            self._floor.rest_after_call(subject, now)
        self._settle(now)

    def extend_wrap_up(self, agent: str, seconds: float, now: float) -> None:
        """Lengthen an agent's wrap-up; nothing happens to one who has none. Raises UnknownAgent."""
        subject = self._roster.agent(agent)
        if subject.state is AgentState.WRAP_UP:
            subject.wrap_up_until += seconds
            self._roster.changed(subject, now)
        self._settle(now)

    def set_external_call(self, agent: str, busy: bool, now: float) -> None:
        """Say whether an agent has a call of its own, seen from the switch's events. Raises UnknownAgent."""
        subject = self._roster.agent(agent)
        subject.external_call = busy
        self._roster.changed(subject, now)
        self._settle(now)

    def set_registered(self, agent: str, registered: bool | None, now: float) -> None:
        """Say whether an agent's phone is registered, None where unknown. Raises UnknownAgent.

        Registering ends the delay that a phone which was away had caused.
        """
        subject = self._roster.agent(agent)
        subject.registered = registered
        if registered and subject.held_until_registered:
            subject.held_until = 0.0
        self._roster.changed(subject, now)
        self._settle(now)

    def set_switch_ready(self, name: str, ready: bool, now: float) -> None:
        """Say whether a switch takes orders; while it does not, its callers keep their places unoffered.

        A switch counts as ready until the contrary is said. What rings already is left to its lease; who has
        answered is kept for the bridge, of which only the switch can tell.
        """
        away = self._floor.switches_away
        if ready:
            away.discard(name)
        else:
            away.add(name)
        for member in self._floor.members.values():
            if member.arrival.switch == name:
                member.is_out_of_reach = not ready or member.is_held
                self._floor.lease_for_bridge(member, now)
                self._floor.look_at(member)
        self._settle(now)

    # --- members ---

    def join(self, arrival: Arrival, now: float, *, is_held: bool = False) -> Place:
        """Let a call wait, and return its place. Who joins again keeps the old one.

        A call that `is_held` is offered to nobody until `release`.

        A caller who was cut off, or for whom a callback waits here, takes the place of the earlier visit;
        such a callback is over then, unless it is just being made. Raises UnknownQueue, also for a queue of
        another account, QueueFull, QueueEmpty and QueueClosed; none but the first for a call that comes back.
        """
        floor = self._floor
        queue = floor.queue(arrival.queue)
        if not may_go_on(arrival.account, queue.settings.account):
            raise UnknownQueue(f"there is no queue {arrival.queue!r} for calls of account {arrival.account}")
        known = floor.members.get(arrival.call)
        floor.drop(arrival.call, now)
        if not (arrival.resumes or arrival.callback):
            admit(queue, now)
        arrival = floor.memory.recall(queue, arrival, now)
        callback = floor.members.get(floor.memory.callback_of(arrival) or "")
        if callback is not None and callback.winner is None:
            own = arrival.joined_at if arrival.place_since is None else arrival.place_since
            arrival = evolve(arrival, place_since=min(own, callback.place_since))
            floor.drop(callback.call, now)
            floor.effects.append(WaitOver(callback.call, Reason.WITHDRAWN, f"call:{arrival.call}"))
        member = Member(
            arrival,
            queue,
            ticket=next(self._tickets),
            base_score=arrival.base_score if known is None else known.base_score,
            skills=tuple(sorted(arrival.skills.items())),
            tries=Tries() if known is None else known.tries,
            is_held=is_held,
        )
        floor.add(member, now)
        self._settle(now)
        return Place(position=member.position_at_entry, since=arrival.place_since)

    def leave(self, call: str, now: float, *, abandoned: bool = False) -> None:
        """Take a call out, for whatever reason it is gone; its offers are withdrawn. Idempotent.

        `abandoned` says that the caller hung up, who then may come back to the place for a while.
        """
        member = self._floor.members.get(call)
        if member is not None and abandoned:
            self._floor.memory.abandoned(member, now)
        self._floor.drop(call, now)
        self._settle(now)

    def release(self, call: str, now: float) -> None:
        """Have a call offered from now on that was held. Idempotent; a call that is gone is fine."""
        member = self._floor.members.get(call)
        if member is None or not member.is_held:
            return
        member.is_held = False
        member.is_out_of_reach = member.arrival.switch in self._floor.switches_away
        self._floor.look_at(member)
        self._settle(now)

    def postpone(self, call: str, until: float, now: float) -> None:
        """Offer a call to nobody before `until`, with its place kept; a running offer is withdrawn.

        This is how a callback whose caller did not answer is tried again later. A call that is gone is fine.
        """
        member = self._floor.members.get(call)
        if member is None:
            return
        member.postponed_until = until
        for reservation in [*member.offers.values(), *filter(None, [member.winner])]:
            self._floor.withdraw(reservation, "ORIGINATOR_CANCEL", now)
        self._floor.look_at(member)
        self._settle(now)

    def set_base_score(self, call: str, score: float, now: float) -> float:
        """Change a waiting call's base score, and its place; returns what it was. Raises UnknownCall."""
        member = self._floor.member(call)
        before = member.base_score
        member.queue.remove(member)
        member.base_score = score
        member.queue.add(member)
        member.estimate_from = now, member.queue.position(member)
        self._floor.line_up(member, now)
        self._settle(now)
        return before

    # --- offers ---

    def offer_ringing(self, offer_id: str, now: float) -> None:
        """The agent's leg exists: Reserved becomes Receiving."""
        reservation = self._floor.reservations.get(offer_id)
        if reservation is not None and reservation.phase is Phase.RESERVED:
            reservation.phase = Phase.RINGING
            agent = self._floor.agent_of(reservation)
            if agent is not None:
                agent.state = AgentState.RECEIVING
                self._roster.changed(agent, now)
        self._settle(now)

    def offer_answered(self, offer_id: str, now: float) -> bool:
        """The agent answered. Return whether the call is this agent's; if not, the leg must be killed.

        The winner's misses go back to 0, and all other offers of the call are withdrawn.
        """
        reservation = self._floor.reservations.get(offer_id)
        won = reservation is not None and self._floor.win(reservation, now)
        self._settle(now)
        return won

    def offer_failed(
        self, offer_id: str, result: OfferResult, cause: str, now: float, *, reached: bool = True
    ) -> None:
        """The agent's leg is gone without a bridge: release the agent, with what the cause asks for.

        `reached` says whether a phone rang, answered or refused. To be called for withdrawn offers too, as
        soon as the leg is gone: that frees the agent at once, where otherwise RELEASE_SECONDS do. The member
        goes on waiting, and is offered to other agents of the level before this one. Idempotent.
        """
        reservation = self._floor.reservations.get(offer_id)
        if reservation is not None and reservation.phase is not Phase.TALKING:
            was_withdrawn = reservation.phase is Phase.WITHDRAWN
            if not was_withdrawn:
                self._floor.note_missed(reservation.offer, now)
            elif reached:
                self._floor.reached_while_withdrawn(reservation, now)
            self._floor.give_back(reservation)
            agent = self._floor.release(reservation)
            if agent is not None:
                if not was_withdrawn:
                    self._floor.hold(agent, reservation.offer, result, cause, now, reached=reached)
                self._roster.rest(agent, now)
        self._settle(now)

    def bridge_failed(self, offer_id: str, now: float, *, caller_gone: bool) -> None:
        """The agent answered, but there is no bridge: the agent is free again, nothing held against it.

        A caller who is not gone waits again in the old place. Idempotent.
        """
        reservation = self._floor.reservations.get(offer_id)
        if reservation is not None and reservation.phase is not Phase.TALKING:
            if caller_gone and reservation.phase is not Phase.WITHDRAWN:
                self._floor.drop(reservation.offer.call, now, but=reservation)
            self._floor.note_missed(reservation.offer, now)
            self._floor.give_back(reservation)
            agent = self._floor.release(reservation)
            if agent is not None:
                self._floor.hold(agent, reservation.offer, OfferResult.CANCELLED, "", now, reached=True)
                self._roster.rest(agent, now)
        self._settle(now)

    def bridged(self, offer_id: str, now: float) -> None:
        """Both hear each other: the agent is in a queue call, and the member is out of the queue."""
        reservation = self._floor.reservations.get(offer_id)
        if reservation is not None and (
            reservation.phase is Phase.ANSWERED or self._floor.win(reservation, now)
        ):
            reservation.phase = Phase.TALKING
            reservation.bridged_at = now
            self._floor.timers.cancel(Key(Wakes.OFFER, offer_id))
            member = self._floor.members.get(reservation.offer.call)
            if member is not None:
                if not member.arrival.callback:
                    since, position = member.estimate_from
                    member.queue.waits.add(now, now - since, position)
                reservation.caller_number = member.arrival.caller_number
                self._floor.drop(member.call, now, but=reservation)
            agent = self._floor.agent_of(reservation)
            if agent is not None:
                agent.state = AgentState.IN_A_QUEUE_CALL
                agent.calls_answered += 1
                self._roster.changed(agent, now)
        self._settle(now)

    def talk_ended(self, offer_id: str, now: float) -> None:
        """The talk is over: the agent wraps up (the queue's time over its own), or rests. Idempotent."""
        reservation = self._floor.reservations.get(offer_id)
        if reservation is not None and reservation.phase is Phase.TALKING:
            agent = self._floor.release(reservation)
            if agent is not None:
                agent.talk_seconds += now - reservation.bridged_at
                agent.last_call_ended_at = now
                self._floor.memory.talked(reservation.caller_number, agent.name, now)
                self._floor.wrap_up(agent, reservation.offer.queue, now)
        self._settle(now)

    def remember_talk(self, caller_number: str, agent: str, ended_at: float) -> None:
        """Know from the history whom a caller talked to until then; the latest is to be told last."""
        self._floor.memory.talked(caller_number, agent, ended_at)

    def adopt_talk(self, arrival: Arrival, agent: str, leg_uuid: str, bridged_at: float, now: float) -> Offer:
        """After a restart: this agent is talking with this caller since `bridged_at`. Raises UnknownAgent."""
        subject = self._roster.agent(agent)
        self._floor.drop(arrival.call, now)
        offer = self._floor.adopt(arrival, subject, leg_uuid, bridged_at, now)
        self._settle(now)
        return offer

    # --- time ---

    def advance(self, now: float) -> None:
        """Do everything whose time has come: leases, wrap-ups, delays, limits, openings, next rings."""
        self._settle(now)

    def next_deadline(self) -> float | None:
        """Return when `advance` must be called next, or None."""
        return self._floor.timers.next()

    # --- out ---

    def take_effects(self) -> list[Effect]:
        """Return what followed since the last time, in order, and forget it."""
        effects, self._floor.effects = self._floor.effects, []
        return effects

    def members(self, now: float) -> tuple[MemberView, ...]:
        """Return everybody who waits, each queue's members in its order."""
        return members_of(self._floor, now)

    def first_members(self, most: int, now: float) -> tuple[MemberView, ...]:
        """Return those who are next, at most so many of each queue, in its order."""
        return first_members_of(self._floor, most, now)

    def agents(self, now: float) -> tuple[AgentView, ...]:
        """Return all agents, by name."""
        return agents_of(self._floor, now)

    def agent(self, name: str, now: float) -> AgentView:
        """Return one agent. Raises UnknownAgent."""
        agent = self._roster.agent(name)
        return agent_view(agent, self._roster.since(agent), now)

    def queue(self, name: str, now: float) -> QueueView:
        """Return one queue. Raises UnknownQueue, also for a removed one."""
        return queue_view(self._floor.queue(name), now)

    def queues(self, now: float) -> tuple[QueueView, ...]:
        """Return all queues, removed ones that still have members too."""
        return tuple(queue_view(queue, now) for queue in self._floor.queues.values())

    def position(self, call: str, now: float) -> int:
        """Return a waiting call's position, 1 being the next. Raises UnknownCall."""
        member = self._floor.member(call)
        return member.queue.position(member)

    def expected_wait(self, queue: str, now: float) -> float | None:
        """Return the seconds that a caller who joined now might wait, None if nobody can know.

        Raises UnknownQueue.
        """
        return expected_wait_of(self._floor.queue(queue), now)

    def announced_wait(self, call: str, now: float) -> float | None:
        """Return the seconds to tell a waiting caller: rounded, and never more than told before.

        None means that there is nothing to tell. Raises UnknownCall.
        """
        member = self._floor.member(call)
        expected = member.queue.expected_wait(member, needs_of(member, now), now)
        if expected is None:
            return None
        told = rounded(expected)
        if member.told_wait_seconds is not None:
            told = min(told, member.told_wait_seconds)
        member.told_wait_seconds = told
        return told

    def explain(self, call: str, now: float) -> Decision:
        """Return why a waiting call is with none of its agents at `now`. Raises UnknownCall."""
        return self._floor.explain(self._floor.member(call), now)

    def invariant_checks(self) -> Sequence[Check]:
        """Return the parts of `check_invariants`, each to be asked after an `advance`."""
        return checks(self._floor)

    def check_invariants(self, now: float) -> list[Violation]:
        """Return what is violated at `now` of what must always be true; nothing if all is sound."""
        return violations(self._floor, now)

    def _settle(self, now: float) -> None:
        self._floor.settle(now)
