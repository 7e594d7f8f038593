"""A whole call's life: what it costs the server, and whether 150 of them a second are carried for a minute.

A life is: connect, answer, queue, offer, bridge, hangup, history written. Phones ring 0.2 s, talks last one
second. The small work of `peer` is done by hand beside it, as machines differ by more than programs do.
"""

from __future__ import annotations

import time

import trio

from tests.bench.figures import Figure, latencies
from tests.bench.house import Floor, House, open_house
from tests.bench.lean_people import Call, Plan, Watcher
from tests.bench.peers import BY_HAND_MS, cpu_ms_by_hand
from tests.bench.subject import Size, command

RATE = 150.0
"""Calls a second."""

CPU_GOAL_MS = 3.0

HIGH_RATE = 250.0
"""Near what one core carries: several messages are there whenever the server looks."""

AGENTS = 600
"""More than talk at once at this rate, so that the phones are no bottleneck."""


class _Ends(Watcher):
    """When calls were over, and how long their callers had waited: from the first byte to the bridge."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.waits: list[float] = []

    def over(self, call: Call) -> None:
        self.at.append(time.perf_counter())
        if call.is_handled:
            self.waits.append(call.bridged_at - call.placed_at)


async def place_calls(house: House, calls: int, rate: float, plan: Plan) -> None:
    """Let so many calls come in, `rate` a second; a generator that is late catches up."""
    begun = trio.current_time()
    for number in range(calls):
        house.switch.place_call(plan)
        await trio.sleep_until(begun + (number + 1) / rate)


async def measure(size: Size) -> list[Figure]:
    """CPU of a whole call's life at 150 calls a second, held for a minute; then at more of them."""
    calls, more_calls = int(RATE * size.pick(0.2, 10, 60)), int(HIGH_RATE * size.pick(0.1, 5, 10))
    by_hand_before = await cpu_ms_by_hand(calls_by_hand := size.whole(30, 1_000, 2_000))
    ends = _Ends()
    async with open_house(Floor(agents=AGENTS), ends) as house:
        cpu_before, own_before, begun = house.server.cpu_seconds(), time.process_time(), time.perf_counter()
        await place_calls(house, calls, RATE, Plan())
        await house.until_over(calls)
        cpu = house.server.cpu_seconds() - cpu_before
        own = time.process_time() - own_before
        last_over, waits = ends.at[-1], list(ends.waits)
        cpu_before = house.server.cpu_seconds()
        await place_calls(house, more_calls, HIGH_RATE, Plan())
        await house.until_over(calls + more_calls)
        more_cpu = house.server.cpu_seconds() - cpu_before
        await house.until_history_is_whole()
        faults = await house.faults()
    by_hand_ms = (by_hand_before + await cpu_ms_by_hand(calls_by_hand)) / 2
    return [
        Figure(what="a whole call, CPU of callctl", measured=cpu / calls * 1000, unit="ms", goal=CPU_GOAL_MS),
        Figure(
            what="a whole call over the small work by hand",
            measured=cpu / calls * 1000 / by_hand_ms,
            unit="times",
            goal=CPU_GOAL_MS / BY_HAND_MS,
        ),
        Figure(what="by hand with Trio, connect to hangup alone", measured=by_hand_ms, unit="ms"),
        Figure(
            what="calls ended a second, while 150 begin",
            # A server that does not keep up ends them later and later.
            measured=(calls - 1) / (last_over - ends.at[0]),
            unit="/s",
            goal=RATE * 0.99,
            more_is_better=True,
        ),
        Figure(what="calls not carried, and errors", measured=len(faults), unit="", goal=0),
        *latencies("wait, 0.2 s of ringing included", waits),
        Figure(what="share of a core used by callctl", measured=cpu / (last_over - begun) * 100, unit="%"),
        Figure(
            what=f"a whole call, CPU of callctl at {HIGH_RATE:.0f}/s",
            measured=more_cpu / more_calls * 1000,
            unit="ms",
        ),
        Figure(what="CPU of the generator for a call", measured=own / calls * 1000, unit="ms"),
    ]


if __name__ == "__main__":
    command(measure)
