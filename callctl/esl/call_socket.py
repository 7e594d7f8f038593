"""The socket of one call: its data, its events, its applications, and how each wait on them ends.

A wait for an application ends with its completion, with the hangup, with FreeSWITCH's notice, with the end
of the stream, or at the caller's deadline, each by its own exception. Completion alone may never come.
"""

from __future__ import annotations

import math
import socket
from collections import deque
from collections.abc import Callable
from copy import copy
from typing import ClassVar

import structlog
import trio
from attrs import frozen

from callctl.errors import (
    ChannelGone,
    CommandRefused,
    ConnectionLost,
    Disconnected,
    EslError,
    RemoteProtocolError,
    ReplyTimeout,
    WaitEnded,
)
from callctl.esl import commands
from callctl.esl.connection import (
    REPLY_SECONDS,
    Connection,
    ConnectionStatistics,
    Outcome,
    PendingReply,
    Reply,
)
from callctl.esl.wire import Event, Message, event_of
from callctl.ids import Ids
from callctl.refusals import Refusal, Refusals

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 1024 * 1024
"""The largest body on a call's socket: an event, which is 5 kB, or 17 kB at most in all recordings."""

PARKED_SECONDS = 0.5
"""How long after `connect` FreeSWITCH may take to park the channel. It looks every few milliseconds whether
we have connected, and a socket that has ended by then leaves the channel parked for ever, in silence: the end
of the listener clears CF_CONTROLLED, and switch_ivr_park sets it again (socket_function in
mod_event_socket.c). With `socket_resume` the channel goes on all the same."""

SUCCESSOR_SECONDS = 0.5
"""How long a socket that its channel has left stays open for the next one of that channel to come: it comes
within 30 ms of a transfer, and may end this one in a moment that is safe for sure; see `bow_out`."""

BOW_OUT_SECONDS = 2.0
"""How long FreeSWITCH may take to end a socket that bows out; 1 ms is usual."""

MAX_WAITING_EVENTS = 512
"""How many events of one call may wait for its session: ten times those of a call with all its events."""


@frozen
class ChannelEnded:
    """FreeSWITCH's notice that the channel is over: `linger`, more events follow; `disconnect`, none do."""

    LINGER: ClassVar[str] = "linger"

    disposition: str


CallItem = Event | ChannelEnded


class _Execution:
    """An application under way."""

    def __init__(self) -> None:
        self.settled = trio.Event()
        self.outcome: Event | WaitEnded | None = None

    def settle(self, outcome: Event | WaitEnded) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self.settled.set()


