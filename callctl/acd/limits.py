"""How long a member may wait, and which tiers are open to it by now: pure sums over settings and times."""

from __future__ import annotations

import math
from collections.abc import Iterable

from callctl.model import QueueSettings

NEVER = math.inf


def tier_opens_at(settings: QueueSettings, joined_at: float, level: int) -> float:
    """Return when the tiers of `level` open to a member by waiting alone. Level 1 never waits."""
    if not settings.tier_rules_apply or level <= 1:
        return joined_at
    factor = level if settings.tier_rule_wait_multiply_level else 1
    return joined_at + settings.tier_rule_wait_second * factor


def open_level(
    settings: QueueSettings,
    levels: Iterable[int],
    joined_at: float,
    now: float,
    lowest_present_level: float,
) -> float:
    """Return the highest of `levels` (the lowest first) that is open to a member at `now`.

    With `tier-rule-no-agent-no-wait` nobody waits for levels on which no agent is present.
    """
    if not settings.tier_rules_apply:
        return NEVER
    highest: float = 1
    for level in levels:
        # A higher level never opens before a lower one.
        if tier_opens_at(settings, joined_at, level) > now:
            break
        highest = level
    if settings.tier_rule_no_agent_no_wait and math.isfinite(lowest_present_level):
        return max(highest, lowest_present_level)
    return highest


def next_opening_at(settings: QueueSettings, levels: Iterable[int], joined_at: float, now: float) -> float:
    """Return when the next level opens by waiting, or NEVER."""
    if not settings.tier_rules_apply:
        return NEVER
    openings = (tier_opens_at(settings, joined_at, level) for level in levels)
    return min((at for at in openings if at > now), default=NEVER)


def timeout_at(settings: QueueSettings, joined_at: float) -> float:
    """Return when `max-wait-time` is over, or NEVER."""
    return joined_at + settings.max_wait_time if settings.max_wait_time > 0 else NEVER


def no_agent_timeout_at(settings: QueueSettings, joined_at: float, agentless_since: float | None) -> float:
    """Return when a member has waited too long with nobody there, or NEVER.

    Nobody must have been present for `max-wait-time-with-no-agent`; a member who joined such a queue is
    left that long besides `…-time-reached`, as in mod_callcenter (0 there: no such grace).
    """
    limit = settings.max_wait_time_with_no_agent
    if limit <= 0 or agentless_since is None:
        return NEVER
    grace = settings.max_wait_time_with_no_agent_time_reached
    return max(agentless_since + limit, joined_at + (limit + grace if grace > 0 else 0))


def depends_on_presence(settings: QueueSettings) -> bool:
    """Return whether it makes a difference to how long a member may wait that nobody is present."""
    has_limit = settings.max_wait_time_with_no_agent > 0 or settings.leave_when_empty
    return has_limit or bool(settings.overflow)


def relaxed_by(settings: QueueSettings, joined_at: float, now: float) -> int:
    """Return by how many levels the required skills are lowered by now: one every `skill-relax-seconds`."""
    step = settings.skill_relax_seconds
    if step <= 0:
        return 0
    levels = max(0, int((now - joined_at) / step))
    # The division may be off by a hair from the sum that `next_relaxation_at` gave.
    return levels + 1 if joined_at + step * (levels + 1) <= now else levels


def next_relaxation_at(settings: QueueSettings, highest_level: int, joined_at: float, now: float) -> float:
    """Return when the required skills, up to `highest_level`, are lowered next, or NEVER."""
    levels = relaxed_by(settings, joined_at, now)
    if settings.skill_relax_seconds <= 0 or levels >= highest_level:
        return NEVER
    return joined_at + settings.skill_relax_seconds * (levels + 1)
