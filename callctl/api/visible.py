"""What somebody sees of the server: the agents, queues and calls of the own account, and no others.

Every endpoint asks here before it shows or touches a thing. What is not seen is answered in the same words
as what does not exist. Somebody with the scope `agent` alone sees one agent, and no other.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen
from starlette.requests import Request

from callctl.acd.views import AgentView, MemberView, QueueView
from callctl.api.access import Principal, principal_of
from callctl.api.house import House
from callctl.errors import UnknownAgent, UnknownCall, UnknownQueue
from callctl.model import CallEvent, CallRecord, Decision, QueueSettings
from callctl.store.timeline import Visit


@frozen
class Visible:
    """The server as one principal sees it."""

    who: Principal
    _house: House

    @classmethod
    def to(cls, request: Request, house: House) -> Visible:
        """Return what is visible to whoever asks."""
        return cls(principal_of(request), house)

    @property
    def account(self) -> str:
        """The account whose calls are seen, "" for all."""
        return "" if self.who.sees_every_account else self.who.account

    # --- agents ---

    def agent(self, name: str) -> AgentView:
        """Return one agent; raises UnknownAgent."""
        view = self._house.act(lambda distributor, now: distributor.agent(name, now))
        if not self._sees_agent(view):
            raise UnknownAgent(f"there is no agent {name!r}")
        return self._as_seen(view)

    def agents(self) -> Sequence[AgentView]:
        """Return all agents, by name."""
        views = self._house.act(lambda distributor, now: distributor.agents(now))
        return [self._as_seen(view) for view in views if self._sees_agent(view)]

    def _sees_agent(self, view: AgentView) -> bool:
        return self.who.sees(view.settings.account) and self.who.only_agent in (None, view.name)

    def _as_seen(self, view: AgentView) -> AgentView:
        """Return an agent without what it has to do with others' queues and calls."""
        if self.who.sees_every_account:
            return view
        queues = self._house.queues
        tiers = {
            name: place
            for name, place in view.tiers.items()
            if name in queues and self.who.sees(queues[name].account)
        }
        # Only in a shared queue an agent gets calls of others.
        if view.call and len(tiers) < len(view.tiers) and not self._sees_call(view.call):
            view = evolve(view, call="")
        return evolve(view, tiers=tiers)

    # --- queues ---

    def queue(self, name: str) -> QueueView:
        """Return one queue; raises UnknownQueue."""
        view = self._house.act(lambda distributor, now: distributor.queue(name, now))
        if not self.who.sees(view.account):
            raise UnknownQueue(f"there is no queue {name!r}")
        return view

    def queues(self) -> Sequence[QueueView]:
        """Return all queues; to somebody who sees one agent alone, those that this agent serves."""
        views = self._house.act(lambda distributor, now: distributor.queues(now))
        served = None if (only := self.who.only_agent) is None else self._served_by(only)
        return [
            view for view in views if self.who.sees(view.account) and (served is None or view.name in served)
        ]

    def members_of(self, queue: str) -> Sequence[MemberView]:
        """Return who waits in a queue, in its order."""
        members = self._house.act(lambda distributor, now: distributor.members(now))
        return [member for member in members if member.queue == queue]

    def settings_of(self, queue: str) -> QueueSettings | None:
        """Return the settings of a queue that is seen; None for one that is not configured any more."""
        return self._house.queues.get(queue)

    def _served_by(self, agent: str) -> set[str]:
        try:
            return set(self.agent(agent).tiers)
        except UnknownAgent:
            return set()

    # --- calls ---

    def call(self, uuid: str) -> CallRecord:
        """Return the row of a living call; raises UnknownCall."""
        record = self._house.calls.find(uuid)
        if not self.who.sees(record.arrival.account):
            raise UnknownCall(f"no call {uuid!r} is waiting or talking")
        return record

    def _sees_call(self, uuid: str) -> bool:
        try:
            self.call(uuid)
        except UnknownCall:
            return False
        return True

    def visit(self, visit: Visit) -> Visit | None:
        """Return a visit as it is seen; None for one that is not.

        To somebody who sees one agent alone it is shown if the agent answered it or was rung for it, without
        what other agents did, and why they were not chosen.
        """
        if not self.who.sees(visit.call.arrival.account):
            return None
        if (only := self.who.only_agent) is None:
            steps = tuple(self.decision(step) if isinstance(step, Decision) else step for step in visit.steps)
            return evolve(visit, steps=steps)
        rings = tuple(offer for offer in visit.offers if offer.agent == only)
        if not only or (visit.call.agent != only and not rings):
            return None
        return evolve(
            visit, offers=rings, steps=tuple(each for each in visit.steps if isinstance(each, CallEvent))
        )

    def decision(self, decision: Decision) -> Decision:
        """Return a decision about a call that is seen.

        In a shared queue others' agents serve as well: only whom the call was offered to is named of them.
        """
        queue = self._house.queues.get(decision.queue)
        if self.who.sees_every_account or (queue is not None and self.who.sees(queue.account)):
            return decision
        seen = {view.name for view in self.agents()}
        return evolve(
            decision,
            order=tuple(name for name in decision.order if name in seen or name in decision.chosen),
            passed_over=tuple(
                evolve(passed, why=_without_names(passed.why, decision, seen))
                for passed in decision.passed_over
                if passed.agent in seen
            ),
        )


def _without_names(why: str, decision: Decision, seen: set[str]) -> str:
    """Return why an agent was passed over; "NAME is …" tells of another, who may be hidden."""
    hidden = {*decision.order, *(each.agent for each in decision.passed_over)} - seen - {*decision.chosen}
    return "another agent comes first" if any(why.startswith(f"{name} ") for name in hidden) else why
