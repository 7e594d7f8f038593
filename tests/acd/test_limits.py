"""When tiers open and waits end, worked out by hand."""

from __future__ import annotations

from math import inf

import pytest

from callctl.acd.limits import (
    NEVER,
    next_opening_at,
    next_relaxation_at,
    no_agent_timeout_at,
    open_level,
    relaxed_by,
    tier_opens_at,
    timeout_at,
)
from callctl.model import QueueSettings


def rules(**settings: float) -> QueueSettings:
    """Settings with tier rules on, a caller waits 30 s for each."""
    return QueueSettings(name="q", tier_rules_apply=True, tier_rule_wait_second=30, **settings)  # type: ignore[arg-type]  # all numbers and booleans


@pytest.mark.parametrize(
    ("multiply", "level", "opens_at"),
    [
        (False, 0, 100.0),
        (False, 1, 100.0),
        (False, 2, 130.0),
        (False, 3, 130.0),
        (True, 1, 100.0),
        (True, 2, 160.0),
        (True, 3, 190.0),
    ],
)
def test_level_1_never_waits_and_the_others_wait_once_or_by_their_level(
    multiply: bool, level: int, opens_at: float
) -> None:
    settings = rules(tier_rule_wait_multiply_level=multiply)
    assert tier_opens_at(settings, 100.0, level) == opens_at


def test_without_tier_rules_all_levels_are_open_at_once() -> None:
    settings = QueueSettings(name="q", tier_rule_wait_second=30)
    assert tier_opens_at(settings, 100.0, 5) == 100.0
    assert open_level(settings, (1, 5), 100.0, 100.0, 1) == inf
    assert next_opening_at(settings, (1, 5), 100.0, 100.0) == NEVER


@pytest.mark.parametrize(
    ("now", "lowest_present", "expected"),
    [
        (100.0, 1, 1),
        (159.999, 1, 1),
        (160.0, 1, 2),
        (189.0, 1, 2),
        (190.0, 1, 3),
        (100.0, 2, 2),
        (100.0, 3, 3),
        (190.0, 2, 3),
        (100.0, inf, 1),
    ],
)
def test_levels_open_by_waiting_or_because_nobody_is_present_below(
    now: float, lowest_present: float, expected: float
) -> None:
    settings = rules(tier_rule_wait_multiply_level=True)
    assert open_level(settings, (1, 2, 3), 100.0, now, lowest_present) == expected


def test_with_no_agent_no_wait_off_empty_levels_are_waited_for() -> None:
    settings = rules(tier_rule_no_agent_no_wait=False)
    assert open_level(settings, (2, 3), 100.0, 129.0, 2) == 1
    assert open_level(settings, (2, 3), 100.0, 130.0, 2) == 3


def test_the_next_opening_is_the_earliest_that_is_still_to_come() -> None:
    settings = rules(tier_rule_wait_multiply_level=True)
    assert next_opening_at(settings, (1, 2, 3), 100.0, 100.0) == 160.0
    assert next_opening_at(settings, (1, 2, 3), 100.0, 160.0) == 190.0
    assert next_opening_at(settings, (1, 2, 3), 100.0, 190.0) == NEVER


def test_a_wait_ends_after_max_wait_time_and_never_if_that_is_0() -> None:
    assert timeout_at(QueueSettings(name="q", max_wait_time=60), 100.0) == 160.0
    assert timeout_at(QueueSettings(name="q"), 100.0) == NEVER


@pytest.mark.parametrize(
    ("limit", "grace", "agentless_since", "expected"),
    [
        (0, 5, 100.0, NEVER),
        (20, 5, None, NEVER),
        (20, 5, 500.0, 520.0),  # The last agent went while the caller waited.
        (20, 5, 50.0, 125.0),  # The caller joined a queue that nobody had served for long.
        (20, 0, 50.0, 100.0),  # As before, without grace: out at once.
        (20, 0, 90.0, 110.0),
        (20, 5, 104.0, 125.0),
        (20, 5, 106.0, 126.0),
    ],
)
def test_the_wait_without_agents_ends_by_the_later_of_the_queues_time_and_the_callers(
    limit: float, grace: float, agentless_since: float | None, expected: float
) -> None:
    settings = QueueSettings(
        name="q", max_wait_time_with_no_agent=limit, max_wait_time_with_no_agent_time_reached=grace
    )
    assert no_agent_timeout_at(settings, 100.0, agentless_since) == expected


def test_required_skills_are_lowered_by_one_level_every_so_many_seconds() -> None:
    settings = QueueSettings(name="q", skill_relax_seconds=10)
    assert [relaxed_by(settings, 100.0, now) for now in (99.0, 100.0, 109.9, 110.0, 125.0)] == [0, 0, 0, 1, 2]
    assert next_relaxation_at(settings, 2, 100.0, 100.0) == 110.0
    assert next_relaxation_at(settings, 2, 100.0, 110.0) == 120.0
    assert next_relaxation_at(settings, 2, 100.0, 120.0) == NEVER
    assert relaxed_by(QueueSettings(name="q"), 100.0, 1e9) == 0
    assert next_relaxation_at(QueueSettings(name="q"), 5, 100.0, 100.0) == NEVER


def test_at_the_moment_that_was_announced_the_skills_are_lowered_whatever_the_rounding() -> None:
    for step in (0.1, 0.3, 0.7, 1.1, 33.3):
        settings = QueueSettings(name="q", skill_relax_seconds=step)
        now = joined_at = 1_795_000_000.123
        for levels in range(1, 50):
            now = next_relaxation_at(settings, 99, joined_at, now)
            assert relaxed_by(settings, joined_at, now) == levels
