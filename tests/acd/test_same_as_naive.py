"""The distributor gives everybody the same agent as one that looks through everything each time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import settings

from callctl.acd import floor
from callctl.acd.distributor import Distributor
from callctl.acd.effects import Effect, Offered
from callctl.errors import CallctlError
from callctl.ids import Ids
from callctl.model import (
    AgentSettings,
    AgentStatus,
    Arrival,
    Offer,
    OfferResult,
    QueueSettings,
    Strategy,
    Tier,
)
from tests.acd import naive
from tests.acd.test_any_order_of_events import Floor


class Twins:
    """Two distributors of the same fate, one of them naive: what is done to one is done to both."""

    def __init__(self, seed: int) -> None:
        self.one = Distributor(ids=Ids(random.Random(seed)), random=random.Random(seed))
        self.naive = Distributor(ids=Ids(random.Random(seed)), random=random.Random(seed))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def both(*args: Any, **kwargs: Any) -> Any:
            results = [_outcome(getattr(self.one, name), *args, **kwargs)]
            with patch.object(floor, "choices", naive.choices):
                results.append(_outcome(getattr(self.naive, name), *args, **kwargs))
            one, other = results
            if isinstance(one, CallctlError):
                assert (type(one), str(one)) == (type(other), str(other))
                raise one
            assert one == other
            return one

        return both


def _outcome(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return method(*args, **kwargs)
    except CallctlError as error:
        return error


class TwinFloor(Floor):
    """Any order of events, twice."""

    def distributor(self, seed: int) -> Any:
        return Twins(seed)


TwinFloor.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyOrderOfEventsTwice = TwinFloor.TestCase


@pytest.mark.parametrize("strategy", sorted(set(Strategy) - {Strategy.RANDOM}))
def test_a_large_centre_gives_everybody_the_same_agent(strategy: Strategy) -> None:
    """90 agents of several kinds and levels in three queues, two of them too large to name everybody.

    Not by chance: the naive one draws for everybody, and so draws otherwise from then on.
    """
    chance = random.Random(strategy.value)
    twins = Twins(1)
    for number, queue in enumerate(("q0", "q1", "q2")):
        twins.put_queue(
            QueueSettings(
                name=queue,
                strategy=strategy,
                weight=1.0 + number,
                tier_rules_apply=number == 1,
                tier_rule_wait_second=3.0,
                skill_relax_seconds=4.0 * number,
                wrap_up_time=2.0,
            ),
            0.0,
        )
    for number in range(90):
        name = f"a{number:02}"
        skills = {skill: chance.randint(1, 3) for skill in ("english", "billing") if chance.random() < 0.4}
        contacts = {"fs2": ""} if chance.random() < 0.2 else {}
        twins.put_agent(AgentSettings(name=name, contact=name, contacts=contacts, skills=skills), 0.0)
        for queue in ("q0", "q1") if number < 60 else ("q1", "q2"):
            tier = Tier(queue=queue, agent=name, level=chance.randint(1, 3), position=chance.randint(1, 5))
            twins.put_tier(tier, 0.0)
        twins.set_status(name, AgentStatus.AVAILABLE, 0.0)
    now, offered = 0.0, 0
    offers: list[Offer] = []
    talks: list[Offer] = []
    for number in range(400):
        now += chance.choice([0.0, 0.25, 0.5])
        match chance.randrange(5):
            case 0 | 1 | 2:
                twins.join(_arrival(number, now, chance), now)
            case 3:
                twins.advance(now)
            case _:
                twins.leave(f"c{chance.randrange(number + 1)}", now)
        for offer in chance.sample(offers, min(len(offers), chance.randrange(4))):
            offers.remove(offer)
            if chance.random() < 0.5:
                result, reached = chance.choice(list(OfferResult)), chance.random() < 0.5
                twins.offer_failed(offer.id, result, "", now, reached=reached)
            elif twins.offer_answered(offer.id, now):
                twins.bridged(offer.id, now)
                talks.append(offer)
        for offer in chance.sample(talks, len(talks) // 2):
            talks.remove(offer)
            twins.talk_ended(offer.id, now)
        effects: list[Effect] = twins.take_effects()
        offers += [effect.offer for effect in effects if isinstance(effect, Offered)]
        offered += sum(isinstance(effect, Offered) for effect in effects)
    assert twins.check_invariants(now) == []
    assert offered > 200


def _arrival(number: int, now: float, chance: random.Random) -> Arrival:
    return Arrival(
        call=f"c{number}",
        uuid="",
        switch=chance.choice(["fs1", "fs2"]),
        queue=chance.choice(["q0", "q1", "q2"]),
        arrived_at=now,
        joined_at=now - chance.choice([0.0, 0.0, 5.0]),
        base_score=chance.choice([0.0, 0.0, 20.0]),
        skills=chance.choice([{}, {}, {"english": 2}, {"billing": 1, "english": 3}]),
        preferred_agent=chance.choice(["", "", f"a{chance.randrange(90):02}"]),
    )
