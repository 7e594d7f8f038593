"""A stage for whole calls: the real server, the real database and the stand-in switch, over real sockets."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from callctl.acd.invariants import Violation
from callctl.cli.stage import Stage, open_stage
from callctl.ids import Ids
from callctl.model import AgentSettings, QueueSettings
from callctl.sim.people import Caller, Endpoint
from callctl.sim.switch import Switch
from tests.floor import violations

CALLER = QueueSettings(name="caller", ring_timeout=2)
ANSWERS = Endpoint(answer_after=0.05)
HANGS_UP = Endpoint(answer_after=0.05, talk_seconds=0.1)

Row = dict[str, Any]


class Theatre:
    """A stage, and what the database said when it closed."""

    def __init__(self, stage: Stage, database: Path) -> None:
        self.stage = stage
        self.database = database
        self.seen: list[str] = []
        """What the switch did, in order: its observations, and the applications that it ran."""
        stage.switch.on_observed(lambda name, uuid, at, member: self.seen.append(name))

    def hire(self, name: str, phone: Endpoint, queue: str = "caller", **settings: Any) -> None:
        self.stage.hire(AgentSettings(name=name, contact=f"user/{name}", **settings), queue, phone)

    async def call(self, caller: Caller) -> None:
        """Place one call and wait until nothing is left of it."""
        self.stage.switch.place_call(caller)
        stage = self.stage
        await self.until(lambda: bool(stage.server.reception.sessions) or not stage.switch.channels())
        with trio.fail_after(10):
            await self.stage.server.reception.wait_empty()

    async def call_beside(self, caller: Caller) -> None:
        """Place one call beside others, and wait until it has ended."""
        uuid = self.stage.switch.place_call(caller)
        await self.until(lambda: not self.stage.switch.is_known(uuid))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds: for what no event tells of."""
        for _ in range(1000):
            if condition():
                return
            await trio.sleep(0.01)
        raise trio.TooSlowError

    def rows(self, table: str, order: str = "rowid") -> list[Row]:
        with sqlite3.connect(self.database) as connection:
            connection.row_factory = sqlite3.Row
            found = [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY {order}")]
        connection.close()
        return found

    def waiting(self) -> int:
        """Return how many callers stand in a queue."""
        return len(self.stage.server.dispatcher.ask(lambda d, now: d.members(now)))

    def invariants(self) -> list[Violation]:
        return self.stage.server.dispatcher.act(violations)


@pytest.fixture
def theatre(tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_theatre(*queues: QueueSettings, **limits: int) -> AsyncIterator[Theatre]:
        database = tmp_path / "callctl.db"
        async with open_stage(database, *(queues or (CALLER,)), seed=1, **limits) as stage:
            theatre = Theatre(stage, database)
            yield theatre
            assert theatre.invariants() == []

    return open_theatre


@pytest.fixture
async def switch_port(nursery: trio.Nursery) -> int:
    """A stand-in switch that the servers of a test log in to."""
    switch = Switch(random=random.Random(1), ids=Ids(random.Random(1)))
    await nursery.start(switch.run)
    port: int = await nursery.start(switch.listen_inbound)
    return port
