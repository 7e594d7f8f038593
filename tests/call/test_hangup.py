"""Whose hangup ended a talk."""

from __future__ import annotations

import pytest

from callctl.call.hangup import Hangup, who_ended
from callctl.model import HungUpBy

CALLER, AGENT, SWITCH = HungUpBy.CALLER, HungUpBy.AGENT, HungUpBy.SWITCH


@pytest.mark.fault(19.5)
@pytest.mark.parametrize(
    ("caller", "agent", "by"),
    [
        (Hangup(CALLER), Hangup(SWITCH), CALLER),
        (Hangup(SWITCH), Hangup(AGENT), AGENT),
        (Hangup(SWITCH), Hangup(SWITCH), SWITCH),
        (Hangup(CALLER, 2.0), Hangup(AGENT, 1.0), AGENT),
        (Hangup(CALLER, 1.0), Hangup(AGENT, 2.0), CALLER),
        # FreeSWITCH dates the two by the threads of the legs.
        (Hangup(SWITCH, 1.0), Hangup(AGENT, 1.02), AGENT),
        # The switch ended the caller, and the agent hung up later, after a talk with a colleague.
        (Hangup(SWITCH, 1.0), Hangup(AGENT, 60.0), SWITCH),
        (Hangup(CALLER), None, CALLER),
        (None, Hangup(AGENT), AGENT),
        # The caller may have hung up first, and that is still to be told.
        (None, Hangup(SWITCH), None),
        (Hangup(None), Hangup(SWITCH), None),
        (Hangup(None), None, None),
        (Hangup(None), Hangup(None), None),
    ],
)
def test_a_leg_tells_only_of_its_own_far_end(
    caller: Hangup | None, agent: Hangup | None, by: HungUpBy | None
) -> None:
    assert who_ended(caller, agent, caller_was_up=True) is by


@pytest.mark.parametrize(("caller_was_up", "by"), [(True, AGENT), (False, SWITCH)])
def test_where_nobody_told_of_the_agents_leg_the_end_of_the_bridge_says_who_left_it_first(
    caller_was_up: bool, by: HungUpBy
) -> None:
    assert who_ended(Hangup(SWITCH), Hangup(None), caller_was_up=caller_was_up) is by
