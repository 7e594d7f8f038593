"""A new callctl takes the place of an old one: nobody is dropped, and nobody loses the place."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import trio

from callctl.cli.stage import Stage, free_port
from callctl.config import Config
from callctl.config.settings import Address, HttpSettings, LogSettings, ServerSettings, SwitchSettings
from callctl.ids import Ids
from callctl.model import AgentSettings, QueueSettings
from callctl.server import Server
from callctl.sim.dialplan import house_dialplan
from callctl.sim.people import Caller, Endpoint
from callctl.sim.switch import Switch
from tests.floor import violations

QUEUE = QueueSettings(name="caller")


async def until(condition) -> None:
    for _ in range(1500):
        if condition():
            return
        await trio.sleep(0.01)
    raise trio.TooSlowError


def state_of(database: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT caller_number, state, outcome, joined_at, resumes FROM calls ORDER BY joined_at"
        ).fetchall()


async def test_a_restart_keeps_who_waits_in_place_and_follows_who_talks(tmp_path: Path) -> None:
    chance = random.Random(5)
    port, database = await free_port(), tmp_path / "callctl.db"
    async with trio.open_nursery() as nursery:
        switch = Switch(
            random=chance,
            ids=Ids(chance),
            dialplan=house_dialplan(f"127.0.0.1:{port}", music_seconds=1),
        )
        await nursery.start(switch.run)
        config = Config(
            server=ServerSettings(listen=Address("127.0.0.1", port), database=database),
            switches=(SwitchSettings(name="fs1", port=await nursery.start(switch.listen_inbound)),),
            http=HttpSettings(listen=Address("127.0.0.1", 0)),
            log=LogSettings(),
            queues={"caller": QUEUE},
            agents={},
            tiers=(),
        )
        async with trio.open_nursery() as old:
            server = await old.start(Server(config).run)
            stage = Stage(server, switch)
            phone = Endpoint(answer_after=0.05, talk_seconds=4.0)
            stage.hire(AgentSettings(name="1001", contact="user/1001"), "caller", phone)
            for number in range(5):
                switch.place_call(Caller(number=str(number)))
                await until(lambda: len(server.reception.sessions) == number + 1)  # noqa: B023
            await until(lambda: any(row[1] == "talking" for row in state_of(database)))
            server.stop()
        before = state_of(database)
        assert len([channel for channel in switch.channels() if not channel.is_outbound]) == 5

        async with trio.open_nursery() as new:
            server = await new.start(Server(config).run)
            await until(lambda: len(server.reception.sessions) == 5)
            assert [row[:1] for row in state_of(database)] == [row[:1] for row in before]
            assert [row[3] for row in state_of(database)] == [row[3] for row in before]
            switch.add_endpoint("user/1001", Endpoint(answer_after=0.05, talk_seconds=0.1))
            with trio.fail_after(30):
                await server.reception.wait_empty()
            assert server.dispatcher.act(violations) == []
            server.stop()
        nursery.cancel_scope.cancel()
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT caller_number, outcome, resumes, talk_seconds FROM calls ORDER BY bridged_at"
        ).fetchall()
    assert [(number, outcome) for number, outcome, _, _ in rows] == [
        (str(number), "handled") for number in range(5)
    ]
    assert [resumes for _, _, resumes, _ in rows] == [0, 1, 1, 1, 1]
    assert 3.5 < rows[0][3] < 5.0
