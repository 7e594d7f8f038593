"""A full house: every agent talks, callers wait, and at a steady rate a talk ends and a caller comes.

So each round is the work of a whole call, whatever the size of the house, and nothing else changes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

import trio
from attrs import frozen

from tests.bench.house import Floor, House, open_house, until
from tests.bench.lean_people import Call, Leg, Plan, Watcher
from tests.bench.waiting import empty, fill

ROUNDS_PER_SECOND = 20.0
"""Enough for percentiles in a minute, and little enough that nothing queues up: this is not about load."""

LEAVES_AFTER_SECONDS = 0.1
"""Half of the ringing."""


@frozen(kw_only=True)
class Sizes:
    """A house: how many wait, how many agents talk, in how many queues."""

    waiting: int
    agents: int
    queues: int = 1


class Stopwatch(Watcher):
    """Takes two times of every agent and call: see `latencies`."""

    def __init__(self) -> None:
        self.decisions: list[float] = []
        self.cancels: list[float] = []
        self.talking: deque[Call] = deque()
        """Those who talk, and have talked longest first."""
        self._freed_at: dict[str, float] = {}

    def freed(self, agent: str) -> None:
        self._freed_at[agent] = time.perf_counter()

    def originate(self, leg: Leg) -> None:
        if (freed_at := self._freed_at.pop(leg.agent, None)) is not None:
            self.decisions.append(leg.originated_at - freed_at)

    def cancelled(self, leg: Leg) -> None:
        if leg.call is not None and leg.call.gone_at:
            self.cancels.append(time.perf_counter() - leg.call.gone_at)

    def bridged(self, call: Call) -> None:
        self.talking.append(call)


class FullHouse:
    """The house, and its turnover."""

    def __init__(self, house: House, stopwatch: Stopwatch, plans: Iterator[Plan]) -> None:
        self.house = house
        self.stopwatch = stopwatch
        self._plans = plans

    async def turn_over(self, rounds: int) -> None:
        """End the oldest talk, and let a caller come, so many times; for each who leaves comes one more.

        The callers come between the ends, so that this process is free to take the times.
        """
        switch = self.house.switch
        begun, left = trio.current_time(), switch.ended - switch.handled
        for number in range(rounds):
            await trio.sleep_until(begun + number / ROUNDS_PER_SECOND)
            if self.stopwatch.talking:
                switch.end_talk(self.stopwatch.talking.popleft())
                await trio.sleep_until(begun + (number + 0.5) / ROUNDS_PER_SECOND)
                switch.place_call(next(self._plans))
            while left < switch.ended - switch.handled:
                left += 1
                switch.place_call(next(self._plans))


@asynccontextmanager
async def open_full_house(sizes: Sizes, *, one_in_leaves: int = 0) -> AsyncIterator[FullHouse]:
    """Fill a house, yield it, and empty it. Raises RuntimeError for what went wrong in it.

    `one_in_leaves`: one caller in so many hangs up while the agent's phone rings.
    """
    stopwatch = Stopwatch()
    floor = Floor(agents=sizes.agents, queues=sizes.queues)
    async with open_house(floor, stopwatch) as house:
        plans = _plans(floor, one_in_leaves)
        await fill(house, [next(plans) for _ in range(sizes.agents)])
        await until(lambda: len(stopwatch.talking) >= sizes.agents)
        await fill(house, [next(plans) for _ in range(sizes.waiting)])
        yield FullHouse(house, stopwatch, plans)
        await empty(house, list(house.switch.calls.values()))
        if faults := await house.faults():
            raise RuntimeError(f"the house is not sound: {faults[:3]}")


def _plans(floor: Floor, one_in_leaves: int) -> Iterator[Plan]:
    """Callers for all queues in turn. Those who are to fill the agents stay."""
    for number in count():
        is_one = one_in_leaves and number >= floor.agents and number // floor.queues % one_in_leaves == 0
        leaves = LEAVES_AFTER_SECONDS if is_one else None
        yield Plan(queue=floor.queue(number), talk_seconds=None, leaves_ringing=leaves)
