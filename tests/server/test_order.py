"""Callers rank by when they came, also those who came while callctl stood still, or was away."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from callctl.ids import Ids
from callctl.sim.dialplan import house_dialplan
from callctl.sim.people import Caller
from callctl.sim.switch import Switch
from callctl.store.loading import epoch
from tests.server.process import Files, configuration, serving, started

TRY_SECONDS = 2
"""How often the dialplan tries while callctl is away."""


@asynccontextmanager
async def switch_for(folder: Path) -> AsyncIterator[tuple[Switch, Files]]:
    """Run a switch whose dialplan leads to the server of a configuration."""
    chance = random.Random(1)
    switch = Switch(random=chance, ids=Ids(random.Random(2)))
    async with trio.open_nursery() as nursery:
        await nursery.start(switch.run)
        files = await configuration(folder, await nursery.start(switch.listen_inbound))
        switch.dialplan = house_dialplan(f"127.0.0.1:{files.port}", music_seconds=TRY_SECONDS)
        yield switch, files
        nursery.cancel_scope.cancel()


def joined(files: Files) -> dict[str, float]:
    """Return when each caller joined, by number, in the order of joining."""
    with closing(sqlite3.connect(files.database)) as connection:
        rows = connection.execute("SELECT caller_number, joined_at FROM calls ORDER BY joined_at, rowid")
        return {number: epoch(at) for number, at in rows}


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await trio.sleep(0.02)
    raise trio.TooSlowError


@pytest.mark.fault(19.6)
async def test_those_who_came_during_a_stall_join_in_the_order_of_coming_and_have_waited_since(
    tmp_path: Path,
) -> None:
    async with switch_for(tmp_path) as (switch, files), serving(files.config) as server:
        numbers, came = [str(number) for number in range(100, 108)], {}
        server.process.send_signal(signal.SIGSTOP)
        for number in numbers:
            came[number] = switch.now()
            switch.place_call(Caller(number=number))
            await trio.sleep(0.15)
        await trio.sleep(0.5)
        server.process.send_signal(signal.SIGCONT)
        await until(lambda: len(joined(files)) == len(numbers))
        found = joined(files)
    assert list(found) == numbers
    assert {number for number in numbers if abs(found[number] - came[number]) > 0.3} == set()


@pytest.mark.fault(19.6)
async def test_those_who_came_while_nobody_served_rank_by_their_first_try(tmp_path: Path) -> None:
    async with switch_for(tmp_path) as (switch, files):
        came = {}
        for number in ("100", "101", "102"):
            came[number] = switch.now()
            switch.place_call(Caller(number=number))
            await trio.sleep(0.7)
        # The first one has just begun to hear music for the second time when the server comes.
        await trio.sleep(TRY_SECONDS - 3 * 0.7 + 0.3)
        async with started(files.config) as server:
            await server.until_logged('"serving"')
            await until(lambda: len(joined(files)) == len(came))
            found = joined(files)
    assert list(found) == list(came)
    assert {number for number in came if abs(found[number] - came[number]) > 0.3} == set()
