"""All sockets of a run in one task: each round reads what has come, and sends what was said about it.

A task for each socket would cost some 60 µs for each piece that comes, most of them for going to sleep and
waking up, and more than 10 kB for as long as the call waits. A round costs that once for all sockets. What
is posted goes out when all tasks that can run have run, in one write for each socket: on a busy machine a
write costs as much as a hundred lines of Python.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Callable
from typing import NoReturn

import structlog
import trio
from attrs import define, field

from callctl.errors import ConnectionLost
from callctl.esl.transport import READ_BYTES, WRITE_STALL_SECONDS, Talker, broken, stalled

log = structlog.get_logger(__name__)

ROUND_SOCKETS = 64
"""How many sockets are read before other tasks get their turn: some 5 ms of work."""

ROUND_ENTRIES = 16
"""How many connections are accepted in a round."""

_OF_ONE_CONNECTION = frozenset(
    getattr(errno, name)
    for name in [
        "ECONNABORTED",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETUNREACH",
        "ENONET",
        "ENOPROTOOPT",
        "EOPNOTSUPP",
        "EPERM",
        "EPROTO",
    ]
    if hasattr(errno, name)
)
"""What accept(2) says of a connection that failed before it was taken, or was forbidden: the next may do."""


@define(eq=False)
class PolledSocket:
    """The carrier of one socket of a poller."""

    _poller: Poller
    _sock: socket.socket
    _talker: Talker
    _is_open: bool = True

    def flush(self) -> None:
        """Send the outbox when nothing is added to it any more: at the end of a round, or of Trio's."""
        self._poller.send_soon(self)

    def send(self) -> None:
        """Send as much of the outbox as the socket takes; the rest follows when it takes more."""
        outbox = self._talker.outbox
        while outbox and self._is_open:
            try:
                sent = self._sock.send(outbox if len(outbox) <= READ_BYTES else outbox[:READ_BYTES])
            except BlockingIOError:
                self._poller.wait_to_send(self, self._sock)
                return
            except OSError:
                return  # The reader sees the same end, and may have more to read before it.
            del outbox[:sent]
            self._poller.has_sent(self, self._sock, is_all=not outbox)

    def receive(self) -> None:
        """Hand on what has come."""
        if not self._is_open:
            return
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._talker.take_end(broken(error))
            return
        if data:
            self._talker.take_data(data)
        else:
            self._talker.take_end(None)

    def give_up(self, why: ConnectionLost) -> None:
        """End the connection, and tell the talker why."""
        self.close()
        self._talker.take_end(why)

    def close(self) -> None:
        """Close the socket at once; what was not sent is dropped."""
        if self._is_open:
            self._is_open = False
            self._poller.forget(self, self._sock)
            self._sock.close()


@define(eq=False)
class _Entrance:
    """A listening socket of a poller."""

    _sock: socket.socket
    _take: Callable[[socket.socket, str], None]
    fault: OSError | None = None
    """Why nobody can be taken any more."""
    is_blocked: trio.Event = field(factory=trio.Event)

    def receive(self) -> None:
        """Take those who have come; where there are more, the next round does."""
        for _ in range(ROUND_ENTRIES):
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OF_ONE_CONNECTION:
                    continue
                self.fault = error
                self.is_blocked.set()
                return
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._take(sock, address[0])
            except Exception:
                log.exception("a connection failed", peer=address[0])
                sock.close()


