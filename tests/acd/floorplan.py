"""A small call centre to test with: short names for long words, and the effects taken apart."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, TypeVar

from callctl.acd.distributor import Distributor
from callctl.acd.effects import Effect, Noted, Offered, OfferWithdrawn, WaitOver
from callctl.acd.views import AgentView, MemberView
from callctl.ids import Ids
from callctl.model import (
    AgentSettings,
    AgentSpan,
    AgentStatus,
    Arrival,
    Decision,
    Fact,
    Offer,
    OfferResult,
    QueueSettings,
    Tier,
)

F = TypeVar("F")


class Centre:
    """A distributor with a queue `q`, whose effects are kept and can be asked for by kind."""

    def __init__(self, seed: int = 1, **settings: Any) -> None:
        self.d = Distributor(ids=Ids(random.Random(seed)), random=random.Random(seed))
        self.seen: list[Effect] = []
        self.queue("q", **settings)

    def queue(self, name: str, now: float = 0.0, **settings: Any) -> None:
        self.d.put_queue(QueueSettings(name=name, **settings), now)

    def agent(
        self,
        name: str,
        now: float = 0.0,
        *,
        level: int = 1,
        position: int = 1,
        queues: tuple[str, ...] = ("q",),
        status: AgentStatus = AgentStatus.AVAILABLE,
        **settings: Any,
    ) -> None:
        settings.setdefault("contact", f"user/{name}")
        self.d.put_agent(AgentSettings(name=name, **settings), now)
        for queue in queues:
            self.d.put_tier(Tier(queue=queue, agent=name, level=level, position=position), now)
        self.d.set_status(name, status, now)

    def join(
        self,
        call: str,
        now: float = 0.0,
        *,
        queue: str = "q",
        switch: str = "fs1",
        joined_at: float | None = None,
        skills: Mapping[str, int] | None = None,
        **rest: Any,
    ) -> int:
        joined = now if joined_at is None else joined_at
        rest.setdefault("arrived_at", joined)
        arrival = Arrival(
            call=call,
            uuid=f"uuid-{call}",
            switch=switch,
            queue=queue,
            joined_at=joined,
            skills=skills or {},
            **rest,
        )
        return self.d.join(arrival, now).position

    def effects(self) -> list[Effect]:
        """What followed since the last question, facts left out."""
        taken = self.d.take_effects()
        self.seen += taken
        return [effect for effect in taken if not isinstance(effect, Noted)]

    def seen_offers(self) -> list[Offer]:
        """All offers that were ever made."""
        self.effects()
        return [effect.offer for effect in self.seen if isinstance(effect, Offered)]

    def offers(self) -> list[Offer]:
        """The offers since the last question; fails if anything else followed."""
        effects = self.effects()
        assert all(isinstance(effect, Offered) for effect in effects), effects
        return [effect.offer for effect in effects if isinstance(effect, Offered)]

    def offer(self) -> Offer:
        """The one offer since the last question."""
        (offer,) = self.offers()
        return offer

    def pairs(self) -> list[tuple[str, str]]:
        """The offers since the last question as (call, agent)."""
        return [(offer.call, offer.agent) for offer in self.offers()]

    def ends(self) -> list[tuple[str, str]]:
        """The waits that ended since the last question as (call, reason)."""
        return [(e.call, str(e.reason)) for e in self.effects() if isinstance(e, WaitOver)]

    def withdrawn(self) -> list[tuple[str, str]]:
        """The offers withdrawn since the last question as (agent, cause)."""
        return [(e.offer.agent, e.cause) for e in self.effects() if isinstance(e, OfferWithdrawn)]

    def facts(self, kind: type[F]) -> list[F]:
        """All facts of a kind that were ever noted."""
        self.effects()
        noted: list[Fact] = [effect.fact for effect in self.seen if isinstance(effect, Noted)]
        return [fact for fact in noted if isinstance(fact, kind)]

    def decisions(self) -> list[Decision]:
        return self.facts(Decision)

    def spans(self, agent: str) -> list[AgentSpan]:
        """The agent's spans as the store keeps them: one for each beginning, the last word counts."""
        kept = {span.started_at: span for span in self.facts(AgentSpan) if span.agent == agent}
        return [kept[at] for at in sorted(kept)]

    def view(self, agent: str, now: float = 0.0) -> AgentView:
        return next(view for view in self.d.agents(now) if view.name == agent)

    def member(self, call: str, now: float = 0.0) -> MemberView:
        return next(view for view in self.d.members(now) if view.call == call)

    def answer(self, offer: Offer, now: float) -> None:
        """The agent answers and the two are bridged."""
        assert self.d.offer_answered(offer.id, now)
        self.d.bridged(offer.id, now)

    def fail(self, offer: Offer, cause: str, now: float, result: OfferResult = OfferResult.FAILED) -> None:
        self.d.offer_failed(offer.id, result, cause, now)
