"""Who ended a talk, by what the hangups of both legs tell.

The switch ends the one leg because the other has ended, so only a leg that its own far end hung up tells by
itself; of two such legs the earlier one counts.
"""

from __future__ import annotations

from attrs import frozen

from callctl.model import HungUpBy

TOGETHER_SECONDS = 1.0
"""Two hangups within this time belong together: FreeSWITCH dates each when the leg's own thread deals with
it, which on a busy switch may be the other way round."""


@frozen
class Hangup:
    """What is known of the end of a leg: by whom (None: nobody told), and when by the switch's clock."""

    by: HungUpBy | None
    at: float | None = None

    def is_before(self, other: Hangup) -> bool:
        """Say whether it came first, as far as is known."""
        return self.at is None or other.at is None or self.at <= other.at

    def is_long_after(self, other: Hangup) -> bool:
        """Say whether it has nothing to do with the other one, which came first."""
        return self.at is not None and other.at is not None and self.at > other.at + TOGETHER_SECONDS


def who_ended(caller: Hangup | None, agent: Hangup | None, *, caller_was_up: bool) -> HungUpBy | None:
    """Return whose hangup ended a talk, by the ends of both legs, None for one not known to be gone.

    A hangup of one leg makes the switch end the other. `caller_was_up`: the bridge ended before the caller
    was gone.
    """
    if caller is not None and caller.by is HungUpBy.CALLER:
        if agent is None or agent.by is not HungUpBy.AGENT or caller.is_before(agent):
            return HungUpBy.CALLER
        return HungUpBy.AGENT
    if agent is not None and agent.by is HungUpBy.AGENT:
        return HungUpBy.AGENT if caller is None or not agent.is_long_after(caller) else caller.by
    if agent is not None and agent.by is HungUpBy.SWITCH:
        # Where the caller's end is still to be told, that may be the reason why the switch did it.
        return None if caller is None else caller.by
    if caller is None or caller.by is None:
        return None
    # Nobody told of the agent's leg: the switch ended the caller's either because of it, or by itself.
    return HungUpBy.AGENT if caller_was_up else HungUpBy.SWITCH