class Poller:
    """Carries for any number of sockets, in one task."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._stuck_since: dict[PolledSocket, float] = {}
        """The sockets that take no more, and since when they have taken nothing."""
        self._has_stuck = trio.Event()
        self._is_in_round = False
        self._unsent: dict[PolledSocket, None] = {}
        self._has_unsent = trio.Event()

    @classmethod
    def of_this_run(cls) -> Poller:
        """Return the one poller of this `trio.run`; its task begins here, and ends with the run."""
        try:
            return _OF_THIS_RUN.get()
        except LookupError:
            poller = cls()
            _OF_THIS_RUN.set(poller)
            trio.lowlevel.spawn_system_task(poller._run)
            return poller

    def open(self, sock: socket.socket, talker: Talker) -> PolledSocket:
        """Begin to carry over a connected socket, which belongs to the carrier from now on."""
        sock.setblocking(False)
        carrier = PolledSocket(self, sock, talker)
        self._selector.register(sock, selectors.EVENT_READ, carrier)
        return carrier

    async def accept(
        self, listener: trio.SocketListener, take: Callable[[socket.socket, str], None]
    ) -> NoReturn:
        """Hand every connection that comes, with its address, to `take`, which must return at once.

        Goes on until it is cancelled, or raises OSError when nobody can be taken, such as for want of file
        descriptors. Whatever `take` raises costs that connection alone.
        """
        with socket.socket(fileno=os.dup(listener.socket.fileno())) as sock:
            entrance = _Entrance(sock, take)
            self._selector.register(sock, selectors.EVENT_READ, entrance)
            try:
                await entrance.is_blocked.wait()
            finally:
                self._selector.unregister(sock)
            assert entrance.fault is not None, "it is blocked by nothing else"
            raise entrance.fault

    def send_soon(self, carrier: PolledSocket) -> None:
        """Have the carrier send when whoever can add something has done so."""
        self._unsent[carrier] = None
        if not self._is_in_round:
            self._has_unsent.set()

    def wait_to_send(self, carrier: PolledSocket, sock: socket.socket) -> None:
        """Have the carrier send on when its socket takes more."""
        if carrier not in self._stuck_since:
            self._stuck_since[carrier] = trio.current_time()
            self._selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, carrier)
            self._has_stuck.set()

    def has_sent(self, carrier: PolledSocket, sock: socket.socket, *, is_all: bool) -> None:
        """A socket has taken something."""
        if carrier not in self._stuck_since:
            return
        self._stuck_since[carrier] = trio.current_time()
        if is_all:
            del self._stuck_since[carrier]
            self._selector.modify(sock, selectors.EVENT_READ, carrier)

    def forget(self, carrier: PolledSocket, sock: socket.socket) -> None:
        """Carry for this one no more."""
        self._selector.unregister(sock)
        self._stuck_since.pop(carrier, None)

    # --- the tasks ---

    async def _run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_unsent)
                nursery.start_soon(self._give_up_the_stuck)
                while True:
                    await trio.lowlevel.wait_readable(self._selector.fileno())
                    ready = self._selector.select(0)
                    self._round(ready[:ROUND_SOCKETS])
                    for first in range(ROUND_SOCKETS, len(ready), ROUND_SOCKETS):
                        await trio.lowlevel.checkpoint()
                        self._round(ready[first : first + ROUND_SOCKETS])
        finally:
            self._selector.close()

    def _round(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        self._is_in_round = True
        for key, mask in ready:
            carrier: PolledSocket | _Entrance = key.data
            if isinstance(carrier, _Entrance):
                carrier.receive()
                continue
            try:
                if mask & selectors.EVENT_WRITE:
                    carrier.send()
                if mask & selectors.EVENT_READ:
                    carrier.receive()
            except Exception as mistake:
                # One connection's mistake must not cost all others theirs.
                log.exception("a connection failed")
                carrier.give_up(broken(mistake))
        self._is_in_round = False
        self._send_all()

    def _send_all(self) -> None:
        unsent, self._unsent = self._unsent, {}
        for carrier in unsent:
            carrier.send()

    async def _send_unsent(self) -> None:
        while True:
            await self._has_unsent.wait()
            self._has_unsent = trio.Event()
            self._send_all()

    async def _give_up_the_stuck(self) -> None:
        while True:
            await self._has_stuck.wait()
            self._has_stuck = trio.Event()
            while self._stuck_since:
                await trio.sleep_until(min(self._stuck_since.values()) + WRITE_STALL_SECONDS)
                latest = trio.current_time() - WRITE_STALL_SECONDS
                for carrier in [each for each, since in self._stuck_since.items() if since <= latest]:
                    carrier.give_up(stalled())


_OF_THIS_RUN: trio.lowlevel.RunVar[Poller] = trio.lowlevel.RunVar("callctl.esl.poller")
