"""Python's full collections of garbage, in which nobody is offered: seldom, and by the clock.

A collection looks at everything that lives, which is 0.1 ms for each call, and a call that ends leaves no
cycle for it to find. By itself Python collects each time the living objects have grown by a quarter: over a
second with 10,000 callers, and again while they wait.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import structlog
import trio

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 30.0
"""How long there is no full collection after another, at least."""

PAUSE_SECONDS_PER_CALL = 0.3
"""How much longer for each call that lives: so collections take some 1/3000 of the time."""

NEVER = 2**31 - 1


def is_due(seconds: float, calls: int) -> bool:
    """Say whether to collect, so many `seconds` after the last time, with so many `calls` alive."""
    return seconds >= max(PAUSE_SECONDS, PAUSE_SECONDS_PER_CALL * calls)


def start_afresh() -> None:
    """Collect once, look no more at what lives now, and have no full collection but by `collect_seldom`.

    What the modules hold lives as long as the process.
    """
    youngest, young, _ = gc.get_threshold()
    gc.set_threshold(youngest, young, NEVER)
    gc.collect()
    gc.freeze()


async def collect_seldom(count_calls: Callable[[], int]) -> None:
    """Collect in full whenever it is due, until cancelled."""
    last = trio.current_time()
    while True:
        await trio.sleep(PAUSE_SECONDS)
        if is_due(trio.current_time() - last, calls := count_calls()):
            began = time.perf_counter()
            found = gc.collect()
            log.debug("garbage collected", found=found, calls=calls, seconds=time.perf_counter() - began)
            last = trio.current_time()
