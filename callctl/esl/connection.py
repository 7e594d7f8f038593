"""One conversation with FreeSWITCH: what comes is handed over at once, and each reply goes to its slot.

A reader that stalls freezes Event Socket for the whole switch, so events are handed over by a plain call
that must not block, and a carrier (`transport`, `poller`) brings the bytes. Replies come in the order of the
commands and carry nothing else to know them by. So a command's slot stays where it is until its reply came,
also when nobody waits for it any more: a late reply reaches nobody else.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from copy import copy
from typing import NoReturn, TypeVar

import structlog
import trio
from attrs import frozen

from callctl.errors import (
    CommandRefused,
    ConnectionLost,
    Disconnected,
    EslError,
    OutboxFull,
    RemoteProtocolError,
    ReplyTimeout,
    WaitEnded,
)
from callctl.esl.commands import Command
from callctl.esl.framing import MAX_BODY_BYTES, MAX_HEADER_BYTES
from callctl.esl.poller import Poller
from callctl.esl.transport import Carrier, StreamCarrier
from callctl.esl.wire import Decoder, Event, Message, event_of, is_event
from callctl.refusals import Refusal, Refusals

log = structlog.get_logger(__name__)

REPLY_SECONDS = 10.0
"""How long a reply may take unless the caller says otherwise; FreeSWITCH answers within milliseconds."""

MAX_OUTBOX_BYTES = 4 * 1024 * 1024
"""The most that may wait to be sent: some 8,000 originates, ten seconds of what FreeSWITCH can take in."""

MAX_PENDING_REPLIES = 16 * 1024
"""The most commands that may wait for their replies."""

_T = TypeVar("_T")

_ERRORS = ("-ERR", "-USAGE")


@frozen
class Reply:
    """What FreeSWITCH answered to one command: `text` is the answer without the white space around it."""

    command: str
    text: str
    message: Message

    @property
    def ok(self) -> bool:
        """Whether this is anything but an error. Plain words are answers too."""
        return not self.text.startswith(_ERRORS)

    def require_ok(self) -> Reply:
        """Return this reply; raises CommandRefused when it is an error."""
        if not self.ok:
            raise CommandRefused(self.command, self.text)
        return self


def _reply_of(command: Command, message: Message) -> Reply:
    if message.content_type == "api/response":
        text = message.body.decode("utf-8", "surrogateescape")
    elif "Event-Name" in message.headers:
        # The reply to `connect` alone is percent-encoded.
        text = event_of(message).get("Reply-Text")
    else:
        text = message.headers.get("Reply-Text", "")
    return Reply(command.label, text.strip(), message)


Outcome = Reply | WaitEnded


class PendingReply:
    """The slot of one command that was posted. It may be waited for any number of times, or never."""

    __slots__ = ("_arrived", "_outcome", "_then", "command")

    def __init__(self, command: Command) -> None:
        self.command = command
        self._arrived: trio.Event | None = None
        self._outcome: Outcome | None = None
        self._then: Callable[[Outcome], None] | None = None

    async def wait(self, timeout_seconds: float = REPLY_SECONDS) -> Reply:
        """Return the reply, be it an error or not.

        Raises ReplyTimeout after `timeout_seconds`, ConnectionLost or Disconnected when the connection ends
        before. A cancellation or a timeout leaves the slot in place for the late reply.
        """
        if self._outcome is None:
            self._arrived = self._arrived or trio.Event()
            with trio.move_on_after(timeout_seconds):
                await self._arrived.wait()
        else:
            await trio.lowlevel.checkpoint()
        if self._outcome is None:
            raise ReplyTimeout(f"no reply to {self.command.label!r} within {timeout_seconds:g} s")
        if isinstance(self._outcome, WaitEnded):
            raise copy(self._outcome)
        return self._outcome

    def then(self, action: Callable[[Outcome], None]) -> None:
        """Have `action` called with the reply, or with why there is none. It must return at once.

        There is no deadline: it is called when the connection ends, at the latest.
        """
        if self._outcome is None:
            self._then = action
        else:
            action(self._outcome)

    def settle(self, outcome: Outcome) -> None:
        """End the wait. Only the connection does that."""
        self._outcome = outcome
        if self._arrived is not None:
            self._arrived.set()
        if self._then is not None:
            self._then(outcome)


@frozen(kw_only=True)
class ConnectionStatistics:
    """What one connection has done so far, and what it holds now."""

    bytes_received: int
    bytes_sent: int
    messages: int
    events: int
    skipped: int
    handler_errors: int
    replies_pending: int
    outbox_bytes: int


class Connection:
    """One Event Socket connection over any stream; `run` or `open` begin its life, `post` is its use."""

    def __init__(
        self,
        stream: trio.abc.Stream | socket.socket,
        *,
        on_event: Callable[[Event], None],
        on_notice: Callable[[Message], None],
        on_end: Callable[[], None] | None = None,
        name: str = "",
        max_header_bytes: int = MAX_HEADER_BYTES,
        max_body_bytes: int = MAX_BODY_BYTES,
        max_outbox_bytes: int = MAX_OUTBOX_BYTES,
    ) -> None:
        """`on_event`, `on_notice` and, once, `on_end` are called as things happen, and must return at once.

        Notices are `auth/request`, `text/disconnect-notice` and `text/rude-rejection`. `name` is what logs
        call this connection. The connection owns the stream, and closes it when it ends. A connected TCP
        socket may stand for a stream; it is for `open`.
        """
        self._stream = stream
        self._on_event = on_event
        self._on_notice = on_notice
        self._on_end = on_end
        self._name = name
        self._decoder = Decoder(max_header_bytes, max_body_bytes)
        self._max_outbox_bytes = max_outbox_bytes
        self._carrier: Carrier | None = None
        self._pending: deque[PendingReply] = deque()
        self._ended: EslError | None = None
        self._over: trio.Event | None = None
        self._is_taking = False
        self._bytes_received = self._bytes_posted = 0
        self._messages = self._events = self._skipped = self._handler_errors = 0
        self.outbox = bytearray()
        """What is still to be sent; the carrier takes off what it has sent."""
        self.last_received_at = trio.current_time()
        """When anything last came, on Trio's clock."""

    @property
    def ended(self) -> EslError | None:
        """Why no command can be sent any more: ConnectionLost, Disconnected, or RemoteProtocolError."""
        return self._ended

    def statistics(self) -> ConnectionStatistics:
        """Return what the connection has done so far, and what it holds now."""
        return ConnectionStatistics(
            bytes_received=self._bytes_received,
            bytes_sent=self._bytes_posted - len(self.outbox),
            messages=self._messages,
            events=self._events,
            skipped=self._skipped,
            handler_errors=self._handler_errors,
            replies_pending=len(self._pending),
            outbox_bytes=len(self.outbox),
        )

    async def run(self) -> None:
        """Read and write until the stream ends or is given up; `ended` then says why.

        However it ends, also by a cancellation, every wait ends and the stream is closed.
        """
        try:
            if isinstance(self._stream, trio.SocketStream | socket.socket):
                self._over = trio.Event()
                self.open()
                await self._over.wait()
            else:
                carrier = self._carrier = StreamCarrier(self._stream, self)
                if self._ended is not None:
                    carrier.close()
                await carrier.run()
        finally:
            self.close()

    def open(self) -> None:
        """Read and write from now on, without a task; for TCP. `on_end` says when it is over."""
        sock = self._stream
        if not isinstance(sock, socket.socket):
            assert isinstance(sock, trio.SocketStream), "another stream needs `run`"
            sock = socket.socket(fileno=sock.socket.detach())
        self._carrier = Poller.of_this_run().open(sock, self)
        if self._ended is not None:
            self._conclude()
        elif self.outbox:
            self._carrier.flush()

    def post(self, *commands: Command) -> list[PendingReply]:
        """Queue commands to be sent as one write, and return their slots in order.

        Raises ConnectionLost or Disconnected when the connection has ended, and OutboxFull when too much
        waits already; then nothing of it is sent.
        """
        if self._ended is not None:
            raise self._wait_ended()
        data = b"".join([command.encode() for command in commands])
        if len(self.outbox) + len(data) > self._max_outbox_bytes:
            self._refuse(f"FreeSWITCH does not read: {len(self.outbox)} bytes wait to be sent", len(commands))
        if len(self._pending) + len(commands) > MAX_PENDING_REPLIES:
            self._refuse(f"FreeSWITCH does not answer: {len(self._pending)} replies are due", len(commands))
        self.outbox += data
        self._bytes_posted += len(data)
        slots = [PendingReply(command) for command in commands]
        self._pending.extend(slots)
        if self._carrier is not None:
            self._carrier.flush()
        return slots

    def _refuse(self, why: str, orders: int) -> NoReturn:
        Refusals.of_this_run().note(
            Refusal.ORDERS, log.error, "orders are not sent", amount=orders, connection=self._name, why=why
        )
        raise OutboxFull(why)

    async def request(self, command: Command, timeout_seconds: float = REPLY_SECONDS) -> Reply:
        """Send one command and return its reply; raises as `post` and `PendingReply.wait` do."""
        [slot] = self.post(command)
        return await slot.wait(timeout_seconds)

    def close(self, why: str = "callctl closed the connection") -> None:
        """Give the connection up at once; what was not sent yet is dropped, and every wait ends."""
        self.give_up(ConnectionLost(why))

    def give_up(self, why: WaitEnded) -> None:
        """Close the connection, and end every wait with `why`."""
        self._end(why)

    # --- what the carrier brings ---

    def take_data(self, data: bytes | bytearray) -> None:
        """Take in bytes, and hand over every message that they make whole."""
        if self._ended is not None:
            return
        self.last_received_at = trio.current_time()
        self._bytes_received += len(data)
        self._is_taking = True
        decoder = self._decoder
        try:
            decoder.receive_data(data)
            while self._ended is None and (message := decoder.next_message()) is not None:
                self._messages += 1
                self._take(message)
        except RemoteProtocolError as error:
            self._end(error)
        finally:
            self._is_taking = False
        if self._ended is not None:
            self._conclude()

    def take_end(self, why: ConnectionLost | None) -> None:
        """The stream is over: it broke, which is `why`, or FreeSWITCH has closed it."""
        if why is None:
            where = " in the middle of a message" if self._decoder.is_midway else ""
            why = ConnectionLost(f"FreeSWITCH closed the connection{where}")
        self._end(why)

    # --- what comes in ---

    def _take(self, message: Message) -> None:
        match message.content_type:
            case "command/reply" | "api/response":
                self._take_reply(message)
            case "auth/request" | "text/rude-rejection" | "text/disconnect-notice":
                if is_last_notice(message):
                    self._end(Disconnected("FreeSWITCH is closing the connection"))
                self._call(self._on_notice, message)
            case _ if is_event(message):
                self._take_event(message)
            case _:
                self._skip(f"callctl does not know {message.content_type[:60]!r}")

    def _take_reply(self, message: Message) -> None:
        if not self._pending:
            if self._ended is None:
                raise RemoteProtocolError("a reply came to no command")
            return
        slot = self._pending[0]
        # Only `api` is answered by api/response, so another pairing means that replies are out of step,
        # and every later one would reach the wrong command.
        if message.content_type == "api/response" and not slot.command.line.startswith("api "):
            raise RemoteProtocolError(f"an api/response came to {slot.command.label!r}")
        reply = _reply_of(slot.command, message)
        self._pending.popleft()
        self._call(slot.settle, reply)

    def _take_event(self, message: Message) -> None:
        try:
            event = event_of(message)
        except RemoteProtocolError as error:
            self._skip(str(error))
            return
        self._events += 1
        self._call(self._on_event, event)

    def _call(self, handler: Callable[[_T], None], item: _T) -> None:
        try:
            handler(item)
        except Exception:
            # One call's mistake must not cost all others their connection.
            self._handler_errors += 1
            log.exception("a handler failed", connection=self._name)

    def _skip(self, why: str) -> None:
        self._skipped += 1
        # Said at 1, 2, 4, 8, …: a stream that is all damage must not fill the log.
        if self._skipped & (self._skipped - 1) == 0:
            log.warning("message skipped", connection=self._name, why=why, skipped=self._skipped)

    # --- the end ---

    def _end(self, why: EslError) -> None:
        if self._ended is not None:
            return
        self._ended = why
        while self._pending:
            self._call(self._pending.popleft().settle, self._wait_ended())
        self.outbox.clear()
        if not self._is_taking:
            self._conclude()

    def _conclude(self) -> None:
        """Close the stream, say so, and hold on to nobody; after whatever ended it was handed over."""
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.close()
        if self._over is not None:
            self._over.set()
        self._on_event = self._on_notice = _take_nothing
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    def _wait_ended(self) -> WaitEnded:
        if isinstance(self._ended, WaitEnded):
            return copy(self._ended)
        return ConnectionLost(str(self._ended))


def _take_nothing(item: object) -> None:
    """Nothing comes on a connection that has ended."""


def is_last_notice(message: Message) -> bool:
    """Say whether nothing but the end of the stream follows this notice; after a linger notice more does."""
    if message.content_type == "text/rude-rejection":
        return True
    is_notice = message.content_type == "text/disconnect-notice"
    return is_notice and message.headers.get("Content-Disposition") != "linger"
