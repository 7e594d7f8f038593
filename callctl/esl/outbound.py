"""FreeSWITCH calls callctl: the listener for the `socket` application, one connection for each call.

Until a connection is `connect`ed nothing about its call is certain, so `connect` and `linger` are sent at
once, whatever comes. What turns out not to be a call (an address that is not allowed, garbage, a `socket`
without `async full`, a caller who is gone already) costs one line in the log and nothing else.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv6Address, ip_address, ip_network

import structlog
import trio
from attrs import frozen

from callctl.errors import CommandRefused, ConfigError, RemoteProtocolError, ReplyTimeout, WaitEnded
from callctl.esl.call_socket import CallSocket, ChannelEnded
from callctl.model import Ids

__all__ = ["CallSocket", "ChannelEnded", "OutboundListener", "OutboundStatistics", "serve_outbound"]

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 20.0
"""How long the reply to `connect` may take. FreeSWITCH itself gives a connection up after 25 s."""

NO_ROOM_SECONDS = 0.1
"""How soon another call is taken after one that could not be, for want of file descriptors or memory."""

_NO_ROOM = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))

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
        ids: Ids | None = None,
        linger_seconds: int = LINGER_SECONDS,
    ) -> None:
        """`allow` lists the networks that calls may come from, such as `127.0.0.0/8` and `::1`.

        When `handler` returns, or raises, the socket is closed, a moment later for a call that has only just
        begun; what was not sent yet is dropped. What it raises is logged, and harms no other call. `ids`
        makes the UUIDs of applications. Raises ConfigError for what is not a network.
        """
        try:
            self._networks = [ip_network(network) for network in allow]
        except ValueError as error:
            raise ConfigError(f"server.allow: {error}") from error
        self._handler = handler
        self._ids = ids or Ids()
        self._linger_seconds = linger_seconds
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

        With `handler_nursery` the calls live there, and go on when this is cancelled and listens no more.
        """
        listeners = await trio.open_tcp_listeners(port, host=host)
        task_status.started(listeners)
        async with trio.open_nursery() as own_nursery:
            for listener in listeners:
                own_nursery.start_soon(self._listen, listener, handler_nursery or own_nursery)

    async def _listen(self, listener: trio.SocketListener, calls: trio.Nursery) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in _NO_ROOM:
                        raise
                    log.error("no room for another call", why=str(error), todo="raise LimitNOFILE")
                    await trio.sleep(NO_ROOM_SECONDS)
                else:
                    calls.start_soon(self._accept, stream)

    async def _accept(self, stream: trio.SocketStream) -> None:
        try:
            peer = stream.socket.getpeername()[0]
        except OSError:
            # Whoever connected is gone already.
            self._gone_before_connect += 1
            await trio.aclose_forcefully(stream)
            return
        await self.serve_stream(stream, peer)

    async def serve_stream(self, stream: trio.abc.Stream, peer: str) -> None:
        """Take the call on `stream`, which came from the address `peer`, and close it afterwards."""
        if not self._is_allowed(peer):
            self._refused_addresses += 1
            log.warning("connection refused", peer=peer, why="its address is not in [server] allow")
            await trio.aclose_forcefully(stream)
            return
        socket = CallSocket(stream, peer=peer, ids=self._ids)
        try:
            if isinstance(stream, trio.SocketStream):
                socket.open()
                await self._lead(socket)
                await socket.leave()
            else:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(socket.run)
                    await self._lead(socket)
                    await socket.leave()
        except* Exception:
            self._handler_errors += 1
            log.exception("the handler of a call failed", uuid=socket.uuid, peer=peer)
        finally:
            socket.close()

    async def _lead(self, socket: CallSocket) -> None:
        try:
            await socket.connect(self._linger_seconds, CONNECT_SECONDS)
        except (RemoteProtocolError, CommandRefused, ReplyTimeout) as error:
            self._not_a_call += 1
            log.error("connection is not a call", peer=socket.peer, why=str(error))
            return
        except WaitEnded as error:
            self._gone_before_connect += 1
            log.info("caller gone before connect", peer=socket.peer, why=str(error))
            return
        self._calls += 1
        self._calls_open += 1
        try:
            await self._handler(socket)
        finally:
            self._calls_open -= 1

    def _is_allowed(self, peer: str) -> bool:
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
    ids: Ids | None = None,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Take calls for ever, by an OutboundListener of its own; reports its listeners when it is ready."""
    await OutboundListener(handler, allow=allow, ids=ids).serve(host=host, port=port, task_status=task_status)
