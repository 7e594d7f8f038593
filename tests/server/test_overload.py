"""More than callctl can take, and a machine that plays it false: calls are served, and in their order."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest
import trio

from callctl.model import QueueSettings
from callctl.sim.people import Caller
from tests.server.conftest import ANSWERS, HANGS_UP

BRIEF = 0.2


def order_of_service(theatre) -> list[str]:
    rows = [row for row in theatre.rows("calls") if row["bridged_at"]]
    return [row["caller_number"] for row in sorted(rows, key=lambda row: row["bridged_at"])]


@pytest.mark.parametrize("jump_seconds", [86_400.0, -86_400.0], ids=["forward", "back"])
async def test_a_jump_of_the_wall_clock_changes_no_wait_and_no_order(
    theatre: Callable, monkeypatch: pytest.MonkeyPatch, jump_seconds: float
) -> None:
    real_time = time.time
    async with theatre(QueueSettings(name="caller", max_wait_time=60, wrap_up_time=0.3)) as t:
        for number in range(3):
            t.stage.switch.place_call(Caller(number=str(number)))
            await t.until(lambda: t.waiting() == number + 1)  # noqa: B023
            monkeypatch.setattr(time, "time", lambda: real_time() + jump_seconds * (number + 1))  # noqa: B023
        t.hire("1001", HANGS_UP)
        with trio.fail_after(20):
            await t.stage.server.reception.wait_empty()
    monkeypatch.undo()
    assert order_of_service(t) == ["0", "1", "2"]
    rows = t.rows("calls")
    assert {row["reason"] for row in rows} == {"BRIDGED"}
    assert all(0 <= row["wait_seconds"] < 20 and 0 <= row["talk_seconds"] < 5 for row in rows)


async def test_a_call_beyond_max_calls_hears_music_and_is_taken_in_its_turn_when_there_is_room(
    theatre: Callable,
) -> None:
    async with theatre(music_seconds=1, max_calls=2) as t:
        for number in range(2):
            t.stage.switch.place_call(Caller(number=str(number)))
            await t.until(lambda: t.waiting() == number + 1)  # noqa: B023
        refused = t.stage.switch.locate(t.stage.switch.place_call(Caller(number="2")))
        await t.until(lambda: refused.variable("callctl_refusal") == "max-calls")
        await trio.sleep(1.2)
        assert refused.is_up
        assert t.waiting() == 2
        t.hire("1001", HANGS_UP)
        with trio.fail_after(20):
            await t.until(lambda: len(t.stage.switch.channels()) == 0)
    assert order_of_service(t) == ["0", "1", "2"]
    [row] = [row for row in t.rows("calls") if row["caller_number"] == "2"]
    assert row["wait_seconds"] > 1.0, "the wait counts from the first time that the caller came"
    assert row["resumes"] == 0


@pytest.mark.fault(20)
async def test_who_is_to_be_called_back_takes_nobodys_room(theatre: Callable) -> None:
    queue = QueueSettings(name="caller", callback_key="1", callback_dialstring="trunk/{number}")
    async with theatre(queue, max_calls=1) as t:
        t.stage.switch.place_call(Caller(number="4930123", presses=((0.2, "1"),)))
        await t.until(lambda: bool(t.stage.switch.channels()))
        await t.until(lambda: not t.stage.switch.channels())
        t.stage.switch.place_call(Caller(number="4930999"))
        await t.until(lambda: t.waiting() == 2)
        refused = t.stage.switch.locate(t.stage.switch.place_call(Caller(number="4930777")))
        await t.until(lambda: refused.variable("callctl_refusal") == "max-calls")


async def test_a_database_that_takes_nothing_delays_no_call(theatre: Callable) -> None:
    async with theatre() as t:
        t.hire("1001", ANSWERS)
        await t.until(lambda: bool(t.rows("agents")))
        with closing(sqlite3.connect(t.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = trio.current_time()
            with trio.fail_after(10):
                await t.call(Caller(talk_seconds=BRIEF))
            assert trio.current_time() - began < 3.0, "less than the time for which a lock is waited for"
            other.execute("ROLLBACK")
    [row] = t.rows("calls")
    assert (row["reason"], row["outcome"]) == ("BRIDGED", "handled")