class CallEvents:
    """What happens on a call's socket, for one who takes it: by `async for`, or at once by a listener.

    It ends with the socket, after all that came before.
    """

    def __init__(self) -> None:
        self._waiting: deque[CallItem] = deque()
        self._listener: Callable[[CallItem | None], None] | None = None
        self._came: trio.Event | None = None
        self._has_ended = False

    def hear(self, listener: Callable[[CallItem | None], None]) -> None:
        """From now on hand everything to `listener` at once, beginning with what waits; None is the end."""
        self._listener = listener
        while self._waiting:
            listener(self._waiting.popleft())
        if self._has_ended:
            listener(None)

    def hear_no_more(self) -> None:
        """Keep what comes from now on for the next one who takes it."""
        self._listener = None

    def put(self, item: CallItem) -> bool:
        """Hand on what has come; return whether there is still room for it."""
        if self._listener is not None:
            self._listener(item)
            return True
        if len(self._waiting) >= MAX_WAITING_EVENTS:
            return False
        self._waiting.append(item)
        self._wake()
        return True

    def end(self) -> None:
        """Nothing comes any more."""
        self._has_ended = True
        if self._listener is not None:
            self._listener(None)
        self._wake()

    def _wake(self) -> None:
        if self._came is not None:
            self._came.set()

    def __aiter__(self) -> CallEvents:
        return self

    async def __anext__(self) -> CallItem:
        """Return what comes next. A cancellation loses nothing."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._waiting:
            if self._has_ended:
                raise StopAsyncIteration
            self._came = trio.Event()
            await self._came.wait()
        return self._waiting.popleft()


class CallSocket:
    """The socket of one call: its data, its events, and the way to give its channel orders.

    `events` ends when the connection ends. If nobody takes the events and too many wait, the connection is
    closed, as a reader that stalls would freeze FreeSWITCH.
    """

    def __init__(self, stream: trio.abc.Stream | socket.socket, *, peer: str, ids: Ids) -> None:
        """`peer` is the address that the stream came from; `ids` makes the UUIDs of applications.

        `connect` begins its life: over a socket of TCP with `open`, over another stream beside `run`.
        """
        self.data = Event("", {})
        """What the reply to `connect` told of the call; empty before `connect`."""
        self.uuid = ""
        """The caller's channel."""
        self.peer = peer
        self.accepted_at = trio.current_time()
        """When it was accepted, on Trio's clock."""
        self.awaits_proof = False
        """Whether it is still to be shown that it controls the channel that it names."""
        self.on_led: Callable[[], None] | None = None
        """Is called once by `tell_led`."""
        self.events = CallEvents()
        """What happens to the channel."""
        self._ids = ids
        self._connection = Connection(
            stream,
            on_event=self._take_event,
            on_notice=self._take_notice,
            on_end=self._take_end,
            name=f"call from {peer}",
            max_body_bytes=MAX_BODY_BYTES,
        )
        self._executing: dict[str, _Execution] = {}
        self._over: WaitEnded | None = None
        self._ended = trio.Event()
        self.may_be_broken_off = False
        """Whether an older socket of the channel may still end, and break off what this one leads."""
        self._was_left = self._bows_out = self._gave_up_bow = False
        self._first_sequence = 0
        self._connected_at = -math.inf

    @property
    def is_over(self) -> bool:
        """Say whether the channel has hung up, or the socket has ended."""
        return self._over is not None

    async def wait_over(self) -> None:
        """Return when the channel has hung up, or the socket has ended."""
        await self._ended.wait()

    @property
    def was_left(self) -> bool:
        """Say whether the channel is known to have left this socket's application, for something else."""
        return self._was_left

    @property
    def bows_out(self) -> bool:
        """Say whether this socket's end was ordered by `bow_out`, and changes nothing for its channel."""
        return self._bows_out

    @property
    def has_bowed_out(self) -> bool:
        """Say whether FreeSWITCH has ended this socket, by `bow_out` or before it."""
        return self._over is not None and not self._gave_up_bow

    async def run(self) -> None:
        """Read and write until the connection ends; then the events end, and every wait."""
        await self._connection.run()

    def open(self) -> None:
        """Read and write from now on without a task, over TCP."""
        self._connection.open()

    def connect(self, linger_seconds: int, then: Callable[[EslError | None], None]) -> None:
        """Take the call over, and call `then` when `data` is filled. Must be the first that is sent.

        `then` is told why it could not be: RemoteProtocolError for what is no call that can be led,
        CommandRefused, and ConnectionLost or Disconnected when the caller is gone already. There is no
        deadline; it is called when the connection ends, at the latest.
        """

        # Both at once: a caller may hang up at any time, and without linger the last events would be lost.
        first, _ = self.post(commands.connect(), commands.linger(linger_seconds))
        first.then(lambda outcome: then(self._take_over(outcome)))

    def _take_over(self, outcome: Outcome) -> EslError | None:
        if isinstance(outcome, WaitEnded):
            ended = self._connection.ended
            return ended if isinstance(ended, RemoteProtocolError) else outcome
        if not outcome.ok:
            return CommandRefused(outcome.command, outcome.text)
        self._connected_at = trio.current_time()
        try:
            data = event_of(outcome.message)
        except RemoteProtocolError as error:
            return error
        mode, control = data.get("Socket-Mode"), data.get("Control")
        if (mode, control) != ("async", "full"):
            return RemoteProtocolError(
                f"the dialplan must say `socket host:port async full`, but this call has "
                f"Socket-Mode {mode!r} and Control {control!r}"
            )
        self.data, self.uuid = data, data.uuid
        self._first_sequence = data.sequence
        return None

    def tell_led(self) -> None:
        """Say that this call has its place, so that those who came after it may get theirs."""
        on_led, self.on_led = self.on_led, None
        if on_led is not None:
            on_led()

    def keep(self, *headers: str) -> None:
        """Forget all of `data` but these headers and the channel's UUID: the whole takes 10 kB of memory."""
        found = {name: self.data.headers.get(name, "") for name in ("Unique-ID", *headers)}
        self.data = Event(self.data.name, {name: value for name, value in found.items() if value})

    def post(self, *orders: commands.Command) -> list[PendingReply]:
        """Send commands in one write, and return the slots of their replies.

        Raises ConnectionLost, Disconnected or OutboxFull; then nothing was sent.
        """
        return self._connection.post(*orders)

    async def request(self, order: commands.Command, timeout_seconds: float = REPLY_SECONDS) -> Reply:
        """Send one command and return its reply; raises as `post` does, and ReplyTimeout."""
        return await self._connection.request(order, timeout_seconds)

    def follow(self, *event_names: str) -> list[PendingReply]:
        """Ask for these events of this channel alone; returns the slots of the two replies.

        On an outbound connection too `event` means every channel's events, unless a filter is there first
        (event_handler in mod_event_socket.c), so the filter goes ahead in the same write.
        """
        return self.post(commands.filter_events("Unique-ID", self.uuid), commands.subscribe(event_names))

    async def execute(
        self, app: str, arg: str = "", *, timeout_seconds: float = math.inf, expand: bool = False
    ) -> Event:
        """Run an application, wait for its end, and return CHANNEL_EXECUTE_COMPLETE.

        That event must have been asked for. Raises ChannelGone when the channel hangs up before, Disconnected
        or ConnectionLost when the socket ends, ReplyTimeout after `timeout_seconds`. After a cancellation the
        application goes on in FreeSWITCH.
        """
        if self._over is not None:
            raise copy(self._over)
        event_uuid = self._ids.uuid()
        execution = self._executing[event_uuid] = _Execution()
        order = commands.execute(app, arg, event_uuid=event_uuid, expand=expand)
        try:
            self.post(order)
            with trio.move_on_after(timeout_seconds):
                await execution.settled.wait()
        finally:
            del self._executing[event_uuid]
        if execution.outcome is None:
            raise ReplyTimeout(f"{order.label!r} did not end within {timeout_seconds:g} s")
        if isinstance(execution.outcome, WaitEnded):
            raise copy(execution.outcome)
        return execution.outcome

    def statistics(self) -> ConnectionStatistics:
        """Return what the connection has done so far, and what it holds now."""
        return self._connection.statistics()

    def close(self) -> None:
        """Close the socket at once. What becomes of the caller depends on `socket_resume`."""
        self._connection.close()

    def give_up(self, why: WaitEnded) -> None:
        """Close the socket, and end every wait with `why`."""
        self._connection.give_up(why)

    async def bow_out(self) -> None:
        """End a socket that its channel has left, so that nothing which the channel does now is broken off.

        When a socket ends, FreeSWITCH looks at the channel's `socket_resume` of that moment, whichever visit
        has set it (listener_run in mod_event_socket.c): with true it resets the channel. So the variable is
        unset on this very socket, which works without the inbound connection, right before the end, and is
        false afterwards: a next visit sets it anew. Nobody else may set it meanwhile, as a dialplan on its
        way to the next socket does; `leave` waits until that is unlikely, a next visit until this has ended.

        A cancellation closes the socket at once.
        """
        if self._over is not None:
            return
        self._bows_out = True
        try:
            self.post(self._no_resume(), commands.exit_())
            with trio.move_on_after(BOW_OUT_SECONDS) as patience:
                await self._ended.wait()
            self._gave_up_bow = patience.cancelled_caught
        except WaitEnded:
            pass  # It has ended just now, by itself.
        finally:
            self.close()

    async def leave(self) -> None:
        """Close the socket as soon as the channel can go on without it. A cancellation closes it at once."""
        try:
            if self._over is None:
                await trio.sleep_until(self._connected_at + PARKED_SECONDS)
            if self._over is None and self._was_left:
                with trio.move_on_after(SUCCESSOR_SECONDS):
                    await self._ended.wait()
                await self.bow_out()
        finally:
            self.close()

    def _no_resume(self) -> commands.Command:
        return commands.api(commands.uuid_setvar_multi(self.uuid, {"socket_resume": "false"}))

    # --- what comes in ---

    def _take_event(self, event: Event) -> None:
        """Hand on an event, and end the waits that it ends.

        One of before `connect` is late, and of an earlier visit of the same channel.
        """
        if 0 < event.sequence < self._first_sequence:
            return
        self._hand_on(event)
        if event.name == "CHANNEL_EXECUTE_COMPLETE":
            if (execution := self._executing.get(event.get("Application-UUID"))) is not None:
                execution.settle(event)
            elif event.get("Application") == "socket" and event.get("Answer-State") != "hangup":
                self._be_left(resumes=event.variable("socket_resume") == "true")
        elif event.name in ("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE") and event.uuid == self.uuid:
            cause = event.get("Hangup-Cause")
            self._finish(ChannelGone(f"the channel hung up: {cause}", cause))

    def _be_left(self, *, resumes: bool) -> None:
        """The channel does something else from now on, which our end, by a crash too, must not break off."""
        self._was_left = True
        if not resumes:
            return
        try:
            self.post(self._no_resume())
        except WaitEnded:
            log.debug("the socket ended as its channel left it", uuid=self.uuid)

    def _take_notice(self, message: Message) -> None:
        """Hand on FreeSWITCH's notice that the channel is over, and end every wait."""
        if message.content_type != "text/disconnect-notice":
            return
        disposition = message.headers.get("Content-Disposition", "disconnect")
        self._hand_on(ChannelEnded(disposition))
        if disposition == "linger":
            self._finish(ChannelGone("the channel hung up"))
        else:
            self._finish(Disconnected("FreeSWITCH is closing the socket"))

    def _take_end(self) -> None:
        self._finish(ConnectionLost(str(self._connection.ended)))
        self.events.end()

    def _hand_on(self, item: CallItem) -> None:
        if not self.events.put(item):
            Refusals.of_this_run().note(
                Refusal.CALL_EVENTS,
                log.error,
                "socket closed: its events are not taken",
                uuid=self.uuid,
                waiting=MAX_WAITING_EVENTS,
            )
            self._connection.close("its events were not taken")

    def _finish(self, why: WaitEnded) -> None:
        if self._over is None:
            self._over = why
            self._ended.set()
        for execution in self._executing.values():
            execution.settle(why)
