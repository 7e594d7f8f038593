"""How the cost of a whole call grows with who is there besides: four sizes of each, and an exponent.

The cost is the server's CPU for one round of a full house (see `turnover`). What the server does for itself
every half minute, looking after every call, is no part of a call's path, and kept out by taking the rounds
between two such looks. How the distributor alone grows, with finer means, is the subject of `acd`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import trio

from tests.bench.figures import Figure
from tests.bench.house import until
from tests.bench.subject import Size, command
from tests.bench.turnover import Sizes, open_full_house

GOAL = 0.2

BASE = Sizes(waiting=200, agents=50)

GROWING: dict[str, tuple[int, ...]] = {
    "waiting": (125, 500, 2_000, 8_000),
    "agents": (50, 200, 800, 3_200),
    "queues": (1, 8, 64, 512),
}
"""What grows, and through which sizes; queues with enough agents and callers for all of them."""

LOOK_SECONDS = 35.0
"""A little more than lies between two looks of the server at its switch."""

SETTLE_SECONDS = 3.0


def _sizes(what: str, number: int) -> Sizes:
    if what == "waiting":
        return Sizes(waiting=number, agents=BASE.agents)
    if what == "agents":
        return Sizes(waiting=BASE.waiting, agents=number)
    return Sizes(waiting=GROWING["queues"][-1], agents=GROWING["queues"][-1], queues=number)


async def cost(sizes: Sizes, rounds: int, *, waits_for_look: bool) -> float:
    """Return the CPU of one call in a house of these sizes, in milliseconds."""
    async with open_full_house(sizes) as full:
        server, switch = full.house.server, full.house.switch
        if waits_for_look:
            looks = switch.looks
            await until(lambda: switch.looks > looks, patience_seconds=2 * LOOK_SECONDS)
        await trio.sleep(SETTLE_SECONDS if waits_for_look else 0.2)
        before = server.cpu_seconds()
        await full.turn_over(rounds)
        return (server.cpu_seconds() - before) / rounds * 1000


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of the cost over the size, both as logarithms, by least squares."""
    x, y = [math.log(number) for number in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    along = sum((one - mean_x) * (other - mean_y) for one, other in zip(x, y, strict=True))
    return along / sum((one - mean_x) ** 2 for one in x)


async def measure(size: Size) -> list[Figure]:
    """Exponents of a whole call's cost with callers, agents and queues."""
    rounds = size.whole(5, 100, 400)
    figures = []
    growing = dict(list(GROWING.items())[: size.whole(1, 3, 3)])
    for what, numbers in growing.items():
        numbers = numbers[: size.whole(1, 3, 4)]
        costs = [
            await cost(_sizes(what, number), rounds, waits_for_look=size is Size.FULL) for number in numbers
        ]
        figures += [
            Figure(what=f"CPU of a call, {number:,} {what}", measured=each, unit="ms")
            for number, each in zip(numbers, costs, strict=True)
        ]
        if len(numbers) > 1:
            figures.append(
                Figure(
                    what=f"growth with {what}: exponent",
                    measured=exponent(numbers, costs),
                    unit="",
                    goal=GOAL,
                )
            )
    return figures


if __name__ == "__main__":
    command(measure)
