"""A switch that is gone for good, or back again: its agents are free, and the history says what was."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from callctl.clock import SteadyClock
from callctl.config.settings import Config, HttpSettings, LogSettings, ServerSettings, SwitchSettings
from callctl.ids import Ids
from callctl.model import AgentSettings, AgentState, AgentStatus, QueueSettings, Tier
from callctl.server import Server
from callctl.sim.dialplan import house_dialplan
from callctl.sim.people import Caller, Endpoint
from callctl.sim.switch import Switch
from callctl.sim.torture.disk import Disk
from callctl.sim.torture.house import House
from callctl.sim.torture.timeline import Timeline
from callctl.sim.torture.wires import Network

EPOCH = 1_800_000_000.0
ANSWERS = Endpoint(answer_after=0.5)


class Place:
    """The real server with one agent, and its switches, of which all may be lost."""

    def __init__(self, house: House, switches: dict[str, Switch], database: Path) -> None:
        self.house = house
        self.switches = switches
        self._database = database

    @property
    def server(self) -> Server:
        assert self.house.server is not None
        return self.house.server

    def agent(self) -> Any:
        return self.server.dispatcher.ask(lambda d, now: d.agent("1001", now))

    def is_ready(self, switch: str) -> bool:
        return self.server.switches[switch].is_ready

    async def rows(self, table: str) -> list[dict[str, Any]]:
        await self.server.journal.flush()
        with closing(sqlite3.connect(self._database)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]

    async def until(self, condition: Callable[[], bool], seconds: float) -> float:
        """Wait until something is so, and return how long that took; fails after so many seconds."""
        began = trio.current_time()
        with trio.fail_after(seconds):
            while not condition():  # noqa: ASYNC110 - no event tells of it, and the clock is virtual
                await trio.sleep(0.05)
        return trio.current_time() - began

    async def talk(self, switch: str = "fs1", seconds: float = 3.0) -> None:
        """Let a caller talk with the agent for so long."""
        self.switches[switch].place_call(Caller())
        await self.until(lambda: self.agent().state is AgentState.IN_A_QUEUE_CALL, 10)
        await trio.sleep(seconds)


@asynccontextmanager
async def a_place(tmp_path: Path, *names: str, seed: str = "") -> AsyncIterator[Place]:
    clock, timeline, database = SteadyClock(EPOCH), Timeline(EPOCH), tmp_path / "callctl.db"
    switches: dict[str, Switch] = {}
    for name in names:
        chance = Random(f"{seed}{name}")
        dial = partial(lambda host, port: house.dial(host, port))
        switches[name] = Switch(
            name=name, random=chance, ids=Ids(chance), dial=dial, dialplan=house_dialplan(), clock=clock
        )
        switches[name].add_endpoint("user/1001", ANSWERS)
    config = Config(
        server=ServerSettings(database=database, default_queue="caller"),
        switches=tuple(SwitchSettings(name=name, host=name) for name in names),
        http=HttpSettings(),
        log=LogSettings(),
        queues={"caller": QueueSettings(name="caller")},
        agents={"1001": AgentSettings(name="1001", contact="user/1001")},
        tiers=(Tier(queue="caller", agent="1001"),),
    )
    house = House(
        config,
        switches=switches,
        network=Network(Random(1), 0.0),
        disk=Disk(database),
        timeline=timeline,
        clock=clock,
        chance=Random(f"{seed}house"),
    )
    place = Place(house, switches, database)
    async with trio.open_nursery() as nursery:
        for switch in switches.values():
            await nursery.start(switch.run)
        nursery.start_soon(house.run)
        await place.until(lambda: house.server is not None, 10)
        place.server.dispatcher.act(lambda d, now: d.set_status("1001", AgentStatus.AVAILABLE, now))
        yield place
        house.retire()
        with trio.move_on_after(30):
            await house.retired.wait()
        nursery.cancel_scope.cancel()


@pytest.mark.fault(13)
async def test_a_switch_that_is_gone_for_good_frees_its_agents_and_leaves_talks_as_long_as_they_were(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with a_place(tmp_path, "fs1") as place:
        await place.talk(seconds=3.0)
        place.switches["fs1"].crash()
        await place.until(lambda: place.agent().state is AgentState.WAITING, 60)
        [call] = await place.rows("calls")
        assert (call["reason"], call["hung_up_by"], call["state"]) == ("BRIDGED", "switch", "ended")
        assert call["talk_seconds"] == pytest.approx(3.0, abs=0.2)


@pytest.mark.fault(13)
async def test_an_agent_of_a_switch_that_is_gone_serves_the_others(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with a_place(tmp_path, "fs1", "fs2") as place:
        await place.talk("fs1")
        place.switches["fs1"].crash()
        place.switches["fs2"].place_call(Caller(number="4930777"))
        await trio.sleep(60)
        assert place.agent().state is AgentState.IN_A_QUEUE_CALL
        calls = {call["switch"]: call for call in await place.rows("calls")}
        assert (calls["fs2"]["state"], calls["fs2"]["agent"]) == ("talking", "1001")


@pytest.mark.fault(13)
async def test_a_wait_on_a_switch_that_is_gone_is_as_long_as_it_was(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with a_place(tmp_path, "fs1") as place:
        place.server.dispatcher.act(lambda d, now: d.set_status("1001", AgentStatus.ON_BREAK, now))
        place.switches["fs1"].place_call(Caller())
        await trio.sleep(5)
        place.switches["fs1"].crash()
        await place.until(lambda: not place.server.reception.sessions, 60)
        [call] = await place.rows("calls")
        assert call["reason"] == "SWITCH_LOST"
        assert call["wait_seconds"] == pytest.approx(5.0, abs=0.3)


@pytest.mark.fault(13)
async def test_a_talk_that_a_restart_of_the_switch_has_cut_ends_when_it_did(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with a_place(tmp_path, "fs1") as place:
        await place.talk(seconds=3.0)
        place.switches["fs1"].crash()
        await trio.sleep(9)
        place.switches["fs1"].restart()
        await place.until(lambda: place.agent().state is AgentState.WAITING, 60)
        [call] = await place.rows("calls")
        assert call["talk_seconds"] == pytest.approx(3.0, abs=0.2)


async def test_a_switch_whose_connection_alone_is_lost_keeps_its_talks(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with a_place(tmp_path, "fs1") as place:
        await place.talk(seconds=3.0)
        place.switches["fs1"].drop_connections()
        await trio.sleep(30)
        assert place.agent().state is AgentState.IN_A_QUEUE_CALL
        [call] = await place.rows("calls")
        assert call["state"] == "talking"


@pytest.mark.fault(13)
@pytest.mark.parametrize("seed", ["a", "b", "c", "d"])
async def test_a_call_from_a_switch_that_is_back_ends_the_wait_for_it(
    tmp_path: Path, autojump_clock: MockClock, seed: str
) -> None:
    async with a_place(tmp_path, "fs1", seed=seed) as place:
        switch = place.switches["fs1"]
        switch.crash()
        await trio.sleep(100)  # By now the next attempt is up to 30 s away.
        switch.restart()
        await trio.sleep(1)
        switch.place_call(Caller())
        assert await place.until(lambda: place.is_ready("fs1"), 60) < 2.5
        await place.until(lambda: place.agent().state is AgentState.IN_A_QUEUE_CALL, 10)


@pytest.mark.fault(13)
@pytest.mark.parametrize("seed", ["a", "b", "c"])
async def test_of_several_switches_the_one_that_is_back_under_another_name_is_found_at_once(
    tmp_path: Path, autojump_clock: MockClock, seed: str
) -> None:
    async with a_place(tmp_path, "fs1", "fs2", seed=seed) as place:
        switch = place.switches["fs1"]
        switch.crash()
        await trio.sleep(100)
        switch.restart()
        await trio.sleep(1)
        switch.place_call(Caller())
        await trio.sleep(3)
        assert place.is_ready("fs1")
        [call] = await place.rows("calls")
        assert (call["switch"], call["resumes"]) == ("fs1", 0)
