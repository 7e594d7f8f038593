"""Puts the rooms together: start, supervision, drain, stop.

Start: the store, the distributor with its agents, the control socket and HTTP, the switches and the
reconciliation with each, and last the listener. Stop: the listener first, so that no new call comes; then the
agents' phones that ring; then the sockets, whereupon every waiting caller goes on in the dialplan with the
place kept; and last the store, when everything is written.
"""

from __future__ import annotations

import hashlib
import os
import random as random_module
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import structlog
import trio
from attrs import evolve, field, frozen

from callctl.acd.check import check_agents
from callctl.acd.distributor import Distributor
from callctl.acd.memory import REMEMBERED_CALLERS
from callctl.acd.queue_sources import QueueSources
from callctl.api.house import House, SwitchView
from callctl.api.http_access import HttpAccess
from callctl.api.metrics import Metrics
from callctl.api.serve import serve_api
from callctl.call.absentees import Absentees
from callctl.call.control import CallControl
from callctl.call.desk import Desk
from callctl.call.dispatcher import Dispatcher
from callctl.call.phones import Phones
from callctl.call.queue_changes import QueueChanges, has_preludes, watches_phones
from callctl.call.reception import Reception
from callctl.call.recovery import Recovery
from callctl.call.switch import Switch
from callctl.clock import SteadyClock
from callctl.config import BackupSettings, Config
from callctl.config.defined import refuse_agent, refuse_queue, refuse_tier
from callctl.errors import StoreError
from callctl.esl.outbound import serve_outbound
from callctl.ids import Ids
from callctl.model import (
    AgentRecord,
    CallRecord,
    Fact,
    OfferRecord,
    SwitchChange,
    Tier,
    TokenRecord,
)
from callctl.store.backup import back_up_into, next_due
from callctl.store.journal import Journal
from callctl.store.loading import (
    LastTalk,
    load_agents,
    load_last_talks,
    load_let_go,
    load_open_calls,
    load_open_offers,
    load_queues,
    load_tiers,
    load_tokens,
)
from callctl.store.schema import open_history
from callctl.systemd import ServiceManager

log = structlog.get_logger(__name__)

WRITTEN_SECONDS = 1.0
"""How long a caller who is promised a callback is held while that is written down."""

FIRST_CONTACT_SECONDS = 5.0
"""How long the first login to each switch may take before calls are taken without it."""


@frozen(kw_only=True)
class Surroundings:
    """What a server meets outside itself: the real world, unless a simulation puts its own in its place.

    `open_stream` connects to a switch, None meaning TCP; `serve_outbound` takes calls, as the function of
    that name does; the journal writes and reads the database in a thread or, under a virtual clock, in place.
    Without a `serve_api` nobody looks at the server, and it opens no socket for that.
    """

    ids: Ids = field(factory=Ids)
    random: random_module.Random = field(factory=random_module.SystemRandom)
    make_clock: Callable[[], SteadyClock] = SteadyClock
    make_journal: Callable[[Path, SteadyClock], Journal] = lambda path, clock: Journal(path, clock=clock)
    open_stream: Callable[[str, int], Awaitable[trio.abc.Stream]] | None = None
    serve_outbound: Callable[..., Awaitable[None]] = serve_outbound
    serve_api: Callable[..., Awaitable[None]] | None = serve_api
    service_manager: ServiceManager = field(factory=lambda: ServiceManager(os.environ))


@frozen(kw_only=True)
class _Roster:
    """What the store knew when the server started."""

    agents: list[AgentRecord]
    tiers: list[Tier]
    open_calls: list[CallRecord]
    open_offers: list[OfferRecord]
    let_go: list[CallRecord]
    last_talks: list[LastTalk]
    tokens: list[TokenRecord]


