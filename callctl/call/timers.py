"""All timers of all calls, in one task: to start one costs a microsecond, and nothing while it runs."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from functools import partial
from itertools import count

import trio

CANCELLED_AT_LEAST = 1000
"""So many cancelled timers are kept at least before they are swept away; most never live to their time."""


class Timer:
    """Something that is to be done at a time, unless it is cancelled."""

    __slots__ = ("_timers", "action")

    def __init__(self, timers: Timers, action: Callable[[], None]) -> None:
        self._timers = timers
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do it not. Safe to call again, and when it is done."""
        if self.action is not None:
            self.action = None
            self._timers.count_cancelled()


class NamedTimers:
    """The timers of one call, each under its name."""

    def __init__(self, timers: Timers) -> None:
        self._all = timers
        self._running: dict[str, Timer] = {}

    def start(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        """Do `action` in so many seconds, and no more what an earlier start of this name was to do."""
        self.stop(name)
        self._running[name] = self._all.after(seconds, partial(self._fire, name, action))

    def _fire(self, name: str, action: Callable[[], None]) -> None:
        del self._running[name]
        action()

    def stop(self, name: str) -> None:
        """Do it not. Safe for one that does not run."""
        timer = self._running.pop(name, None)
        if timer is not None:
            timer.cancel()

    def stop_all(self) -> None:
        """Do none of them."""
        for name in list(self._running):
            self.stop(name)


class Timers:
    """Does things at their time. `run` is what does them."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._cancelled = 0
        self._sleep: trio.CancelScope | None = None

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do `action` in so many seconds. It must return at once, and not raise."""
        return self.at(trio.current_time() + seconds, action)

    def at(self, deadline: float, action: Callable[[], None]) -> Timer:
        """Do `action` at `deadline`, on Trio's clock."""
        timer = Timer(self, action)
        heapq.heappush(self._heap, (deadline, next(self._numbers), timer))
        if self._sleep is not None and deadline < self._sleep.deadline:
            self._sleep.deadline = deadline
        return timer

    def count_cancelled(self) -> None:
        """A timer was cancelled; sweep them away once they are most of all."""
        self._cancelled += 1
        if self._cancelled > CANCELLED_AT_LEAST and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    async def run(self) -> None:
        """Do everything at its time, until cancelled."""
        while True:
            self._do_what_is_due()
            with trio.CancelScope(deadline=self._heap[0][0] if self._heap else math.inf) as self._sleep:
                await trio.sleep_forever()

    def _do_what_is_due(self) -> None:
        now = trio.current_time()
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            action, timer.action = timer.action, None
            if action is None:
                self._cancelled -= 1
            else:
                action()
