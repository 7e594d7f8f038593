"""A server dies with 2,000 calls open, half of them waiting and half talking, and is started again.

Counted from the moment in which the new one has the switch's link up. A talk is in place when it is followed
to its end; a caller who waited has the place at once, when the inbound connection follows the call, and
hears callctl's own music when the dialplan has come round, which takes AWAY_SECONDS and starts at the crash.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import trio

from tests.bench.figures import Figure
from tests.bench.house import Floor, House, open_house, until
from tests.bench.lean_people import Call, Plan
from tests.bench.lean_switch import AWAY_SECONDS
from tests.bench.subject import Size, command
from tests.bench.waiting import TALKER, empty, fill

GOAL_SECONDS = 5.0

PLACES = "SELECT id, uuid, joined_at FROM calls WHERE ended_at IS NULL ORDER BY id"
"""Who is where, by the history: must be the same before and after."""


async def restart(calls: int, end: Callable[[House], Awaitable[None]], how: str) -> list[Figure]:
    """Open so many calls, `end` the server, start it again, and take the times."""
    async with open_house(Floor(agents=calls // 2)) as house:
        talkers = await fill(house, [TALKER] * (calls // 2))
        await until(lambda: all(call.is_talking for call in talkers))
        waiters = await fill(house, [Plan()] * (calls - len(talkers)))
        await trio.sleep(0.5)
        before = house.server.query(PLACES)
        await end(house)
        ended_at = time.perf_counter()
        ready_seconds = await house.server.start()
        in_place_at, music_at = await _times(house, talkers, waiters)
        link_up_at = house.switch.link_up_at
        await trio.sleep(0.5)
        after = house.server.query(PLACES)
        await empty(house, talkers + waiters)
        faults = await house.faults()
    if before != after:
        faults.append(f"{len(set(before) - set(after))} of {len(before)} places are not what they were")
    return [
        Figure(
            what=f"{calls:,} calls open, {how}: everyone in place, after the link",
            measured=in_place_at - link_up_at,
            unit="s",
            goal=GOAL_SECONDS,
        ),
        Figure(
            what=f"{how}: all who wait on a socket, with music, after the link",
            measured=music_at - link_up_at,
            unit="s",
            goal=GOAL_SECONDS,
        ),
        Figure(what=f"{how}: from the end to the link", measured=link_up_at - ended_at, unit="s"),
        Figure(what=f"{how}: start to ready", measured=ready_seconds, unit="s"),
        Figure(what=f"{how}: errors, and places lost", measured=len(faults), unit="", goal=0),
    ]


async def _times(house: House, talkers: list[Call], waiters: list[Call]) -> tuple[float, float]:
    """Return when everyone was in place, and when all who wait heard music."""
    await until(lambda: all(call.is_followed or call.is_heard for call in talkers + waiters))
    in_place_at = time.perf_counter()
    await until(lambda: all(call.is_heard for call in waiters))
    return in_place_at, time.perf_counter()


async def _kill(house: House) -> None:
    await house.server.kill()


async def _stop(house: House) -> None:
    await house.server.stop()


async def measure(size: Size) -> list[Figure]:
    """Restart with 2,000 calls open, after SIGKILL and after SIGTERM."""
    calls = size.whole(20, 500, 2_000)
    return [
        *await restart(calls, _kill, "SIGKILL"),
        *(await restart(calls, _stop, "SIGTERM") if size is not Size.TINY else []),
        Figure(what="music of the dialplan between two tries", measured=AWAY_SECONDS, unit="s"),
    ]


if __name__ == "__main__":
    command(measure)
