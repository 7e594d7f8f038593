"""The sockets and the clock of the lean switch, as cheap as they can be: it has to outrun the server.

A write is one system call, at once, and only what the socket does not take waits for a task. All replies to
commands that came together go out together, as they mostly arrived in the recordings. All timers share one
task.
"""

from __future__ import annotations

import heapq
import socket
from collections.abc import Callable, Iterator
from itertools import count

import trio
from attrs import frozen

READ_BYTES = 256 * 1024


@frozen
class Order:
    """One command of the controller: its first line, the rest of its header lines, its body."""

    line: bytes
    headers: bytes
    body: bytes


class Wire:
    """One connection, seen from the switch."""

    def __init__(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        self._socket = sock
        self._nursery = nursery
        self._received = bytearray()
        self._unsent = bytearray()
        self._replies: bytearray | None = None
        self.is_open = True

    def send(self, data: bytes | bytearray) -> None:
        """Send, in order. What a connection that is gone does not take is lost, as with a real one."""
        if self._replies is not None:
            self._replies += data
        elif self._unsent:
            self._unsent += data
        elif self.is_open:
            sent = self._send(data)
            if self.is_open and sent < len(data):
                self._unsent += data[sent:]
                self._nursery.start_soon(self._send_rest)

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.close()
            return 0

    async def _send_rest(self) -> None:
        while self._unsent:
            try:
                await trio.lowlevel.wait_writable(self._socket)
            except trio.ClosedResourceError:
                return
            del self._unsent[: self._send(self._unsent)]

    async def serve(self, obey: Callable[[Order], None]) -> None:
        """Hand on each command, until either side closes."""
        try:
            while self.is_open and (data := await self._receive()) is not None:
                self._received += data
                self._obey_all(obey)
        finally:
            self.close()

    def _obey_all(self, obey: Callable[[Order], None]) -> None:
        self._replies = bytearray()
        for order in self._orders():
            obey(order)
        self._send_replies()

    def _send_replies(self) -> None:
        replies, self._replies = self._replies, None
        if replies:
            self.send(replies)

    async def _receive(self) -> bytes | None:
        """Return what has come; None at the end."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                return self._socket.recv(READ_BYTES) or None
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                return None

    def _orders(self) -> Iterator[Order]:
        received = self._received
        while (end := received.find(b"\n\n")) >= 0:
            block = bytes(received[:end]).lstrip(b"\n")
            line, _, headers = block.partition(b"\n")
            length = 0
            if b"content-length: " in headers:
                length = int(headers.partition(b"content-length: ")[2].partition(b"\n")[0])
            if len(received) < end + 2 + length:
                return
            body = bytes(received[end + 2 : end + 2 + length])
            del received[: end + 2 + length]
            yield Order(line, headers, body)

    def close(self) -> None:
        """End the connection, after what was answered so far."""
        self._send_replies()
        if self.is_open:
            self.is_open = False
            self._unsent.clear()
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


async def connect(port: int) -> socket.socket | None:
    """Connect to a port of this machine; None where nobody listens."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.connect(("127.0.0.1", port))
    except BlockingIOError:
        await trio.lowlevel.wait_writable(sock)
    except OSError:
        sock.close()
        return None
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        sock.close()
        return None
    return sock


class Timers:
    """Things to do later."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._scope = trio.CancelScope()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        at = trio.current_time() + seconds
        heapq.heappush(self._due, (at, next(self._numbers), action))
        self._scope.deadline = min(self._scope.deadline, at)

    async def run(self) -> None:
        """Do everything when it is due, for ever."""
        while True:
            deadline = self._due[0][0] if self._due else float("inf")
            with trio.CancelScope(deadline=deadline) as self._scope:
                await trio.sleep_forever()
            now = trio.current_time()
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()
