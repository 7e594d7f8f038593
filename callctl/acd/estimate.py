"""How long a wait may become, judged by the last waits of the same queue."""

from __future__ import annotations

import math
from collections import deque

from attrs import define, field

REMEMBERED_WAITS = 20
"""How many of the last waits count: enough to be steady, few enough to be about now."""

FEWEST_WAITS = 3
"""Fewer waits than these are chance, and nothing is said."""

OLDEST_SECONDS = 1800.0
"""A wait of longer ago than half an hour, the field's usual interval, says nothing about now."""


@define
class Waits:
    """The last waits of a queue that ended with an agent: when, how long, and from which position."""

    _last: deque[tuple[float, float, int]] = field(factory=lambda: deque(maxlen=REMEMBERED_WAITS))

    def add(self, at: float, wait_seconds: float, position_at_entry: int) -> None:
        """Take note of a wait that ended at `at`."""
        self._last.append((at, wait_seconds, position_at_entry))

    def expected(self, position: int, now: float) -> float | None:
        """Return the seconds that a caller at `position` has still to wait, or None if nobody can know.

        It is the time that one place in the queue took of late, times the places.
        """
        recent = [entry for entry in self._last if entry[0] > now - OLDEST_SECONDS]
        if len(recent) < FEWEST_WAITS:
            return None
        seconds = sum(wait for _, wait, _ in recent)
        places = sum(position_at_entry for _, _, position_at_entry in recent)
        return position * seconds / places


def rounded(seconds: float) -> float:
    """Return an expected wait as one says it: up to ten seconds below a minute, whole minutes above."""
    step = 10 if seconds <= 60 else 60
    return float(math.ceil(seconds / step) * step)
