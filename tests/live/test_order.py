"""Callers rank by when they came, also those who came while callctl stood still, or was away."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from callctl.store.loading import epoch
from tests.live.centre import CallCentre, Caller, open_centre
from tests.live.configuration import AWAY_SECONDS
from tests.live.freeswitch import FreeSwitch

pytestmark = pytest.mark.fault(19.6)

LATE_SECONDS = 0.5
"""How long a call takes at most from the order to the dialplan of the queue; 50 ms are usual."""


async def come(centre: CallCentre, number: int, every_seconds: float) -> list[tuple[Caller, float]]:
    """Let so many callers call in one after the other; return each with the time of calling."""
    callers = []
    for _ in range(number):
        at = time.time()
        callers.append((await centre.call(wait=False), at))
        await trio.sleep(every_seconds)
    return callers


async def check_order(centre: CallCentre, callers: list[tuple[Caller, float]]) -> None:
    """See that they joined when they came, and are served in that order."""
    waiting = "state IN ('waiting', 'ringing')"
    rows = [await centre.row(caller, waiting) for caller, _ in callers]
    joined = [epoch(row.text("joined_at")) for row in rows]
    assert joined == sorted(joined)
    late = [at - came for at, (_, came) in zip(joined, callers, strict=True)]
    assert max(late) < LATE_SECONDS, late
    await centre.kill()
    await centre.start()
    for caller, _ in callers:
        await centre.row(caller, f"resumes > 0 AND {waiting}")
    centre.agent("1001", "ring50talk200")
    served = [(await centre.row(caller)).text("bridged_at") for caller, _ in callers]
    assert served == sorted(served)


async def test_those_who_came_during_a_stall_join_in_the_order_of_coming(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    async with open_centre(freeswitch, tmp_path) as centre:
        await centre.spawn()
        centre.stand_still()
        callers = await come(centre, 8, 0.4)
        centre.go_on()
        await check_order(centre, callers)
        await centre.check_all_is_over()


async def test_those_who_came_while_callctl_was_away_rank_by_their_first_try(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    async with open_centre(freeswitch, tmp_path) as centre:
        callers = await come(centre, 3, 0.7)
        # The first one has just begun to hear music for the second time.
        await trio.sleep(AWAY_SECONDS - 3 * 0.7 + 0.3)
        await centre.spawn()
        await check_order(centre, callers)
        await centre.check_all_is_over()
