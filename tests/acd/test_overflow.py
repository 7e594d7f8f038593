"""Each condition of an overflow rule, at and beside its edge."""

from __future__ import annotations

from typing import Any

import pytest

from callctl.acd.limits import NEVER
from callctl.acd.overflow import Situation, next_overflow_at, overflow_target, target_queue
from callctl.model import OverflowRule


def situation(**changes: Any) -> Situation:
    usual: dict[str, Any] = {
        "now": 100.0,
        "joined_at": 40.0,
        "position": 5,
        "is_entering": False,
        "nobody_there": False,
        "expected_wait_seconds": 60.0,
    }
    return Situation(**{**usual, **changes})


@pytest.mark.parametrize(
    ("rule", "changes", "holds"),
    [
        ({"waited": 60}, {}, True),
        ({"waited": 60.001}, {}, False),
        ({"waiting": 4}, {"is_entering": True}, True),
        ({"waiting": 5}, {"is_entering": True}, False),
        ({"waiting": 4}, {}, False),
        ({"waiting": 4, "waited": 60}, {}, True),
        ({"waiting": 5, "waited": 60}, {}, False),
        ({"waiting": 4, "waited": 61}, {"is_entering": True}, False),
        ({"expected_wait": 59}, {"is_entering": True}, True),
        ({"expected_wait": 60}, {"is_entering": True}, False),
        ({"expected_wait": 59}, {}, False),
        ({"expected_wait": 59, "waited": 60}, {}, True),
        ({"expected_wait": 0}, {"is_entering": True, "expected_wait_seconds": None}, False),
        ({"nobody_there": True}, {"nobody_there": True}, True),
        ({"nobody_there": True}, {}, False),
        ({"nobody_there": True, "waited": 60}, {"nobody_there": True}, True),
        ({"nobody_there": True, "waited": 61}, {"nobody_there": True}, False),
        ({}, {"is_entering": True, "nobody_there": True}, False),
    ],
)
def test_a_rule_holds_when_all_its_conditions_do(
    rule: dict[str, Any], changes: dict[str, Any], holds: bool
) -> None:
    target = overflow_target([OverflowRule(to="hangup:X", **rule)], situation(**changes))
    assert (target == "hangup:X") is holds


def test_the_first_rule_that_holds_decides() -> None:
    rules = [
        OverflowRule(to="a", waited=99),
        OverflowRule(to="b", waited=30),
        OverflowRule(to="c", waited=10),
    ]
    assert overflow_target(rules, situation()) == "b"


def test_a_queue_already_come_through_is_skipped() -> None:
    rules = [OverflowRule(to="queue:old", waited=30), OverflowRule(to="queue:new", waited=30)]
    assert overflow_target(rules, situation(came_through=("old",))) == "queue:new"


def test_the_next_moment_is_the_earliest_still_to_come() -> None:
    rules = [
        OverflowRule(to="a", waited=99),
        OverflowRule(to="b", waited=30),
        OverflowRule(to="c", waiting=1),
    ]
    assert [next_overflow_at(rules, 100.0, now) for now in (100.0, 130.0, 199.0)] == [130.0, 199.0, NEVER]


def test_only_a_target_that_names_a_queue_has_one() -> None:
    assert target_queue("queue:help") == "help"
    assert target_queue("extension:queue") is None
