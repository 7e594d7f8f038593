"""How soon callctl acts: an agent is free, so the next is rung; a caller leaves, so the phone falls silent.

Both are taken on the wire: from the messages that tell of the end of a talk to the `originate` for that
agent, and from the caller's hangup to the `uuid_kill` of the agent's leg. So a way there and back, and the
generator's own delays, are in them. The same work goes on in a small house and in a large one.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from tests.bench.figures import Figure, latencies, percentile
from tests.bench.subject import Size, command
from tests.bench.turnover import ROUNDS_PER_SECOND, Sizes, open_full_house

ONE_IN_LEAVES = 4

SETTLE_SECONDS = 0.5

GOAL_MS = 5.0
CANCEL_GOAL_MS = 50.0
GROWTH_GOAL = 1.5


async def take_times(sizes: Sizes, seconds: float) -> tuple[list[float], list[float]]:
    """Return the times of decisions and of cancels in a house of these sizes, in seconds."""
    async with open_full_house(sizes, one_in_leaves=ONE_IN_LEAVES) as full:
        with _no_collection():
            await trio.sleep(SETTLE_SECONDS)
            full.stopwatch.decisions.clear()
            full.stopwatch.cancels.clear()
            await full.turn_over(int(seconds * ROUNDS_PER_SECOND))
            return list(full.stopwatch.decisions), list(full.stopwatch.cancels)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector of the generator, which has 12,000 callers to go over, out of the times."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def measure(size: Size) -> list[Figure]:
    """Agent free to originate, and hangup to cancel, in a small house and in a large one."""
    small = Sizes(waiting=size.whole(10, 100, 100), agents=10)
    large = {
        Size.TINY: Sizes(waiting=20, agents=20, queues=5),
        Size.SHORT: Sizes(waiting=2_000, agents=400, queues=50),
        Size.FULL: Sizes(waiting=10_000, agents=2_000, queues=50),
    }[size]
    seconds = size.pick(0.5, 15, 60)
    figures = []
    ranks = []
    for sizes in (small, large):
        decisions, cancels = await take_times(sizes, seconds)
        where = f"{sizes.waiting:,} waiting, {sizes.agents:,} agents"
        goal_ms = GOAL_MS if sizes is small else None
        figures += latencies(f"agent free to originate, {where}", decisions, p99_goal_ms=goal_ms)
        figures += latencies(f"hangup to cancel, {where}", cancels, p99_goal_ms=CANCEL_GOAL_MS)
        ranks.append((percentile(decisions, 0.5), percentile(decisions, 0.99)))
    (small_p50, small_p99), (large_p50, large_p99) = ranks
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
