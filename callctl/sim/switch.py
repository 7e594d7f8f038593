"""The switch itself: it holds channels, listeners and people together, and keeps the time and the chance.

Everything in it runs in one nursery, so that its end leaves nothing behind. Catastrophes are its orders: a
crash, a restart, a stall, a lost network.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable

import trio
from attrs import frozen

from callctl.clock import SteadyClock
from callctl.ids import Ids
from callctl.sim.api import uptime
from callctl.sim.applications import APPLICATIONS
from callctl.sim.channel import Channel, Profile
from callctl.sim.dialplan import Dialplan, house_dialplan
from callctl.sim.directory import Directory
from callctl.sim.events import VERSION, EventSource, Identity
from callctl.sim.faults import Faults, Gate
from callctl.sim.inbound import listen_inbound, serve_inbound
from callctl.sim.listener import SHUTDOWN, Listener
from callctl.sim.people import Caller, Endpoint, Loopback, TrunkCaller, run_later
from callctl.sim.session import live

Dial = Callable[[str, int], Awaitable[trio.abc.Stream]]
Observer = Callable[[str, str, float, str], None]
"""Is told a name, a channel's UUID, the time, and the UUID of the caller or partner concerned, or ""."""

DEFAULT_SOUND_SECONDS = 2.0

GIVE_UP_SENDING_SECONDS = 600.0
"""How long FreeSWITCH tries to send to a client that does not read (measured)."""

SHUTDOWN_SECONDS = 20.0
"""How long a shutdown waits for lingering connections; 200 times 100 ms in mod_event_socket.c."""


@frozen
class SwitchStatistics:
    """Counts of what the switch has and had."""

    channels: int
    peak_channels: int
    sessions_since_startup: int
    listeners: int
    events_made: int
    events_told: int


