"""A server's inside without a switch: the real distributor and the real journal, and calls that are told."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import trio
from attrs import define, evolve, field

from callctl.acd.distributor import Distributor
from callctl.acd.queue_sources import QueueSources
from callctl.api.app import control_app, public_app
from callctl.api.house import House, SwitchView
from callctl.api.http_access import HttpAccess
from callctl.api.metrics import Metrics
from callctl.call.dispatcher import Dispatcher
from callctl.call.queue_changes import QueueChanges
from callctl.clock import SteadyClock
from callctl.config import Config, load_config
from callctl.config.settings import HttpSettings
from callctl.errors import UnknownCall
from callctl.ids import Ids
from callctl.model import AgentSettings, AgentStatus, Arrival, CallRecord, CallState, QueueSettings, Tier
from callctl.store.journal import Journal

QUEUES = {"caller": QueueSettings(name="caller"), "sales": QueueSettings(name="sales")}


@define
class ToldCalls:
    """Calls that are what a test says, and remember what was done to them."""

    records: list[CallRecord] = field(factory=list)
    done: list[tuple[str, ...]] = field(factory=list)
    refusal: Exception | None = None

    def live(self) -> list[CallRecord]:
        if isinstance(self.refusal, ZeroDivisionError):
            raise self.refusal
        return self.records

    def find(self, uuid: str) -> CallRecord:
        for record in self.records:
            if uuid in (record.arrival.uuid, record.arrival.call):
                return record
        raise UnknownCall(f"no call {uuid!r} is waiting or talking")

    def hang_up(self, uuid: str, cause: str) -> None:
        self._do("hangup", uuid, cause)

    def withdraw(self, uuid: str) -> None:
        self._do("withdraw", uuid)

    async def transfer(self, uuid: str, extension: str, dialplan: str, context: str) -> None:
        await trio.lowlevel.checkpoint()
        self._do("transfer", uuid, extension, dialplan, context)

    def _do(self, what: str, uuid: str, *details: str) -> None:
        self.find(uuid)
        if self.refusal is not None:
            raise self.refusal
        self.done.append((what, uuid, *details))


@define
class Visited:
    """A house that is open to visitors, and what is behind it."""

    house: House
    metrics: Metrics
    calls: ToldCalls
    switches: list[SwitchView]
    stopping: trio.Event
    control: httpx2.AsyncClient
    public: httpx2.AsyncClient

    def hire(self, name: str, queue: str = "caller", **settings: Any) -> None:
        """Have an available agent serve a queue."""
        act = self.house.act
        act(lambda d, now: d.put_agent(AgentSettings(name=name, contact=f"user/{name}", **settings), now))
        act(lambda d, now: d.put_tier(Tier(queue=queue, agent=name), now))
        act(lambda d, now: d.set_status(name, AgentStatus.AVAILABLE, now))

    def join(
        self, call: str, queue: str = "caller", state: CallState = CallState.WAITING, **rest: Any
    ) -> CallRecord:
        """Let a caller wait."""
        now = self.house.now()
        arrival = Arrival(
            call=call, uuid=f"uuid-{call}", switch="fs1", queue=queue, arrived_at=now, joined_at=now, **rest
        )
        self.house.act(lambda d, now: d.join(arrival, now))
        record = CallRecord(arrival=arrival, state=state)
        self.calls.records.append(record)
        return record


@asynccontextmanager
async def open_house(
    database: Path, http: HttpSettings | None = None, queues: Mapping[str, QueueSettings] = QUEUES
) -> AsyncIterator[Visited]:
    """Open a house with the queues `caller` and `sales`, or with others, and nobody in it."""
    clock, sources = SteadyClock(), QueueSources({})
    sources.know(queues.values())
    journal, metrics = Journal(database, clock=clock, busy_seconds=0.02), Metrics(sources.in_force)
    distributor = Distributor(ids=Ids(random.Random(1)), random=random.Random(1))
    dispatcher = Dispatcher(distributor, clock, journal.record)
    calls, stopping = ToldCalls(), trio.Event()
    switches = [SwitchView(name="fs1", is_ready=True, reconnects=0, events={}, last_error="")]
    for queue in queues.values():
        dispatcher.act(lambda d, now, queue=queue: d.put_queue(queue, now))
    changes = QueueChanges(sources, dispatcher=dispatcher, switches={}, record=journal.record)
    house = House(
        act=dispatcher.act,
        calls=calls,
        now=clock.now,
        record=journal.record,
        journal=journal,
        database=database,
        queues=sources.in_force,
        switches=lambda: switches,
        is_serving=lambda: True,
        is_stopping=stopping.is_set,
        healed_leases=lambda: dispatcher.healed_leases,
        put_queue=changes.put,
        remove_queue=changes.remove,
        access=HttpAccess(config_of(database, http), [], journal.record, clock.now),
    )
    metrics.watch(house)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        nursery.start_soon(house.access.run)
        house.events.open()
        nursery.start_soon(house.live.run)
        async with (
            _client(control_app(house, metrics)) as control,
            _client(public_app(house, metrics), "http://127.0.0.1") as public,
        ):
            yield Visited(house, metrics, calls, switches, stopping, control, public)
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until the condition holds; fails after five seconds."""
    with trio.fail_after(5):
        while True:
            if await condition():
                return
            await trio.sleep(0.01)


def config_of(database: Path, http: HttpSettings | None) -> Config:
    """Return the built-in configuration with this database and these keys."""
    config = load_config(None, {})
    server = evolve(config.server, database=database)
    return evolve(config, server=server, http=http or HttpSettings())


def _client(app: Any, base_url: str = "http://callctl") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False), base_url=base_url
    )
