"""FreeSWITCH calls callctl: the listener for the `socket` application, one connection for each call.

Until a connection is `connect`ed nothing about its call is certain, so `connect` and `linger` are sent at
once, whatever comes. What turns out not to be a call (an address that is not allowed, garbage, a `socket`
without `async full`, a caller who is gone already) costs one line in the log and nothing else.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from ipaddress import IPv6Address, ip_address, ip_network

import structlog
import trio
from attrs import frozen

from callctl.errors import ConfigError, ConnectionLost, Disconnected, EslError, ReplyTimeout
from callctl.esl.call_socket import CallSocket, ChannelEnded
from callctl.esl.poller import Poller
from callctl.ids import Ids
from callctl.refusals import Refusal, Refusals

__all__ = ["CallSocket", "ChannelEnded", "OutboundListener", "OutboundStatistics", "serve_outbound"]

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 20.0
"""How long the reply to `connect` may take. FreeSWITCH itself gives a connection up after 25 s."""

MOST_SILENT = 500
"""How many connections may not have said yet who they are. A call says it within milliseconds, and some 300
do at once on a saturated switch; what says nothing must not take the files of those that do."""

NO_ROOM_SECONDS = 0.1
"""How soon another call is taken after one that could not be, for want of file descriptors or memory."""

MAX_PEERS_KNOWN = 256
"""Of how many addresses it is remembered whether they may connect."""

_NO_ROOM = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))

KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 20, "TCP_KEEPCNT": 3}
"""After a minute of silence TCP asks three times, 20 s apart: in two minutes a network may come back."""

TOGETHER_SECONDS = 0.1
"""Calls that are accepted within this time come together, as those do that came while this process stood."""

TURN_SECONDS = 0.3
"""How long a call waits at most for those to have their places that came together with it, and before it. A
place takes a millisecond or two; nobody who says nothing may keep others waiting for longer."""

LINGER_SECONDS = 10
"""How long FreeSWITCH keeps the socket after the hangup. CHANNEL_HANGUP_COMPLETE comes within 0.1 s."""


@frozen(kw_only=True)
class OutboundStatistics:
    """What the listener has seen since it began; `calls_open` is now."""

    calls: int
    calls_open: int
    refused_addresses: int
    gone_before_connect: int
    not_a_call: int
    handler_errors: int


class OutboundListener:
    """Takes calls from FreeSWITCH, and runs `handler` for each in a task of its own."""

    def __init__(
        self,
        handler: Callable[[CallSocket], Awaitable[None]],
        *,
        allow: Sequence[str],
        confirm: Callable[[CallSocket], Awaitable[bool]] | None = None,
        ids: Ids | None = None,
        linger_seconds: int = LINGER_SECONDS,
    ) -> None:
        """`allow` lists the networks that calls may come from, such as `127.0.0.0/8` and `::1`.

        `confirm`, if given, says whether a call is what it says; for others there is no handler. Calls are
        confirmed side by side. The handler tells by `CallSocket.tell_led` that its call has a place. Handlers
        of calls that come together begin one after the other by that, in the order of coming. When `handler`
        returns, or raises, the socket is closed, a moment later for a call that has only just begun; what was
        not sent yet is dropped. What it raises is logged, and harms no other call. `ids` makes the UUIDs of
        applications. Raises ConfigError for what is not a network.
        """
        try:
            self._networks = [ip_network(network) for network in allow]
        except ValueError as error:
            raise ConfigError(f"server.allow: {error}") from error
        self._is_allowed = lru_cache(MAX_PEERS_KNOWN)(self._is_in_a_network)
        self._handler = handler
        self._confirm = confirm
        self._ids = ids or Ids()
        self._linger_seconds = linger_seconds
        self._unled: dict[CallSocket, trio.Event] = {}
        """Who has no place yet, in the order of coming; the event is set when it has one, or is gone."""
        self._silent: dict[CallSocket, float] = {}
        """Who has not said yet who it is, and since when, the longest first."""
        self._calls = self._calls_open = 0
        self._refused_addresses = self._gone_before_connect = self._not_a_call = self._handler_errors = 0

    def statistics(self) -> OutboundStatistics:
        """Return what the listener has seen since it began."""
        return OutboundStatistics(
            calls=self._calls,
            calls_open=self._calls_open,
            refused_addresses=self._refused_addresses,
            gone_before_connect=self._gone_before_connect,
            not_a_call=self._not_a_call,
            handler_errors=self._handler_errors,
        )

    async def serve(
        self,
        *,
        host: str,
        port: int,
        handler_nursery: trio.Nursery | None = None,
        task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept connections for ever; reports its listeners when it is ready. Raises OSError before that.

        With `handler_nursery` the calls live there, and go on when this is cancelled and listens no more;
        who has not answered `connect` by then is closed.
        """
        listeners = await trio.open_tcp_listeners(port, host=host)
        task_status.started(listeners)
        try:
            async with trio.open_nursery() as own_nursery:
                own_nursery.start_soon(self._watch_the_silent)
                for listener in listeners:
                    own_nursery.start_soon(self._listen, listener, handler_nursery or own_nursery)
        finally:
            for call in list(self._silent):
                call.close()

    async def _listen(self, listener: trio.SocketListener, calls: trio.Nursery) -> None:
        def take(sock: socket.socket, peer: str) -> None:
            call = self._admit(sock, peer)
            if call is None:
                sock.close()
            else:
                keep_alive(sock)
                call.open()
                self._lead(call, calls)

        async with listener:
            while True:
                try:
                    await Poller.of_this_run().accept(listener, take)
                except OSError as error:
                    if error.errno not in _NO_ROOM:
                        raise
                    Refusals.of_this_run().note(
                        Refusal.OPEN_FILES,
                        log.error,
                        "no room for another call",
                        why=str(error),
                        todo="raise LimitNOFILE",
                    )
                    await trio.sleep(NO_ROOM_SECONDS)

    async def serve_stream(self, stream: trio.abc.Stream, peer: str) -> None:
        """Take the call on `stream`, which came from the address `peer`, and close it afterwards."""
        call = self._admit(stream, peer)
        if call is None:
            await trio.aclose_forcefully(stream)
            return
        async with trio.open_nursery() as watch:
            watch.start_soon(self._watch_the_silent)
            async with trio.open_nursery() as calls:
                calls.start_soon(call.run)
                self._lead(call, calls)
            watch.cancel_scope.cancel()

    def _admit(self, stream: trio.abc.Stream | socket.socket, peer: str) -> CallSocket | None:
        if self._is_allowed(peer):
            return CallSocket(stream, peer=peer, ids=self._ids)
        self._refused_addresses += 1
        Refusals.of_this_run().note(
            Refusal.ADDRESS,
            log.warning,
            "connection refused",
            peer=peer,
            why="its address is not in [server] allow",
        )
        return None

    def _lead(self, call: CallSocket, calls: trio.Nursery) -> None:
        """Ask who it is. The call has a task as soon as that is known, and needs none until then."""
        if len(self._silent) >= MOST_SILENT:
            longest = next(iter(self._silent))
            Refusals.of_this_run().note(
                Refusal.SILENT,
                log.warning,
                "too many connections have not said who they are",
                peer=longest.peer,
                limit=MOST_SILENT,
            )
            longest.give_up(ReplyTimeout(f"no reply to 'connect' before {MOST_SILENT} others came"))
        self._silent[call] = call.accepted_at
        self._unled[call] = trio.Event()
        call.on_led = partial(self._have_led, call)
        call.connect(self._linger_seconds, partial(self._connected, call, calls))

    def _connected(self, call: CallSocket, calls: trio.Nursery, fault: EslError | None) -> None:
        del self._silent[call]
        if fault is None:
            calls.start_soon(self._handle, call)
            return
        call.tell_led()
        if isinstance(fault, ConnectionLost | Disconnected):
            self._gone_before_connect += 1
            log.info("caller gone before connect", peer=call.peer, why=str(fault))
            call.close()
        else:
            self._not_a_call += 1
            Refusals.of_this_run().note(
                Refusal.NOT_A_CALL, log.error, "connection is not a call", peer=call.peer, why=str(fault)
            )
            # It may be one all the same, of a dialplan that is mistyped.
            calls.start_soon(call.leave)

    async def _watch_the_silent(self) -> None:
        """Give up whoever does not say in time who it is."""
        while True:
            longest_silent_since = next(iter(self._silent.values()), trio.current_time())
            await trio.sleep_until(longest_silent_since + CONNECT_SECONDS)
            now = trio.current_time()
            for call in [call for call, since in self._silent.items() if since + CONNECT_SECONDS <= now]:
                call.give_up(ReplyTimeout(f"no reply to 'connect' within {CONNECT_SECONDS:g} s"))

    async def _handle(self, call: CallSocket) -> None:
        self._calls += 1
        self._calls_open += 1
        try:
            try:
                if self._confirm is None or await self._confirm(call):
                    await self._wait_for_turn(call)
                    await self._handler(call)
            finally:
                self._calls_open -= 1
                call.tell_led()
            await call.leave()
        except* Exception:
            self._handler_errors += 1
            log.exception("the handler of a call failed", uuid=call.uuid, peer=call.peer)
        finally:
            call.close()

    def _have_led(self, call: CallSocket) -> None:
        self._unled.pop(call).set()

    async def _wait_for_turn(self, call: CallSocket) -> None:
        """Let those go first that came together with this call, and before it.

        Their replies to `connect` come in any order, and tasks that can run are run in any order.
        """
        before = []
        for other in reversed(self._unled):
            if other.accepted_at < call.accepted_at - TOGETHER_SECONDS:
                break
            before.append(other)
        # The list begins with those who came after this one.
        before = before[before.index(call) + 1 :] if call in before else []
        with trio.move_on_at(call.accepted_at + TURN_SECONDS):
            for other in before:
                if (led := self._unled.get(other)) is not None:
                    await led.wait()

    def _is_in_a_network(self, peer: str) -> bool:
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


async def serve_outbound(
    handler: Callable[[CallSocket], Awaitable[None]],
    *,
    host: str,
    port: int,
    allow: Sequence[str],
    confirm: Callable[[CallSocket], Awaitable[bool]] | None = None,
    ids: Ids | None = None,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Take calls for ever, by an OutboundListener of its own; reports its listeners when it is ready."""
    listener = OutboundListener(handler, allow=allow, confirm=confirm, ids=ids)
    await listener.serve(host=host, port=port, task_status=task_status)


def keep_alive(sock: socket.socket) -> None:
    """Have TCP find out that a switch is without power or network: a call that waits says nothing."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):  # not every system has them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