class Switch:
    """A stand-in for one FreeSWITCH server. Make it, then `run` it; calls and clients may come after that."""

    def __init__(
        self,
        *,
        name: str = "fs1",
        password: str = "ClueCon",
        random: random.Random,
        ids: Ids,
        faults: Faults | None = None,
        dial: Dial = trio.open_tcp_stream,
        dialplan: Dialplan | None = None,
        clock: SteadyClock | None = None,
        heartbeat_seconds: float = 20.0,
        tick_seconds: float = 0.02,
        wire_seconds: float = 0.03,
        show_lag_seconds: float = 0.1,
        hold_music: str = "local_stream://moh",
    ) -> None:
        """`random` and `ids` are seeded by whoever wants a run to come out the same.

        `dial` connects the `socket` application. A tick is FreeSWITCH's 20 ms. A signal to or from
        a far end takes `wire_seconds` at most. `show channels` is behind by `show_lag_seconds`, as FreeSWITCH
        keeps that table apart.
        """
        self.name = name
        self.password = password
        self.random = random
        self.ids = ids
        self.faults = faults or Faults()
        self.dialplan = dialplan or house_dialplan()
        self.applications = APPLICATIONS
        self.heartbeat_seconds = heartbeat_seconds
        self.tick_seconds = tick_seconds
        self.longest_wire_seconds = wire_seconds
        self.show_lag_seconds = show_lag_seconds
        self.hold_music = hold_music
        self.clock = clock or SteadyClock()
        self.started_at = self.now()
        self.core_uuid = ids.uuid()
        self.events = EventSource(Identity(name=name, core_uuid=self.core_uuid), self.now)
        self.directory = Directory(self.events, self.later)
        self._dial = dial
        self._channels: dict[str, Channel] = {}
        self._gone: deque[tuple[float, Channel]] = deque()
        self._peak_channels = 0
        self._session_id = 0
        self._observers: list[Observer] = []
        self._sounds: dict[str, float | None] = {}
        self.absent_modules: set[str] = set()
        """Modules that are not loaded; all others are."""
        self.streams: dict[str, str] | None = None
        """The streams of mod_local_stream, by name, with the folder of each; None: any that is asked for."""
        self.phrases: str | None = None
        """The XML of the language `en`; None: it has every phrase."""
        self._core: trio.Nursery | None = None
        self._restart = trio.Event()
        self._down = trio.Event()
        self._up = trio.Event()
        self._network = Gate()
        self._speech = Gate()

    # --- its life -------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; everything inside ends with it. A crash or restart begins it anew."""
        is_first = True
        while True:
            async with trio.open_nursery() as nursery:
                self._core = nursery
                self._down = trio.Event() if self._down.is_set() else self._down
                self._up.set()
                self.started_at = self.now()
                nursery.start_soon(self._beat)
                if is_first:
                    task_status.started()
                    is_first = False
            self._core = None
            await self._restart.wait()
            self.core_uuid = self.ids.uuid()
            self.events.speak_as(Identity(name=self.name, core_uuid=self.core_uuid))

    def _spawn(self, function: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Start a task of the running switch; one that is down starts nothing."""
        if self._core is not None and not self._core.cancel_scope.cancel_called:
            self._core.start_soon(function, *arguments)

    @property
    def is_running(self) -> bool:
        return self._core is not None and not self._core.cancel_scope.cancel_called

    async def wait_down(self) -> None:
        """Wait until the switch that runs is down."""
        await self._down.wait()

    async def wait_running(self) -> None:
        """Wait until the switch runs."""
        await self._up.wait()

    async def _beat(self) -> None:
        while True:
            await trio.sleep(self.heartbeat_seconds)
            numbers = self.statistics()
            self.events.fire(
                "HEARTBEAT",
                None,
                {
                    "Event-Info": "System Ready",
                    "Up-Time": uptime(self),
                    "FreeSWITCH-Version": VERSION,
                    "Uptime-msec": str(int((self.now() - self.started_at) * 1000)),
                    "Session-Count": str(numbers.channels),
                    "Max-Sessions": "20000",
                    "Session-Since-Startup": str(numbers.sessions_since_startup),
                    "Session-Peak-Max": str(numbers.peak_channels),
                },
            )

    def crash(self) -> None:
        """Be gone at once: every channel and connection is cut, and nothing is said. `restart` ends it."""
        self._restart, self._up = trio.Event(), trio.Event()
        self._down.set()
        for listener in self.events.listeners:
            listener.kill(None)
        if self._core is not None:
            self._core.cancel_scope.cancel()
        self._channels.clear()
        self._gone.clear()

    def restart(self) -> None:
        """Come up again after a crash or a shutdown, empty."""
        self._restart.set()

    def shut_down(self) -> None:
        """Hang everybody up, say goodbye to every client, and be gone."""
        self._spawn(self._shut_down)

    async def _shut_down(self) -> None:
        for channel in self.channels():
            channel.hang_up("SYSTEM_SHUTDOWN")
        with trio.move_on_after(SHUTDOWN_SECONDS):
            while self._channels:
                await self.tick()
        await trio.sleep(1.0)  # 1.7 s were recorded between the last channel's end and the goodbye.
        self._end_listeners()
        await trio.sleep(2 * self.tick_seconds)
        self.crash()

    def _end_listeners(self) -> None:
        for listener in self.events.listeners:
            listener.kill(SHUTDOWN)

    def reload_event_socket(self) -> None:
        """Lose every client: what a header block with "reload" and "mod_event_socket" does."""
        self._end_listeners()

    def drop_connections(self) -> None:
        """Cut every client off, without a word; the calls go on."""
        for listener in self.events.listeners:
            listener.kill(None)

    def stall(self) -> None:
        """Say nothing more on Event Socket, until `go_on`."""
        self._speech.close()

    def go_on(self) -> None:
        """End a stall: what had to wait is said now."""
        self._speech.open()

    def freeze_for(self, listener: Listener) -> None:
        """Say nothing to anybody until this connection is through with its goodbye, or is given up."""
        self.stall()
        self._spawn(self._thaw, listener)

    async def _thaw(self, listener: Listener) -> None:
        with trio.move_on_after(GIVE_UP_SENDING_SECONDS):
            await listener.finished.wait()
        listener.kill(None)
        self.go_on()

    def lose_network(self) -> None:
        """Neither hear nor reach anybody, until `find_network`; connections stay, for TCP tries again."""
        self._network.close()

    def find_network(self) -> None:
        """End the loss of the network."""
        self._network.open()

    async def is_speaking(self) -> None:
        """Return once the switch is not stalled."""
        await self._speech.passed()

    async def network_is_up(self) -> None:
        """Return once there is a network."""
        await self._network.passed()

    # --- who is there -------------------------------------------------------------------------

    def channels(self) -> list[Channel]:
        """Return the live channels, oldest first."""
        return [channel for channel in self._channels.values() if channel.is_up]

    def listed_channels(self) -> list[Channel]:
        """Return what `show channels` knows, which is a little behind both when a channel comes and goes."""
        then = self.now() - self.show_lag_seconds
        while self._gone and self._gone[0][0] <= then:
            self._gone.popleft()
        known = [channel for _, channel in self._gone] + list(self._channels.values())
        return [channel for channel in known if channel.times.created <= then]

    def locate(self, uuid: str) -> Channel | None:
        """Return the live channel of this UUID, or None."""
        channel = self._channels.get(uuid)
        return channel if channel is not None and channel.is_up else None

    def is_known(self, uuid: str) -> bool:
        """Say whether a UUID is still in use, be it by a channel that is just ending."""
        return uuid in self._channels

    def statistics(self) -> SwitchStatistics:
        """Return counts for tests and load generators."""
        return SwitchStatistics(
            len(self._channels),
            self._peak_channels,
            self._session_id,
            len(self.events.listeners),
            self.events.counts.made,
            self.events.counts.told,
        )

    def add_endpoint(self, dialstring: str, behaviour: Endpoint | Callable[[], Endpoint]) -> None:
        """Say what the phone at this contact does; a function is asked anew for each ring."""
        self.directory.add(dialstring, behaviour)

    def place_call(self, caller: Caller) -> str:
        """Let a call come in over the trunk; returns the UUID of its channel."""
        channel = self._inbound_channel(caller.destination, caller.name, caller.number)
        channel.variables.update(caller.variables)
        channel.far = TrunkCaller(channel, caller)
        self.start(channel)
        self.observe("call-placed", channel)
        return channel.uuid

    def call_in(self, destination: str, sip_profile: str, originator: Channel) -> Channel:
        """Let a leg of this switch arrive as a call in its dialplan, as in the recordings."""
        profile = originator.profile
        channel = self._inbound_channel(
            destination, profile.caller_id_name, profile.caller_id_number, sip_profile
        )
        channel.far = Loopback(channel, other=originator)
        self.start(channel)
        return channel

    def _inbound_channel(
        self, destination: str, name: str, number: str, sip_profile: str = "external"
    ) -> Channel:
        profile = Profile(
            caller_id_name=name or number, caller_id_number=number, destination=destination, context="public"
        )
        channel = Channel(
            self,
            uuid=self.ids.uuid(),
            name=f"sofia/{sip_profile}/{number}@127.0.0.1",
            is_outbound=False,
            profile=profile,
        )
        channel.variables["sip_req_user"] = destination
        return channel

    def start(self, channel: Channel) -> None:
        """Put a channel into the table, and let it live."""
        self._channels[channel.uuid] = channel
        self._peak_channels = max(self._peak_channels, len(self._channels))
        self._spawn(live, channel)

    def forget(self, channel: Channel) -> None:
        """Take a channel out of the table."""
        if self._channels.pop(channel.uuid, None) is not None:
            self._gone.append((self.now(), channel))

    def next_session_id(self) -> int:
        self._session_id += 1
        return self._session_id

    # --- what others need of it ---------------------------------------------------------------

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self.clock.now()

    def tick_length(self) -> float:
        """Return how long it takes this time until FreeSWITCH looks: at most a tick, in seconds."""
        return self.random.uniform(0.0, self.tick_seconds)

    async def tick(self) -> None:
        """Wait until FreeSWITCH looks again."""
        await trio.sleep(self.tick_length())

    def wire_seconds(self) -> float:
        """Return how long a signal to or from a far end takes this time."""
        return self.random.uniform(0.0, self.longest_wire_seconds)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in a while; a switch that is gone by then does nothing."""
        self._spawn(run_later, seconds, action)

    def start_job(self, job: Callable[[], Awaitable[None]]) -> None:
        """Run a background job."""
        self._spawn(job)

    def serve(self, listener: Listener) -> None:
        """Serve an outbound connection."""
        listener.enlist()
        self._spawn(listener.run)

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        """Connect to a controller; raises OSError where nobody listens."""
        await self.network_is_up()
        return await self._dial(host, port)

    async def serve_inbound(self, stream: trio.abc.Stream) -> None:
        """Serve one client's connection to its end; a switch that is down hangs up at once."""
        if not self.is_running:
            await trio.aclose_forcefully(stream)
            return
        await serve_inbound(self, stream)

    async def listen_inbound(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept clients on real TCP; reports the port."""
        await listen_inbound(self, host, port, task_status=task_status)

    def has_stream(self, name: str) -> bool:
        """Say whether a stream plays: mod_local_stream takes its `default` for one that it does not know."""
        return "mod_local_stream" not in self.absent_modules and (
            self.streams is None or name in self.streams or "default" in self.streams
        )

    def has_phrase(self, name: str) -> bool:
        """Say whether a macro of this name is there."""
        return self.phrases is None or f'name="{name}"' in self.phrases

    def sound_seconds(self, path: str) -> float | None:
        """Return how long a file is, or None where there is none."""
        if path in self._sounds:
            return self._sounds[path]
        return None if path.startswith("/no/such/") else DEFAULT_SOUND_SECONDS

    def add_sound(self, path: str, seconds: float | None) -> None:
        """Say how long a file is; None: it does not exist."""
        self._sounds[path] = seconds

    def on_observed(self, observer: Observer) -> None:
        """Tell `observer` what happens: names such as `call-placed`, `leg-ringing`, `bridged`, `hung-up`."""
        self._observers.append(observer)

    def observe(self, name: str, channel: Channel, other_uuid: str = "") -> None:
        """Tell the observers that something of this name happened to a channel."""
        if self._observers:
            other = other_uuid or channel.variable("cc_member_uuid")
            for observer in list(self._observers):
                observer(name, channel.uuid, self.now(), other)
