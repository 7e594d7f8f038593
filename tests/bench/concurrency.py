"""100 and 2,000 calls at once: nothing goes wrong, and a caller for whom an agent is free is offered at once.

They all talk; beside them a thin stream of further calls comes and goes, whose times are taken.
"""

from __future__ import annotations

import trio

from tests.bench.calls import place_calls
from tests.bench.figures import Figure, latencies
from tests.bench.house import Floor, open_house, until
from tests.bench.lean_people import Leg, Plan, Watcher
from tests.bench.subject import Size, command
from tests.bench.waiting import TALKER, empty, fill

SPARE_AGENTS = 60
GOAL_MS = 5.0
"""That of a decision, see `latencies`; here the way through `connect` is in it besides."""

RATE = 20.0
"""Calls a second beside those that talk: each takes an agent for 1.3 s."""


class _Offers(Watcher):
    """How long after its arrival a caller was offered to an agent."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def originate(self, leg: Leg) -> None:
        if leg.call is not None:
            self.seconds.append(leg.originated_at - leg.call.placed_at)


async def at_once(calls: int, seconds: float) -> list[Figure]:
    """Measure with so many calls at once, for so many seconds."""
    offers = _Offers()
    async with open_house(Floor(agents=calls + SPARE_AGENTS), offers) as house:
        talkers = await fill(house, [TALKER] * calls)
        await until(lambda: all(call.is_talking for call in talkers))
        await trio.sleep(0.5)
        offers.seconds.clear()
        await place_calls(house, int(seconds * RATE), RATE, Plan())
        await house.until_over(int(seconds * RATE))
        most = house.switch.most_at_once
        await empty(house, talkers)
        faults = await house.faults()
    return [
        Figure(what=f"{calls:,} calls: most at once", measured=most, unit=""),
        Figure(what=f"{calls:,} calls: errors and broken invariants", measured=len(faults), unit="", goal=0),
        *latencies(f"{calls:,} calls: caller's first byte to originate", offers.seconds, p99_goal_ms=GOAL_MS),
    ]


async def measure(size: Size) -> list[Figure]:
    """100 and 2,000 concurrent calls."""
    seconds = size.pick(0.5, 10, 30)
    if size is Size.TINY:
        return await at_once(10, seconds)
    return [*await at_once(100, seconds), *await at_once(size.whole(10, 500, 2_000), seconds)]


if __name__ == "__main__":
    command(measure)
