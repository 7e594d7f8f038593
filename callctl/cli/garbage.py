"""Python's collections of garbage, in which nobody is offered: seldom, and by the clock.

A call that ends leaves no cycle for them to find. By itself Python collects in the midst of work, as new
objects come: all that came since the last time, of which the living are most. With 10,000 callers that is
5 to 60 ms some twenty times a minute, and over a second whenever the living have grown by a quarter.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import structlog
import trio

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 30.0
"""How long there is no collection after another, at least."""

PAUSE_SECONDS_PER_CALL = 0.3
"""How much longer for each call that lives: one takes 0.1 ms for each, so that is 1/3000 of the time."""

SPARE_OBJECTS = 250_000
SPARE_OBJECTS_PER_CALL = 200
"""By how many the objects may become more until one is due before its time: something may leave garbage. The
250,000 are some 100 MB; a call that waits has 115."""


def is_due(seconds: float, calls: int, more_objects: int) -> bool:
    """Say whether to collect, so many `seconds` after the last time, with so many `calls` alive.

    `more_objects` is by how many the objects have become more, as Python counts: not below 0, so that it may
    be too many after there were far fewer.
    """
    return (
        seconds >= max(PAUSE_SECONDS, PAUSE_SECONDS_PER_CALL * calls)
        or more_objects >= SPARE_OBJECTS + SPARE_OBJECTS_PER_CALL * calls
    )


def start_afresh() -> None:
    """Collect once, look no more at what lives now, and have no collection but by `collect_seldom`.

    What the modules hold lives as long as the process.
    """
    gc.disable()
    gc.collect()
    gc.freeze()


async def collect_seldom(count_calls: Callable[[], int]) -> None:
    """Collect whenever it is due, until cancelled."""
    last = trio.current_time()
    while True:
        await trio.sleep(PAUSE_SECONDS)
        # Python counts on while it does not collect by itself.
        more_objects, _, _ = gc.get_count()
        if is_due(trio.current_time() - last, calls := count_calls(), more_objects):
            began = time.perf_counter()
            found = gc.collect()
            log.debug("garbage collected", found=found, calls=calls, seconds=time.perf_counter() - began)
            last = trio.current_time()
