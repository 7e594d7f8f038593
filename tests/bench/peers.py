"""`callctl.esl` alone, beside a bare handler written by hand with Trio: the same work, in the same run.

The work is that of `peer`. The CPU is taken at two steady rates: at a low one each message wakes the process
up, at a high one several come at once. The memory is taken with many callers waiting at once.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median

import psutil
import trio

from callctl.cli.files import raise_file_limit
from tests.bench.figures import Figure
from tests.bench.house import MAX_CALLS, until
from tests.bench.lean_people import Plan
from tests.bench.lean_switch import LeanSwitch
from tests.bench.subject import Size, command

RATE = 150.0
HIGH_RATE = 600.0
"""Calls a second; what is written by hand can take about 750."""

SETTLE_SECONDS = 0.3

CPU_GOAL_MS = 0.6

BY_HAND_MS = 0.85
"""What the handler by hand takes on the machine that the goals in milliseconds are meant for. How many times
that a goal is, can be held on any machine, and whatever else the machine does meanwhile."""

MEMORY_GOAL_KB = 50.0


@asynccontextmanager
async def _peer(name: str) -> AsyncIterator[tuple[psutil.Process, LeanSwitch]]:
    """Start a handler in a process of its own, and a switch for it."""
    process = await trio.to_thread.run_sync(_start, name)
    try:
        assert process.stdout is not None, "it was asked for"
        port = int(await trio.to_thread.run_sync(process.stdout.readline))
        async with trio.open_nursery() as nursery:
            switch = LeanSwitch(port)
            await nursery.start(switch.run)
            yield psutil.Process(process.pid), switch
            nursery.cancel_scope.cancel()
        if process.poll() is not None:
            raise RuntimeError(f"the handler {name} has ended, so its calls were cut short")
    finally:
        process.kill()
        process.communicate()


def _start(name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.bench.peer", name], stdout=subprocess.PIPE)


async def _waiting_kb(process: psutil.Process, switch: LeanSwitch, waiting: int) -> float:
    """Return how much memory a waiting call takes, in thousands of bytes."""
    await _let_come(switch, 20, Plan(patience=0.1))  # what is made once, such as caches, is made now
    await until(lambda: not switch.calls)
    resident_before = process.memory_info().rss
    await _let_come(switch, waiting, Plan())
    await trio.sleep(SETTLE_SECONDS)
    resident = process.memory_info().rss
    for call in list(switch.calls.values()):
        switch.hang_up(call)
    await until(lambda: not switch.calls)
    await trio.sleep(SETTLE_SECONDS)
    return float(resident - resident_before) / waiting / 1000


async def cpu_ms_by_hand(calls: int) -> float:
    """Return the CPU of one call with the handler by hand, in milliseconds, at RATE calls a second."""
    async with _peer("by-hand") as (process, switch):
        await _cpu_ms(process, switch, 20, Plan(patience=0.1), RATE)
        return await _cpu_ms(process, switch, calls, Plan(patience=1.0), RATE)


async def _cpu_ms(process: psutil.Process, switch: LeanSwitch, calls: int, plan: Plan, rate: float) -> float:
    cpu_before = _cpu_seconds(process)
    await _let_come(switch, calls, plan, rate)
    await until(lambda: not switch.calls)
    return (_cpu_seconds(process) - cpu_before) / calls * 1000


async def _let_come(switch: LeanSwitch, calls: int, plan: Plan, rate: float = RATE) -> None:
    begun = trio.current_time()
    for number in range(calls):
        switch.place_call(plan)
        await trio.sleep_until(begun + (number + 1) / rate)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(size: Size) -> list[Figure]:
    """CPU and memory of a call with callctl.esl alone, beside a handler written by hand.

    The two take turns, several times at each rate, as a machine that others use is faster now and slower
    then.
    """
    raise_file_limit(MAX_CALLS)
    seconds, turns = size.pick(0.2, 1.5, 3.0), size.whole(1, 3, 8)
    waiting = size.whole(30, 1_000, 4_000)
    figures = []
    async with _peer("callctl") as ours, _peer("by-hand") as by_hand:
        waiting_kb, waiting_kb_by_hand = [await _waiting_kb(*peer, waiting) for peer in (ours, by_hand)]
        for rate in (RATE, HIGH_RATE):
            pairs = []
            for _ in range(turns):
                plan, calls = Plan(patience=min(seconds, 1.0)), int(seconds * rate)
                pairs.append([await _cpu_ms(*peer, calls, plan, rate) for peer in (ours, by_hand)])
            figures += [
                Figure(
                    what=f"callctl.esl, CPU for a call at {rate:.0f}/s",
                    measured=median(own for own, _ in pairs),
                    unit="ms",
                    goal=CPU_GOAL_MS,
                ),
                Figure(
                    what=f"by hand with Trio, CPU for a call at {rate:.0f}/s",
                    measured=median(hand for _, hand in pairs),
                    unit="ms",
                ),
                Figure(
                    what=f"CPU at {rate:.0f}/s, callctl.esl over by hand",
                    measured=median(own / hand for own, hand in pairs),
                    unit="times",
                    goal=CPU_GOAL_MS / BY_HAND_MS,
                ),
            ]
    return [
        *figures,
        Figure(
            what="callctl.esl, memory for a waiting call",
            measured=waiting_kb,
            unit="kB",
            goal=MEMORY_GOAL_KB,
        ),
        Figure(what="by hand with Trio, memory for a waiting call", measured=waiting_kb_by_hand, unit="kB"),
    ]


if __name__ == "__main__":
    command(measure)
