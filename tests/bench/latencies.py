"""How soon callctl acts: an agent is free, so the next is rung; a caller leaves, so the phone falls silent.

Both are taken on the wire: from the messages that tell of the end of a talk to the `originate` for that
agent, and from the caller's hangup to the `uuid_kill` of the agent's leg. So a way there and back, and the
generator's own delays, are in them. The same work goes on in a small house and in a large one: so many
talks end a second, and as many callers come.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from itertools import count

import trio
from attrs import frozen

from tests.bench.figures import Figure, latencies, percentile
from tests.bench.house import Floor, House, open_house
from tests.bench.lean_people import Call, Leg, Plan, Watcher
from tests.bench.subject import Size, command
from tests.bench.waiting import empty, fill

TALKS_ENDED_PER_SECOND = 20.0
"""Enough for percentiles in a minute, and little enough that nothing queues up: this is not about load."""

LEAVING_SHARE = 4
"""One caller in so many hangs up while the agent's phone rings."""

GOAL_MS = 5.0
CANCEL_GOAL_MS = 50.0
GROWTH_GOAL = 1.5


@frozen
class Sizes:
    """A house: how many wait, how many agents talk, in how many queues."""

    waiting: int
    agents: int
    queues: int


class _Stopwatch(Watcher):
    """Takes the two times of every agent and call."""

    def __init__(self) -> None:
        self.decisions: list[float] = []
        self.cancels: list[float] = []
        self.talking: deque[Call] = deque()
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


async def take_times(sizes: Sizes, seconds: float) -> tuple[list[float], list[float]]:
    """Return the times of decisions and of cancels in a house of these sizes, in seconds."""
    stopwatch = _Stopwatch()
    floor = Floor(agents=sizes.agents, queues=sizes.queues)
    async with open_house(floor, stopwatch) as house:
        plans = _plans(floor)
        await fill(house, [next(plans) for _ in range(sizes.agents)])
        await house.until(lambda: len(stopwatch.talking) >= sizes.agents)
        await fill(house, [next(plans) for _ in range(sizes.waiting)])
        await trio.sleep(1.0)
        stopwatch.decisions.clear()
        stopwatch.cancels.clear()
        await _end_talks(house, stopwatch, plans, seconds)
        decisions, cancels = list(stopwatch.decisions), list(stopwatch.cancels)
        await empty(house, list(house.switch.calls.values()))
        if faults := await house.faults():
            raise RuntimeError(f"the house is not sound: {faults[:3]}")
    return decisions, cancels


def _plans(floor: Floor) -> Iterator[Plan]:
    """Callers for all queues in turn. Those who leave do so in every queue, and before they are answered."""
    for number in count():
        leaves = 0.1 if number // floor.queues % LEAVING_SHARE == 0 and number >= floor.agents else None
        yield Plan(queue=floor.queue(number), talk_seconds=None, leaves_ringing=leaves)


async def _end_talks(house: House, stopwatch: _Stopwatch, plans: Iterator[Plan], seconds: float) -> None:
    """End the oldest talk, and let a caller come, at a steady rate; for each who leaves comes one more."""
    begun, left = trio.current_time(), house.switch.ended - house.switch.handled
    for number in range(int(seconds * TALKS_ENDED_PER_SECOND)):
        await trio.sleep_until(begun + number / TALKS_ENDED_PER_SECOND)
        if stopwatch.talking:
            house.switch.end_talk(stopwatch.talking.popleft())
            house.switch.place_call(next(plans))
        while left < house.switch.ended - house.switch.handled:
            left += 1
            house.switch.place_call(next(plans))


async def measure(size: Size) -> list[Figure]:
    """Agent free to originate, and hangup to cancel, in a small house and in a large one."""
    small = Sizes(waiting=100, agents=10, queues=1)
    large = {
        Size.TINY: Sizes(waiting=100, agents=20, queues=5),
        Size.SHORT: Sizes(waiting=2_000, agents=400, queues=50),
        Size.FULL: Sizes(waiting=10_000, agents=2_000, queues=50),
    }[size]
    seconds = size.pick(1, 15, 60)
    figures = []
    medians = []
    for sizes in (small, large):
        decisions, cancels = await take_times(sizes, seconds)
        where = f"{sizes.waiting:,} waiting, {sizes.agents:,} agents"
        goal_ms = GOAL_MS if sizes is small else GOAL_MS * GROWTH_GOAL
        figures += latencies(f"agent free to originate, {where}", decisions, p99_goal_ms=goal_ms)
        figures += latencies(f"hangup to cancel, {where}", cancels, p99_goal_ms=CANCEL_GOAL_MS)
        medians.append((percentile(decisions, 0.5), percentile(decisions, 0.99)))
    (small_p50, small_p99), (large_p50, large_p99) = medians
    return [
        *figures,
        Figure(
            what="agent free to originate: p99 of the large house over the small one",
            measured=large_p99 / small_p99,
            unit="times",
            goal=GROWTH_GOAL,
        ),
        Figure(what="the same, p50", measured=large_p50 / small_p50, unit="times"),
    ]


if __name__ == "__main__":
    command(measure)
