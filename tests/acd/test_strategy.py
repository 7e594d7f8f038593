"""The nine orders, each on the same seven agents, worked out by hand."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from attrs import frozen

from callctl.acd.strategy import (
    FIRST_BECAUSE,
    STEADY_STRATEGIES,
    Past,
    Place,
    agent_with_fewest_calls,
    agent_with_least_talk_time,
    at_random,
    in_order,
    longest_idle_agent,
    ring_all,
    ring_progressively,
    round_robin,
    sequentially_by_agent_order,
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


def names(candidates: Iterable[Candidate]) -> str:
    return " ".join(candidate.name for candidate in candidates)


def test_longest_idle_goes_by_level_then_end_of_the_last_call_then_position_then_name() -> None:
    assert names(longest_idle_agent(AGENTS)) == "cyn ben dan eva fay ann gus"


def test_least_talk_time_goes_by_level_then_talk_time_then_position_then_name() -> None:
    assert names(agent_with_least_talk_time(AGENTS)) == "cyn dan eva fay ben gus ann"


def test_fewest_calls_goes_by_level_then_calls_then_position_then_name() -> None:
    assert names(agent_with_fewest_calls(AGENTS)) == "cyn ben dan eva fay gus ann"


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
    assert names(round_robin(AGENTS, last)) == expected


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
    assert names(top_down(AGENTS, last)) == expected


def test_sequentially_goes_by_level_then_position_then_who_was_offered_longest_ago() -> None:
    assert names(sequentially_by_agent_order(AGENTS)) == "dan eva fay cyn ben ann gus"


def test_ring_all_goes_by_level_then_position_then_name() -> None:
    assert names(ring_all(AGENTS)) == "dan eva fay ben cyn ann gus"


def test_ring_progressively_takes_those_first_whom_this_caller_has_not_rung() -> None:
    assert names(ring_progressively(AGENTS, ())) == "dan eva fay ben cyn ann gus"
    assert names(ring_progressively(AGENTS, {"dan", "fay"})) == "eva ben cyn ann gus dan fay"


def test_random_goes_by_level_and_chance_and_one_seed_gives_one_order() -> None:
    drawn = iter([0.5, 0.1, 0.9, 0.4, 0.4, 0.7, 0.2])
    # Drawn for dan eva fay ben cyn ann gus; ben and cyn drew the same, so that their place decides.
    assert names(at_random(AGENTS, lambda: next(drawn))) == "eva ben cyn dan fay gus ann"
    again = [names(at_random(order, random.Random(7).random)) for order in (AGENTS, AGENTS[::-1])]
    assert again[0] == again[1]


def test_random_gives_everyone_of_a_level_the_first_place_now_and_then() -> None:
    source = random.Random(1)
    first = {at_random(AGENTS, source.random)[0].name for _ in range(200)}
    assert first == {"ben", "cyn", "dan", "eva", "fay"}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.LONGEST_IDLE_AGENT, "cyn ben dan eva fay ann gus"),
        (Strategy.AGENT_WITH_LEAST_TALK_TIME, "cyn dan eva fay ben gus ann"),
        (Strategy.AGENT_WITH_FEWEST_CALLS, "cyn ben dan eva fay gus ann"),
        (Strategy.ROUND_ROBIN, "fay ben cyn dan eva ann gus"),
        (Strategy.TOP_DOWN, "eva fay ben cyn ann gus dan"),
        (Strategy.SEQUENTIALLY_BY_AGENT_ORDER, "dan eva fay cyn ben ann gus"),
        (Strategy.RANDOM, "dan eva fay ben cyn ann gus"),
        (Strategy.RING_ALL, "dan eva fay ben cyn ann gus"),
        (Strategy.RING_PROGRESSIVELY, "eva fay ben ann gus dan cyn"),
    ],
)
def test_each_name_stands_for_its_order(strategy: Strategy, expected: str) -> None:
    past = Past(draw=lambda: 0.5, queue_last=(1, 2, "eva"), member_last=(1, 1, "dan"), tried=("dan", "cyn"))
    assert names(in_order(strategy, AGENTS, past)) == expected


def test_every_strategy_can_say_why_its_first_is_the_first() -> None:
    assert set(FIRST_BECAUSE) == set(Strategy)


@pytest.mark.parametrize("strategy", sorted(STEADY_STRATEGIES))
def test_the_steady_strategies_do_not_look_at_the_past(strategy: Strategy) -> None:
    one = Past(draw=lambda: 0.5)
    other = Past(draw=lambda: 0.1, queue_last=(1, 3, "cyn"), member_last=(1, 3, "cyn"), tried=("cyn",))
    assert in_order(strategy, AGENTS, one) == in_order(strategy, AGENTS, other)
