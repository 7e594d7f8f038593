"""The nine orders, each on the same seven agents, worked out by hand."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from attrs import frozen

from callctl.acd.ordered import Ordered
from callctl.acd.strategy import (
    FIRST_BECAUSE,
    KEYS,
    Benches,
    Key,
    Past,
    Place,
    at_random,
    by_agent_order,
    fewest_calls,
    in_order,
    least_talk_time,
    longest_idle,
    place,
    ring_progressively,
    round_robin,
    top_down,
)
from callctl.model import Strategy


@frozen
class Candidate:
    """What a strategy may know of an agent."""

    name: str
    level: int
    position: int
    last_call_ended_at: float | None
    talk_seconds: float
    calls_answered: int
    last_offered_at: float | None


#   name  level pos  ended   talk  calls offered
AGENTS = [
    Candidate("gus", 2, 1, 10.0, 5.0, 0, 11.0),
    Candidate("fay", 1, 2, 40.0, 90.0, 4, 60.0),
    Candidate("eva", 1, 2, 40.0, 90.0, 4, 35.0),
    Candidate("dan", 1, 1, 40.0, 90.0, 4, 70.0),
    Candidate("cyn", 1, 3, None, 0.0, 0, None),
    Candidate("ben", 1, 3, 20.0, 300.0, 2, 15.0),
    Candidate("ann", 2, 1, None, 400.0, 9, None),
]


def on_benches(
    key: Callable[[Candidate], Key] = place, agents: Iterable[Candidate] = AGENTS
) -> Benches[Candidate]:
    """The agents on four benches: two of each level, by the first letter."""
    benches: dict[tuple[int, bool], Ordered[Key, Candidate]] = {}
    for agent in agents:
        benches.setdefault((agent.level, agent.name > "d"), Ordered()).add(key(agent), agent)
    return list(benches.values())


def names(candidates: Iterable[Candidate]) -> str:
    return " ".join(candidate.name for candidate in candidates)


def test_longest_idle_goes_by_level_then_end_of_the_last_call_then_position_then_name() -> None:
    assert names(sorted(AGENTS, key=longest_idle)) == "cyn ben dan eva fay ann gus"


def test_least_talk_time_goes_by_level_then_talk_time_then_position_then_name() -> None:
    assert names(sorted(AGENTS, key=least_talk_time)) == "cyn dan eva fay ben gus ann"


def test_fewest_calls_goes_by_level_then_calls_then_position_then_name() -> None:
    assert names(sorted(AGENTS, key=fewest_calls)) == "cyn ben dan eva fay gus ann"


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, "dan eva fay ben cyn ann gus"),
        ((1, 1, "dan"), "eva fay ben cyn dan ann gus"),
        ((1, 2, "eva"), "fay ben cyn dan eva ann gus"),
        ((1, 3, "cyn"), "dan eva fay ben cyn ann gus"),
        ((2, 1, "ann"), "gus dan eva fay ben cyn ann"),
        ((1, 2, "ed"), "eva fay ben cyn dan ann gus"),
    ],
)
def test_round_robin_goes_on_behind_the_last_of_its_level_and_then_through_all(
    last: Place | None, expected: str
) -> None:
    assert names(round_robin(on_benches(), last)) == expected


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, "dan eva fay ben cyn ann gus"),
        ((1, 2, "eva"), "fay ben cyn ann gus dan eva"),
        ((1, 3, "cyn"), "ann gus dan eva fay ben cyn"),
        ((2, 1, "gus"), "dan eva fay ben cyn ann gus"),
    ],
)
def test_top_down_goes_on_from_the_last_one_tried_and_then_from_the_top(
    last: Place | None, expected: str
) -> None:
    assert names(top_down(on_benches(), last)) == expected


def test_sequentially_goes_by_level_then_position_then_who_was_offered_longest_ago() -> None:
    assert names(sorted(AGENTS, key=by_agent_order)) == "dan eva fay cyn ben ann gus"


def test_a_place_goes_by_level_then_position_then_name() -> None:
    assert names(sorted(AGENTS, key=place)) == "dan eva fay ben cyn ann gus"


def test_ring_progressively_takes_those_first_whom_this_caller_has_not_rung() -> None:
    assert names(ring_progressively(on_benches(), ())) == "dan eva fay ben cyn ann gus"
    assert names(ring_progressively(on_benches(), {"dan", "fay"})) == "eva ben cyn ann gus dan fay"


def test_random_goes_by_level_and_chance_and_one_seed_gives_one_order() -> None:
    drawn = iter([0.5, 0.1, 0.9, 0.4, 0.4, 0.7, 0.2])
    # The last one left always takes the chair of the one drawn. Of dan eva fay ben cyn the third is fay, of
    # dan eva cyn ben the first is dan, of ben eva cyn the third, of ben eva the first; eva is left.
    assert names(at_random(on_benches()[::-1], lambda: next(drawn))) == "fay dan cyn ben eva gus ann"
    again = {names(at_random(on_benches(agents=a), random.Random(7).random)) for a in (AGENTS, AGENTS[::-1])}
    assert len(again) == 1


def test_random_gives_everyone_of_a_level_each_place_equally_often() -> None:
    source = random.Random(1)
    orders = [names(at_random(on_benches(), source.random)).split() for _ in range(2000)]
    for at, level in enumerate(["ben cyn dan eva fay"] * 5 + ["ann gus"] * 2):
        counts = Counter(order[at] for order in orders)
        expected = 2000 / len(level.split())
        assert set(counts) == set(level.split())
        assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_random_draws_no_more_than_is_asked_for() -> None:
    drawn = iter([0.5])
    assert next(at_random(on_benches(), lambda: next(drawn))).level == 1


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.LONGEST_IDLE_AGENT, "cyn ben dan eva fay ann gus"),
        (Strategy.AGENT_WITH_LEAST_TALK_TIME, "cyn dan eva fay ben gus ann"),
        (Strategy.AGENT_WITH_FEWEST_CALLS, "cyn ben dan eva fay gus ann"),
        (Strategy.ROUND_ROBIN, "fay ben cyn dan eva ann gus"),
        (Strategy.TOP_DOWN, "eva fay ben cyn ann gus dan"),
        (Strategy.SEQUENTIALLY_BY_AGENT_ORDER, "dan eva fay cyn ben ann gus"),
        (Strategy.RANDOM, "fay cyn eva ben dan gus ann"),
        (Strategy.RING_ALL, "dan eva fay ben cyn ann gus"),
        (Strategy.RING_PROGRESSIVELY, "eva fay ben ann gus dan cyn"),
    ],
)
def test_each_name_stands_for_its_order(strategy: Strategy, expected: str) -> None:
    past = Past(draw=lambda: 0.5, queue_last=(1, 2, "eva"), member_last=(1, 1, "dan"), tried=("dan", "cyn"))
    assert names(in_order(strategy, on_benches(KEYS[strategy]), past)) == expected


def test_every_strategy_can_say_why_its_first_is_the_first() -> None:
    assert set(FIRST_BECAUSE) == set(Strategy)
