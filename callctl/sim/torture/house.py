"""callctl in the simulation: the real server, through all its lives on one database file.

It is killed as `kill -9` kills: its wires are cut, what was not written is lost, and nothing of it runs on.
Something like systemd starts it again after a while.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

import trio

from callctl.clock import SteadyClock
from callctl.config import Config
from callctl.errors import StoreError
from callctl.esl.outbound import CallSocket, OutboundListener
from callctl.ids import Ids
from callctl.model import CallEvent, Fact
from callctl.server import Server, Surroundings
from callctl.sim.switch import Switch
from callctl.sim.torture.disk import Disk, MortalWriter
from callctl.sim.torture.timeline import Timeline
from callctl.sim.torture.wires import Network
from callctl.store.journal import Journal

RESTART_SECONDS = 1.0
"""How soon callctl is started again when its database could not be used."""


class _ToldJournal(Journal):
    """A journal whose lines about calls stand in the timeline as well."""

    timeline: Timeline

    def record(self, *facts: Fact) -> None:
        """Take facts, as every journal does."""
        for fact in facts:
            if isinstance(fact, CallEvent):
                self.timeline.add(fact.at, "callctl", f"{fact.call}: {fact.event} {fact.detail}", fact.call)
        super().record(*facts)


class House:
    """The one callctl of an hour. `run` keeps it alive; everything else is done to it."""

    def __init__(
        self,
        config: Config,
        *,
        switches: dict[str, Switch],
        network: Network,
        disk: Disk,
        timeline: Timeline,
        clock: SteadyClock,
        chance: Random,
    ) -> None:
        """`switches` are known by their host, which is their name."""
        self.server: Server | None = None
        """The server that takes calls, or None while there is none."""
        self.lives = self.kills = self.stops = 0
        self.faults: list[str] = []
        """What ended callctl that should not have."""
        self.begun_at: list[float] = []
        """When each life began."""
        self.on_start: list[Callable[[Server], None]] = []
        self.on_end: list[Callable[[Server], None]] = []
        self._config = config
        self._switches = switches
        self._network = network
        self._disk = disk
        self._timeline = timeline
        self._clock = clock
        # By itself it would take its name from the folder, which is another one in each run.
        self._ids = Ids(chance, owner="0123456789abcdef")
        self._chance = chance
        self._scope: trio.CancelScope | None = None
        self._writer: MortalWriter | None = None
        self._accept: Callable[[trio.abc.Stream], None] | None = None
        self._wires: trio.Nursery | None = None
        self._down_seconds = 0.0
        self._is_killed = False
        self._may_live = True
        self.retired = trio.Event()
        """Is set when callctl has ended for good."""

    # --- its lives ---

    async def run(self) -> None:
        """Live again and again, until `retire`."""
        async with trio.open_nursery() as self._wires:
            while self._may_live:
                self.lives += 1
                self._is_killed, self._down_seconds = False, RESTART_SECONDS
                await self._live()
                await trio.sleep(self._down_seconds)
            self.retired.set()
            self._wires.cancel_scope.cancel()

    async def _live(self) -> None:
        self._writer = MortalWriter(self._disk)
        server = Server(
            self._config,
            Surroundings(
                ids=self._ids,
                random=self._chance,
                make_clock=lambda: SteadyClock(self._clock.now()),
                make_journal=self._journal,
                open_stream=self._open_stream,
                serve_outbound=self._serve_outbound,
                serve_api=None,
            ),
        )
        self._say("starts")
        self.begun_at.append(self._clock.now())
        try:
            with trio.CancelScope() as self._scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(server.run)
                    self.server = server
                    self._say("serves")
                    for hook in self.on_start:
                        hook(server)
        except* StoreError as group:
            self._say(f"cannot use its database: {group.exceptions[0]}")
            if self._disk.is_sound:
                self.faults.append(f"callctl ended: {group.exceptions[0]}")
        except* Exception as group:
            # A killed process has no last words: what its tasks say when they are cancelled never was.
            if not self._is_killed:
                raise
            self._say(f"would have said, had it not been killed: {group!r}")
        finally:
            self.server = self._scope = self._accept = None
            self._network.cut_all()
        self._say("is gone")

    def _journal(self, _path: object, clock: SteadyClock) -> Journal:
        journal = _ToldJournal(
            self._disk.database, clock=clock, busy_seconds=0.0, in_thread=False, writer=self._writer
        )
        journal.timeline = self._timeline
        return journal

    def _say(self, what: str) -> None:
        self._timeline.add(self._clock.now(), "callctl", what)

    # --- what is done to it ---

    def kill(self, down_seconds: float) -> None:
        """Be gone in this instant, and come back in `down_seconds`."""
        if self._scope is None or self._is_killed:
            return
        self.kills += 1
        self._say("KILLED")
        self._is_killed, self._down_seconds = True, down_seconds
        assert self._writer is not None, "a life begins with its writer"
        self._writer.die()
        self._network.cut_all()
        self._accept = None
        self._end()
        self._scope.cancel()

    @property
    def is_starting(self) -> bool:
        """Say whether callctl is alive, but does not take calls yet or any more."""
        return self.server is None and self._scope is not None and not self._is_killed

    def kill_at_send(self, number: int, kill: Callable[[], None] | None) -> None:
        """Have `kill` called in the midst of the send of this number from now; None: not any more."""
        self._network.kill_at_send(number, kill)

    def stop(self, down_seconds: float) -> None:
        """Ask callctl to stop, as SIGTERM does; it comes back `down_seconds` after its end."""
        if self.server is not None and not self.server.is_stopping:
            self.stops += 1
            self._say("is asked to stop")
            self._down_seconds = down_seconds
            self.server.stop()
            self._end()

    def retire(self) -> None:
        """Stop, and come back no more."""
        self._may_live = False
        self.stop(0.0)

    def _end(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            for hook in self.on_end:
                hook(server)

    # --- its wires ---

    async def dial(self, _host: str, _port: int) -> trio.abc.Stream:
        """Connect a caller's socket to callctl; raises OSError where nobody listens."""
        if self._accept is None:
            raise OSError("nobody listens")
        ours, theirs = self._network.connect()
        self._accept(ours)
        return theirs

    async def _serve_outbound(
        self,
        handler: Callable[[CallSocket], Awaitable[None]],
        *,
        host: str,
        port: int,
        allow: tuple[str, ...],
        confirm: Callable[[CallSocket], Awaitable[bool]],
        ids: Ids,
        task_status: trio.TaskStatus[list[trio.SocketListener]],
    ) -> None:
        listener = OutboundListener(handler, allow=allow, confirm=confirm, ids=ids)
        async with trio.open_nursery() as nursery:
            self._accept = lambda stream: nursery.start_soon(listener.serve_stream, stream, host)
            task_status.started([])
            await trio.sleep_forever()

    async def _open_stream(self, host: str, _port: int) -> trio.abc.Stream:
        switch = self._switches[host]
        await switch.network_is_up()
        if not switch.is_running:
            raise ConnectionRefusedError("connection refused")
        ours, theirs = self._network.connect()
        assert self._wires is not None, "callctl lives in run()"
        self._wires.start_soon(switch.serve_inbound, theirs)
        return ours
