"""10,000 callers who wait at once: how fast they are taken, the memory of all, and the work of no work.

A few agents are there, and talk all the time.
"""

from __future__ import annotations

import time

import trio

from tests.bench.figures import Figure
from tests.bench.house import Floor, House, open_house, until
from tests.bench.lean_people import Call, Plan
from tests.bench.subject import Size, command

AGENTS = 20

IN_FLIGHT = 200
"""So many callers knock at once and hear no music yet: enough to keep the server busy all the time."""

TALKER = Plan(talk_seconds=None)

MIB = 2**20


async def fill(house: House, plans: list[Plan]) -> list[Call]:
    """Let callers come in as fast as they are taken, and return them when all hear music."""
    calls: list[Call] = []
    first_unheard = 0

    def heard() -> int:
        nonlocal first_unheard
        while first_unheard < len(calls) and calls[first_unheard].music_at:
            first_unheard += 1
        return first_unheard

    for plan in plans:
        await until(lambda: len(calls) - heard() < IN_FLIGHT)
        calls.append(house.switch.place_call(plan))
    await until(lambda: heard() == len(calls))
    return calls


async def empty(house: House, calls: list[Call], rate: float = 150.0) -> None:
    """Let all callers hang up, `rate` a second, and wait until the history knows."""
    for call in calls:
        house.switch.hang_up(call)
        await trio.sleep(1 / rate)
    await house.until_history_is_whole()


async def measure(size: Size) -> list[Figure]:
    """Acceptance, memory and idle work of 10,000 waiting callers."""
    waiting = size.whole(50, 2_000, 10_000)
    # Two rounds of what a server does every half minute, when the full measure is taken.
    idle_seconds = size.pick(0.5, 20, 60)
    async with open_house(Floor(agents=AGENTS)) as house:
        talkers = await fill(house, [TALKER] * AGENTS)
        await until(lambda: all(call.is_talking for call in talkers))
        resident_before = house.server.resident_bytes()
        begun, cpu_before = time.perf_counter(), house.server.cpu_seconds()
        callers = await fill(house, [Plan()] * waiting)
        accepted_in, cpu = time.perf_counter() - begun, house.server.cpu_seconds() - cpu_before
        await trio.sleep(size.pick(0.1, 2, 5))
        idle_before = house.server.cpu_seconds()
        await trio.sleep(idle_seconds)
        idle = house.server.cpu_seconds() - idle_before
        resident = house.server.resident_bytes()
        await empty(house, callers + talkers)
        faults = await house.faults()
    return [
        Figure(
            what=f"{waiting:,} callers waiting: accepted a second",
            measured=waiting / accepted_in,
            unit="/s",
            goal=300,
            more_is_better=True,
        ),
        Figure(what="CPU to accept one", measured=cpu / waiting * 1000, unit="ms"),
        Figure(what="memory resident, in all", measured=resident / MIB, unit="MiB", goal=512),
        Figure(
            what="memory for each waiting caller",
            measured=(resident - resident_before) / waiting / 1024,
            unit="KiB",
        ),
        Figure(
            what="share of a core while nothing happens",
            measured=idle / idle_seconds * 100,
            unit="%",
            goal=5,
        ),
        Figure(what="errors", measured=len(faults), unit="", goal=0),
    ]


if __name__ == "__main__":
    command(measure)
