"""Where a queue sends a caller whom it will not serve in time: its rules, asked in their order."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from callctl.acd.limits import NEVER
from callctl.model import OverflowRule
from callctl.records.targets import target_queue


@frozen(kw_only=True)
class Situation:
    """How a caller stands: `position` 1 is the next, `came_through` names the queues already tried."""

    now: float
    joined_at: float
    position: int
    is_entering: bool
    nobody_there: bool
    expected_wait_seconds: float | None
    came_through: Sequence[str] = ()


def overflow_target(rules: Sequence[OverflowRule], situation: Situation) -> str | None:
    """Return where the first rule that holds sends the caller, or None.

    A queue that the caller came through already is no target: callers do not go round in circles.
    """
    for rule in rules:
        if _holds(rule, situation) and target_queue(rule.to) not in situation.came_through:
            return rule.to
    return None


def next_overflow_at(rules: Sequence[OverflowRule], joined_at: float, now: float) -> float:
    """Return when the next rule comes into question by waiting alone, or NEVER."""
    moments = (joined_at + rule.waited for rule in rules if rule.waited is not None)
    return min((at for at in moments if at > now), default=NEVER)


def _holds(rule: OverflowRule, situation: Situation) -> bool:
    if rule.waited is not None and situation.joined_at + rule.waited > situation.now:
        return False
    looks_at_the_queue = rule.waiting is not None or rule.expected_wait is not None
    if rule.waited is None and looks_at_the_queue and not situation.is_entering:
        return False
    if rule.waiting is not None and situation.position <= rule.waiting:
        return False
    if rule.nobody_there and not situation.nobody_there:
        return False
    if rule.expected_wait is None:
        return rule.waited is not None or rule.waiting is not None or rule.nobody_there
    expected = situation.expected_wait_seconds
    return expected is not None and expected > rule.expected_wait