class Server:
    """One callctl: `run` is its whole life."""

    def __init__(self, config: Config, surroundings: Surroundings | None = None) -> None:
        """`surroundings` are the real ones by default."""
        self._config = config
        self._outside = surroundings or Surroundings()
        self._owner = self._outside.ids.owner or _owner(config.server.database)
        self._ids = self._outside.ids.of_owner(self._owner)
        self._stopping = trio.Event()
        self._reloaded = trio.Event()
        self._is_serving = False
        self._sources = QueueSources(config.queues)
        self._queues = self._sources.in_force
        self.metrics = Metrics(self._queues)
        self._phones = Phones()
        self.http_port = 0
        """Where `[http]` listens; 0 before that, or without it."""

    async def run(self, *, task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`, and then return; reports itself when calls can come.

        A cancellation stops at once, in the same order but without the drain. Raises StoreError when the
        database cannot be used, ConfigError when `[http]` or the control socket cannot be had, and OSError
        when the port for calls is taken.
        """
        database = self._config.server.database
        self.clock = self._outside.make_clock()
        self.journal = self._outside.make_journal(database, self.clock)
        async with trio.open_nursery() as store_nursery:
            await store_nursery.start(self.journal.run)
            known = await self.journal.aside(partial(_read_roster, database, self.clock.now(), self._sources))
            for call in known.open_calls:
                # Or who calls now would stand before those who have waited for long.
                self.clock.begin_not_before(call.arrival.joined_at)
            await self._run_on_store(known, task_status)
            store_nursery.cancel_scope.cancel()

    def stop(self) -> None:
        """Begin to stop. Safe to call from a signal's task, and more than once."""
        self._stopping.set()

    @property
    def config(self) -> Config:
        """The configuration that is in force, since the start or the last reload."""
        return self._config

    @property
    def is_stopping(self) -> bool:
        """Say whether `stop` was called."""
        return self._stopping.is_set()

    @property
    def is_serving(self) -> bool:
        """Say whether calls can come."""
        return self._is_serving

    @property
    def calls(self) -> int:
        """How many calls are alive."""
        return len(self.reception.sessions) if self._is_serving else 0

    async def _written(self) -> None:
        with trio.move_on_after(WRITTEN_SECONDS):
            try:
                await self.journal.flush()
            except StoreError as error:
                log.warning("going on with what is not written yet", why=str(error))

    def _record(self, fact: Fact) -> None:
        """Take a fact for the history and the metrics, without waiting."""
        self.journal.record(fact)
        self.metrics.observe(fact)
        self._phones.observe(fact)

    async def _run_on_store(self, known: _Roster, task_status: trio.TaskStatus[Server]) -> None:
        self.dispatcher = Dispatcher(self._staff(known), self.clock, self._record)
        self._phones.report_to(self.dispatcher)
        desk = Desk(
            dispatcher=self.dispatcher,
            clock=self.clock,
            ids=self._ids,
            record=self._record,
            written=self._written,
        )
        self.switches = {
            settings.name: Switch(
                name=settings.name,
                host=settings.host,
                port=settings.port,
                password=settings.password,
                ids=self._outside.ids,
                random=self._outside.random,
                owner=self._owner,
                has_preludes=has_preludes(self._queues),
                watches_phones=watches_phones(self._queues),
                open_stream=self._outside.open_stream,
            )
            for settings in self._config.switches
        }
        absentees = Absentees(
            known.open_calls, known.open_offers, known.let_go, clock=self.clock, record=self._record
        )
        self.reception = Reception(
            desk=desk,
            switches=self.switches,
            queues=self._queues,
            default_queue=self._config.server.default_queue,
            absentees=absentees,
            max_calls=self._config.server.max_calls,
        )
        self._recovery = recovery = Recovery(
            desk=desk,
            reception=self.reception,
            absentees=absentees,
            default_queue=self._config.server.default_queue,
        )
        self.access = HttpAccess(self._config, known.tokens, self._record, self.clock.now)
        self._changes = QueueChanges(
            self._sources, dispatcher=self.dispatcher, switches=self.switches, record=self._record
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._outside.service_manager.keep_watchdog_quiet)
            nursery.start_soon(self.dispatcher.run)
            nursery.start_soon(self._back_up)
            await nursery.start(self.reception.run)
            await nursery.start(recovery.run)
            for switch in self.switches.values():
                switch.reconcile = partial(self._reconcile, recovery)
                switch.on_other_event = partial(self._phones.take, switch)
                switch.on_readiness = partial(self._note_readiness, switch.name)
                self._note_readiness(switch.name, False)
            if self._outside.serve_api is not None:
                # Before the switches: one that cannot be reached must not keep people from their server.
                self.http_port = await nursery.start(
                    self._outside.serve_api,
                    self._house(),
                    self.metrics,
                    self._config.server.control_group,
                )
            self.reception.resume_callbacks()
            for switch in self.switches.values():
                nursery.start_soon(switch.run)
                nursery.start_soon(recovery.watch, switch)
                nursery.start_soon(switch.media.watch, switch, self._queues)
            await self._first_contact()
            await self._take_calls(nursery, task_status)
            nursery.cancel_scope.cancel()

    def _note_readiness(self, switch: str, ready: bool) -> None:
        """Have agents rung only for callers whose switch takes orders."""
        self.dispatcher.act(lambda distributor, now: distributor.set_switch_ready(switch, ready, now))
        calls = sum(session.arrival.switch == switch for session in self.reception.sessions.values())
        self._record(SwitchChange(switch=switch, at=self.clock.now(), is_ready=ready, calls=calls))
        if ready:
            self.switches[switch].media.look_again()

    async def _reconcile(self, recovery: Recovery, switch: Switch) -> None:
        await recovery.reconcile(switch)
        await self._phones.learn(switch)

    def _house(self) -> House:
        """Return what the API may know of us and do to us."""
        return House(
            act=self.dispatcher.act,
            calls=CallControl(self.reception, self.switches),
            now=self.clock.now,
            record=self._record,
            journal=self.journal,
            database=self._config.server.database,
            queues=self._queues,
            switches=lambda: map(_view, self.switches.values()),
            is_serving=lambda: self._is_serving,
            is_stopping=self._stopping.is_set,
            healed_leases=lambda: self.dispatcher.healed_leases,
            access=self.access,
            put_queue=self._changes.put,
            remove_queue=self._changes.remove,
            refuse_queue=lambda name: refuse_queue(self._config, name),
            refuse_agent=lambda name: refuse_agent(self._config, name),
            refuse_tier=lambda queue, agent: refuse_tier(self._config, queue, agent),
        )

    def _staff(self, known: _Roster) -> Distributor:
        """Return a distributor with the queues of the configuration and the agents of both sources.

        What callctl.toml says of an agent or a tier wins over the store, which knows the status.
        """
        distributor, now = Distributor(ids=self._ids, random=self._outside.random), self.clock.now()
        for queue in self._queues.values():
            distributor.put_queue(queue, now)
        for record in known.agents:
            distributor.put_agent(record, now)
        for tier in known.tiers:
            distributor.keep_tier(tier, now)
            if tier.queue not in self._queues:
                log.warning("tier of a queue that is not configured", queue=tier.queue, agent=tier.agent)
        _put_agents(self._config, distributor, now)
        in_store = {record.settings.name: record.settings for record in known.agents}
        for problem in check_agents({**in_store, **self._config.agents}.values()):
            log.warning(problem)
        for talk in known.last_talks:
            distributor.remember_talk(talk.caller_number, talk.agent, talk.ended_at)
        return distributor

    async def reload(self, config: Config) -> None:
        """Take over the queues, agents and tiers of `config`, without touching a call.

        A queue that was away has its tiers again, those of the database too.

        Everything else in it waits for the next start. An agent that callctl.toml names no more stays, as
        does a tier: they may live in the database alone.
        """
        before, self._config = self._config, config
        if _fixed(before) != _fixed(config):
            log.warning("the servers, switches and log of the new configuration count from the next start on")
        self.access.reload(config.http)
        self.reception.default_queue = self._recovery.default_queue = config.server.default_queue
        for problem in check_agents(config.agents.values()):
            log.warning(problem)
        await self._changes.reload(config.queues, partial(_put_agents, config))
        self._reloaded.set()
        log.info("configuration reloaded", queues=len(config.queues), agents=len(config.agents))

    async def _first_contact(self) -> None:
        with trio.move_on_after(FIRST_CONTACT_SECONDS):
            async with trio.open_nursery() as nursery:
                for switch in self.switches.values():
                    nursery.start_soon(switch.wait_ready)
        for switch in self.switches.values():
            if not switch.is_ready:
                log.error("switch not connected yet", switch=switch.name, why=switch.link.last_error)

    async def _back_up(self) -> None:
        """Copy the database as `[backup]` says, also after a reload that changes it."""
        while True:
            settings = self._config.backup
            async with trio.open_nursery() as nursery:
                if settings.folder is not None:
                    nursery.start_soon(self._back_up_into, settings.folder, settings)
                while self._config.backup == settings:
                    self._reloaded = trio.Event()
                    await self._reloaded.wait()
                nursery.cancel_scope.cancel()

    async def _back_up_into(self, folder: Path, settings: BackupSettings) -> None:
        """Copy the database again and again; what fails is tried again at the next time.

        A folder on a disk that hangs must not keep the server from stopping: the thread is left behind.
        """
        every_seconds = settings.every_hours * 3600
        aside = partial(trio.to_thread.run_sync, abandon_on_cancel=True)
        while True:
            try:
                due = await aside(partial(next_due, folder, every_seconds, self.clock.now()))
                await trio.sleep_until(self.clock.deadline(due))
                copy = partial(back_up_into, keep=settings.keep, now=self.clock.now())
                target = await aside(partial(copy, folder, self._config.server.database))
            except StoreError as error:
                log.error("no backup made", why=str(error), again_in_hours=every_seconds / 3600)
                await trio.sleep(every_seconds)
            else:
                log.info("backup made", file=str(target))

    async def _take_calls(self, nursery: trio.Nursery, task_status: trio.TaskStatus[Server]) -> None:
        settings = self._config.server
        async with trio.open_nursery() as door:
            try:
                self.listeners = await door.start(
                    lambda *, task_status: self._outside.serve_outbound(
                        self.reception.receive,
                        host=settings.listen.host,
                        port=settings.listen.port,
                        allow=settings.allow,
                        confirm=self.reception.confirm,
                        ids=self._outside.ids,
                        task_status=task_status,
                    )
                )
            except OSError as error:
                raise settings.listen.refused("server.listen", error) from error
            log.info("serving", listen=str(settings.listen), database=str(settings.database))
            self._outside.service_manager.ready()
            self._is_serving = True
            task_status.started(self)
            await self._stopping.wait()
            self._outside.service_manager.stopping()
            await self._drain()
            with trio.move_on_after(FIRST_CONTACT_SECONDS):
                await self._silence_phones()
            self.dispatcher.close()
            door.cancel_scope.cancel()

    async def _drain(self) -> None:
        """Serve those who are here, up to `drain-timeout`."""
        log.info("stopping", calls=self.calls)
        self.reception.close()
        with trio.move_on_after(self._config.server.drain_timeout):
            await self.reception.wait_empty()

    async def _silence_phones(self) -> None:
        """No agent's phone goes on ringing for a caller whom nobody leads any more."""
        async with trio.open_nursery() as nursery:
            for session in self.reception.sessions.values():
                nursery.start_soon(session.let_go_of_agents)


def _put_agents(config: Config, distributor: Distributor, now: float) -> None:
    for agent in config.agents.values():
        distributor.put_agent(agent, now)
    for tier in config.tiers:
        distributor.put_tier(tier, now)


def _fixed(config: Config) -> tuple[object, ...]:
    """Return what of a configuration counts from a start on."""
    http = config.http
    server = evolve(config.server, default_queue="")
    return server, config.switches, http.listen, http.tls_certificate_file is None, config.log


def _owner(database: Path) -> str:
    """Return a name for the callctl of this database: the same after a restart, another for another one."""
    where = f"{socket.gethostname()}:{database.resolve()}"
    return hashlib.sha256(where.encode()).hexdigest()[:16]


def _view(switch: Switch) -> SwitchView:
    link = switch.link.statistics()
    return SwitchView(
        name=switch.name,
        is_ready=switch.is_ready,
        reconnects=link.reconnects,
        events=link.events,
        last_error=link.last_error,
        media_problems=len(switch.media.problems),
        media_failures={kind.value: count for kind, count in switch.media.failures.items()},
    )


def _read_roster(database: Path, now: float, sources: QueueSources) -> _Roster:
    connection = open_history(database)
    try:
        sources.know(load_queues(connection))
        queues = sources.in_force.values()
        talked_since = now - max((queue.preferred_agent_seconds for queue in queues), default=0.0)
        return _Roster(
            agents=load_agents(connection),
            tiers=load_tiers(connection),
            open_calls=load_open_calls(connection),
            open_offers=load_open_offers(connection),
            let_go=load_let_go(connection, now),
            last_talks=load_last_talks(connection, talked_since, REMEMBERED_CALLERS)
            if talked_since < now
            else [],
            tokens=load_tokens(connection),
        )
    finally:
        connection.close()
