"""A switch's clock beside ours: what a time that its channels tell is on our clock.

Both run at the same speed, but need not show the same. What is told takes a while to be heard, and longer on
a busy machine, so the difference is the least that was seen of late.
"""

from __future__ import annotations

import math

PERIOD_SECONDS = 60.0
"""The least of this period and of the one before it counts: a clock that is set anew is followed soon."""


class SwitchClock:
    """The difference between our clock and that of one switch, in epoch seconds both."""

    def __init__(self) -> None:
        self._began_at = -math.inf
        self._least = self._least_before = math.inf

    def heard(self, told_at: float, now: float) -> None:
        """Take in that we heard at `now`, by our clock, what the switch had said at `told_at` by its own."""
        if not 0 <= now - self._began_at < PERIOD_SECONDS:
            is_recent = 0 <= now - self._began_at < 2 * PERIOD_SECONDS
            self._least_before = self._least if is_recent else math.inf
            self._least, self._began_at = math.inf, now
        self._least = min(self._least, now - told_at)

    def ours(self, at: float) -> float | None:
        """Return what `at` on the switch's clock was on ours; None while nothing was heard of it."""
        least = min(self._least, self._least_before)
        return at + least if math.isfinite(least) else None
