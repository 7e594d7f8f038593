"""One clock for the whole house: UTC seconds that never jump.

The pure rooms take the time as an argument. What the shells hand them comes from here: the wall clock
is read once, when the clock is made, and from then on the time is that reading plus Trio's monotonic
clock. A jump of the wall clock thus changes no wait and no order, the times can still be written down
as dates, and under Trio's virtual clock a day passes in seconds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from math import floor

import trio


class SteadyClock:
    """UTC seconds since the epoch, steady for the life of the process. Make it inside `trio.run`."""

    def __init__(self, epoch_now: float | None = None) -> None:
        """`epoch_now` is the time now, in seconds since the epoch; None reads the wall clock."""
        wall = time.time() if epoch_now is None else epoch_now
        self._offset_seconds = wall - trio.current_time()

    def begin_not_before(self, at: float) -> None:
        """Take the time for `at` if it is earlier: the wall clock has gone back since that was written."""
        self._offset_seconds = max(self._offset_seconds, at - trio.current_time())

    def now(self) -> float:
        """Return the time in seconds since the epoch, UTC."""
        return trio.current_time() + self._offset_seconds

    def deadline(self, at: float) -> float:
        """Return the moment `at` (seconds since the epoch) as a deadline on Trio's clock."""
        return at - self._offset_seconds


@lru_cache(maxsize=4096)
def iso_utc(at: float) -> str:
    """Return `at` (seconds since the epoch) as text, `2026-11-22T15:50:01.123Z`."""
    at = round(at, 3)
    second = floor(at)
    return f"{_second(second)}.{round((at - second) * 1000):03d}Z"


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    # strftime takes 2 µs, and a busy second has thousands of times in it.
    return datetime.fromtimestamp(second, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
