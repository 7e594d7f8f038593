"""A real server and a stand-in switch in one process, joined by real sockets on free ports: for the demo."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import evolve, frozen

from callctl.config import Config
from callctl.config.settings import Address, HttpSettings, LogSettings, ServerSettings, SwitchSettings
from callctl.ids import Ids
from callctl.model import AgentRecord, AgentSettings, AgentState, AgentStatus, QueueSettings, Tier
from callctl.server import Server
from callctl.sim.dialplan import house_dialplan
from callctl.sim.people import Endpoint
from callctl.sim.switch import Switch


@frozen
class Stage:
    """The server and its switch, both running."""

    server: Server
    switch: Switch

    def hire(self, settings: AgentSettings, queue: str, phone: Endpoint | None = None) -> None:
        """Have an available agent serve `queue`; `phone` is what answers at the agent's contact."""
        if phone is not None:
            self.switch.add_endpoint(settings.contact, phone)
        record = AgentRecord(settings=settings, status=AgentStatus.AVAILABLE, state=AgentState.WAITING)
        tier = Tier(queue=queue, agent=settings.name)
        act = self.server.dispatcher.act
        act(lambda distributor, now: distributor.put_agent(record, now))
        act(lambda distributor, now: distributor.put_tier(tier, now))


@asynccontextmanager
async def open_stage(
    database: Path,
    *queues: QueueSettings,
    seed: int | None = None,
    max_calls: int = 2000,
    music_seconds: int = 5,
    http: HttpSettings | None = None,
) -> AsyncIterator[Stage]:
    """Start both, yield them, and stop the server in good order.

    The first of `queues` takes the calls that name none; `seed` makes the people repeatable. The dialplan
    brings those whom the server does not take again after `music_seconds`. Of `http` the port does not count.
    """
    chance = random.Random(seed)
    port = await free_port()
    async with trio.open_nursery() as nursery:
        switch = Switch(
            name="fs1",
            random=chance,
            ids=Ids(random.Random(chance.random())),
            dialplan=house_dialplan(f"127.0.0.1:{port}", music_seconds=music_seconds),
        )
        await nursery.start(switch.run)
        switch_port = await nursery.start(switch.listen_inbound)
        config = Config(
            server=ServerSettings(
                listen=Address("127.0.0.1", port),
                database=database,
                default_queue=queues[0].name,
                max_calls=max_calls,
            ),
            switches=(SwitchSettings(name=switch.name, host="127.0.0.1", port=switch_port),),
            http=evolve(http or HttpSettings(), listen=Address("127.0.0.1", 0)),
            log=LogSettings(),
            queues={queue.name: queue for queue in queues},
            agents={},
            tiers=(),
        )
        async with trio.open_nursery() as server_nursery:
            server = Server(config)
            await server_nursery.start(server.run)
            yield Stage(server, switch)
            server.stop()
        nursery.cancel_scope.cancel()


async def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listeners[0].socket.getsockname()[1]
    for listener in listeners:
        await listener.aclose()
    return port
