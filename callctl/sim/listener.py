"""One Event Socket connection, seen from the switch: its commands in, its replies and events out.

It follows mod_event_socket.c: one loop reads a command, answers it, and in between delivers the events that
were queued. So nothing else is delivered while a command is half sent or an `api` call runs.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

import trio

from callctl.errors import RemoteProtocolError
from callctl.esl.wire import (
    CommandDecoder,
    CommandMessage,
    encode_event_json,
    encode_event_plain,
    encode_message,
)
from callctl.sim.channel import Channel, State
from callctl.sim.commands import answer_command
from callctl.sim.events import ANY

if TYPE_CHECKING:
    from callctl.sim.events import EventFields
    from callctl.sim.switch import Switch

MAX_QUEUED_EVENTS = 100_000
"""MAX_QUEUE_LEN: what FreeSWITCH queues for one connection."""

MAX_LOST_EVENTS = 500
"""MAX_MISSED: after so many that found the queue full, FreeSWITCH closes the connection."""

FIRST_LINE_SECONDS = 25.0
"""How long FreeSWITCH waits for the first command."""

MAX_QUEUED_COMMANDS = 64
"""How many commands are read ahead; what comes after them waits in the stream, as with FreeSWITCH."""

EVENTS_IN_ONE_WRITE = 64
"""So many events at most leave together, so that a command is answered in between."""

GOODBYE = b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
SHUTDOWN = b"The system is being shut down.\n"
ACCESS_DENIED = b"Access Denied, go away.\n"


def _any_case(fields: EventFields, name: str) -> str | list[str] | None:
    """Return a field by its name in any case, as FreeSWITCH looks for it."""
    if name in fields:
        return fields[name]
    wanted = name.lower()
    return next((value for key, value in fields.items() if key.lower() == wanted), None)


def _matches(pattern: str, text: str) -> bool:
    """Compare a header with a filter: a pattern in slashes is a regular expression."""
    if pattern.startswith("/"):
        expression, _, flags = pattern[1:].rpartition("/")
        return re.search(expression, text, re.IGNORECASE if "i" in flags else 0) is not None
    return text.lower() == pattern.lower()


class Listener:
    """An Event Socket connection. With a `channel` it is an outbound one, and controls that channel."""

    def __init__(
        self,
        switch: Switch,
        stream: trio.abc.Stream,
        channel: Channel | None = None,
        *,
        is_async: bool = True,
        is_full: bool = True,
    ) -> None:
        self.switch = switch
        self.channel = channel
        self.is_async = is_async
        self.is_full = is_full
        self.is_outbound = channel is not None
        self.is_authenticated = channel is not None
        self.is_connected = False
        self.is_running = True
        self.event_names: set[str] = set()
        self.subclasses: set[str] = set()
        self.format = "plain"
        self.filters: list[tuple[str, str]] = []
        self.only_uuid: str | None = None
        self.has_resume_flag = False
        """The command `resume` was given: it cannot be taken back."""
        self.linger_seconds: float | None = None
        """None: do not linger; infinite: until the client closes."""
        self.finished = trio.Event()
        self._stream = stream
        self._decoder = CommandDecoder()
        self._commands: deque[CommandMessage] = deque()
        self._events: deque[EventFields] = deque()
        self._lost_events = 0
        self._is_lingering = False
        self._linger_until = 0.0
        self._end_of_stream = False
        self._goodbye: bytes | None = GOODBYE
        self._cut = trio.CancelScope()
        self._wake = trio.Event()
        self._data = trio.Event()
        self._room = trio.Event()

    def resumes(self, channel: Channel) -> bool:
        """Whether the channel is to go on in its dialplan when this connection is lost."""
        return self.has_resume_flag or channel.is_true("socket_resume")

    # --- what events it wants --------------------------------------------------------------------

    def enlist(self) -> None:
        """Get into the switch's table of listeners, under the one channel if it is only one."""
        plain = [value for name, value in self.filters if name.lower() == "unique-id"]
        is_one = len(plain) == len(self.filters) == 1 and not plain[0].startswith(("/", "+", "-", " "))
        self.switch.events.enlist(self, self.only_uuid or (plain[0] if is_one else ANY))

    def wants(self, name: str, subclass: str = "") -> bool:
        """Say whether this connection asked for events of a name."""
        if "ALL" in self.event_names:
            return True
        return name in self.event_names and (name != "CUSTOM" or subclass in self.subclasses)

    def take_event(self, name: str, fields: EventFields) -> bool:
        """Queue an event, unless a filter or a fault keeps it away; say whether it was queued."""
        if not self._passes_filters(fields):
            return False
        if self.only_uuid is not None and self.only_uuid not in (
            fields.get("Unique-ID"),
            fields.get("Job-Owner-UUID"),
        ):
            return False
        switch, faults = self.switch, self.switch.faults
        chance = faults.lost_jobs if name == "BACKGROUND_JOB" else faults.lost_events
        if chance and switch.random.random() < chance:
            return False
        if faults.late_events and switch.random.random() < faults.late_events:
            switch.later(switch.random.uniform(0, faults.late_seconds), lambda: self._queue(fields))
        else:
            self._queue(fields)
        return True

    def _passes_filters(self, fields: EventFields) -> bool:
        """Say whether one filter matches, and none that is negative (event_handler in mod_event_socket.c)."""
        if not self.filters:
            return True
        passes = False
        for name, pattern in self.filters:
            value = fields.get(name) or _any_case(fields, name)
            if value is None:
                continue
            wanted = pattern.lstrip("+- ")
            if _matches(wanted, value if isinstance(value, str) else value[0]):
                if "-" in pattern[: len(pattern) - len(wanted)]:
                    return False
                passes = True
        return passes

    def _queue(self, fields: EventFields) -> None:
        if not self.is_running:
            return
        if len(self._events) >= MAX_QUEUED_EVENTS:
            self._lost_events += 1
            if self._lost_events == MAX_LOST_EVENTS + 1:
                # FreeSWITCH says goodbye while it holds the lock of all connections, and whoever does not
                # read makes that take until the send is given up.
                self.kill(b"killed listener because of lost events\n")
                self.switch.freeze_for(self)
            return
        self._events.append(fields)
        self.wake()

    # --- its life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the connection to its end. Cancellation cuts the stream without a word."""
        try:
            with self._cut:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    try:
                        await self._serve()
                        self._let_go_of_channel()
                        await self._say_goodbye()
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        pass  # The client is gone: nobody is left to tell.
                    nursery.cancel_scope.cancel()
        finally:
            self._let_go_of_channel()
            self.switch.events.dismiss(self)
            self.finished.set()
            if self.channel is not None:
                self.channel.wake()
            await trio.aclose_forcefully(self._stream)

    def wake(self) -> None:
        """Make the loop look at what has changed."""
        self._wake.set()

    def stop(self) -> None:
        """End the connection in order: what is queued is not delivered any more."""
        self.is_running = False
        self.wake()

    def kill(self, message: bytes | None) -> None:
        """End the connection with this message as its last; None cuts it at once, without a word."""
        self._goodbye = message
        self.stop()
        if message is None:
            self._cut.cancel()

    async def _read(self) -> None:
        """Take in what the client sends, as far as there is room."""
        try:
            while True:
                data = await self._stream.receive_some(65536)
                await self.switch.network_is_up()
                if not data:
                    break
                self._decoder.receive_data(data)
                while (command := self._decoder.next_command()) is not None:
                    self._commands.append(command)
                self._data.set()
                self.wake()
                while len(self._commands) > MAX_QUEUED_COMMANDS:
                    self._room = trio.Event()
                    await self._room.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError):
            pass  # However it ended, the connection is over for the switch.
        self._end_of_stream = True
        self._data.set()
        self.wake()

    async def _serve(self) -> None:
        if self.channel is None and not await self._let_in():
            return
        if not await self._first_command():
            return
        while self.is_running:
            await self.switch.is_speaking()
            if self._commands:
                await self._answer(self._commands.popleft())
                continue
            if self._end_of_stream:
                return
            if self._decoder.buffered_bytes == 0 and self._events:
                await self._deliver()
                continue
            if self._is_lingering and trio.current_time() >= self._linger_until:
                return
            if self._channel_is_down() and not await self._begin_to_linger():
                return
            await self._wait()

    async def _let_in(self) -> bool:
        await self.switch.is_speaking()
        if self.switch.faults.refuse_by_acl:
            self._goodbye = None
            await self.send(encode_message({"Content-Type": "text/rude-rejection"}, ACCESS_DENIED))
            return False
        await self.send(encode_message({"Content-Type": "auth/request"}))
        return True

    async def _first_command(self) -> bool:
        """Wait for the first command; on an outbound connection its reply is swallowed."""
        with trio.move_on_after(FIRST_LINE_SECONDS):
            while not self._commands:
                if self._end_of_stream or not self.is_running or self._channel_is_down():
                    return False
                await self._wait()
            await self._answer(self._commands.popleft(), is_swallowed=self.is_outbound)
            return True
        return False

    async def _wait(self) -> None:
        """Sleep until a command comes; an event or a hangup is seen within a tick (a poll of 20 ms)."""
        deadline = self._linger_until if self._is_lingering else float("inf")
        with trio.move_on_at(deadline):
            await self._wake.wait()
            with trio.move_on_after(self.switch.tick_length()):
                await self._data.wait()
        self._wake = trio.Event()
        self._data = trio.Event()

    def _channel_is_down(self) -> bool:
        return self.channel is not None and not self.channel.is_up and not self._is_lingering

    async def _begin_to_linger(self) -> bool:
        """The channel hung up: stay for a while if the client wished so."""
        if self.linger_seconds is None or self.channel is None:
            return False
        self._is_lingering = True
        self._linger_until = trio.current_time() + self.linger_seconds
        shown = -1 if self.linger_seconds == float("inf") else int(self.linger_seconds)
        await self.send(
            encode_message(
                {
                    "Content-Type": "text/disconnect-notice",
                    "Controlled-Session-UUID": self.channel.uuid,
                    "Content-Disposition": "linger",
                    "Channel-Name": self.channel.name,
                    "Linger-Time": str(shown),
                    "Content-Length": "0",
                }
            )
        )
        return True

    async def _answer(self, command: CommandMessage, *, is_swallowed: bool = False) -> None:
        self._room.set()
        faults = self.switch.faults
        if faults.broken_connections and self.switch.random.random() < faults.broken_connections:
            self.kill(None)
            return
        answer = await answer_command(self, command)
        if answer.ends_connection:
            self.is_running = False
        if (answer.data and not is_swallowed) or answer.is_never_swallowed:
            await self.send(answer.data)

    async def _deliver(self) -> None:
        encode = encode_event_json if self.format == "json" else encode_event_plain
        chunk = bytearray()
        for _ in range(min(len(self._events), EVENTS_IN_ONE_WRITE)):
            chunk += encode(self._events.popleft())
        await self.send(bytes(chunk))

    async def send(self, data: bytes) -> None:
        """Write to the client, in order."""
        await self.switch.network_is_up()
        if not self.switch.faults.one_byte_at_a_time:
            await self._stream.send_all(data)
            return
        for index in range(len(data)):
            await self._stream.send_all(data[index : index + 1])

    async def _say_goodbye(self) -> None:
        if self._goodbye is None or self._end_of_stream:
            return
        headers = {"Content-Type": "text/disconnect-notice"}
        if self.channel is not None:
            headers |= {
                "Controlled-Session-UUID": self.channel.uuid,
                "Content-Disposition": "disconnect",
            }
        await self.send(encode_message(headers, self._goodbye))

    def _let_go_of_channel(self) -> None:
        """Hear no more; a channel that is to resume is broken off now (CS_RESET)."""
        self.is_running = False
        self._events.clear()
        channel = self.channel
        if channel is None or self not in channel.listeners:
            return
        channel.listeners.remove(self)
        channel.is_controlled = False
        if channel.state is not State.HIBERNATE and not channel.is_moving and self.resumes(channel):
            channel.set_state(State.RESET)
        channel.wake()
