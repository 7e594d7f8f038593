"""What is refused is counted each time, and logged once a minute of its kind."""

from __future__ import annotations

import structlog
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from callctl.refusals import LINE_SECONDS, Refusal, Refusals

log = structlog.get_logger()


async def test_a_flood_is_one_line_a_minute_and_every_one_is_counted(autojump_clock: MockClock) -> None:
    refusals = Refusals()
    with capture_logs() as lines:
        for second in range(150):
            refusals.note(Refusal.MAX_CALLS, log.error, "call not taken", number=second)
            await trio.sleep(1)
        refusals.note(Refusal.ADDRESS, log.warning, "connection refused")
    said = [(line["event"], line["times"]) for line in lines]
    assert said == [
        ("call not taken", 1),
        ("call not taken", 60),
        ("call not taken", 60),
        ("connection refused", 1),
    ]
    assert lines[1]["number"] == LINE_SECONDS
    assert refusals.counts()[Refusal.MAX_CALLS] == 150
    assert refusals.counts()[Refusal.NOT_A_CALL] == 0


async def test_several_at_once_are_counted_together() -> None:
    refusals = Refusals()
    with capture_logs() as lines:
        refusals.note(Refusal.ROWS_LOST, log.error, "rows lost", amount=7)
    assert lines[0]["times"] == refusals.counts()[Refusal.ROWS_LOST] == 7


async def test_those_of_a_run_are_the_same_everywhere_in_it() -> None:
    Refusals.of_this_run().note(Refusal.ADDRESS, log.debug, "refused")
    assert Refusals.of_this_run().counts()[Refusal.ADDRESS] == 1
