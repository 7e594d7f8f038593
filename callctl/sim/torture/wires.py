"""The wires between callctl and its switches: in memory, with a latency, and cut when callctl is killed.

A kill can be ordered for the instant in which callctl sends something: what it wanted to say then gets
through in part, in whole or not at all, which is where most of the awkward instants are.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_pair


class Wire(trio.abc.Stream):
    """callctl's end of one connection."""

    def __init__(
        self,
        network: Network,
        stream: trio.StapledStream[MemorySendStream, MemoryReceiveStream],
    ) -> None:
        self._network = network
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, unless this is the moment at which callctl dies."""
        data = bytes(data)
        await self._stream.send_all(data[: self._network.bytes_that_get_out(len(data))])
        self._network.sent()

    async def wait_send_all_might_not_block(self) -> None:
        """Nothing ever blocks on a wire without an end."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive what has come, a moment after it was sent."""
        data = await self._stream.receive_some(max_bytes)
        if self._network.latency_seconds:
            await trio.sleep(self._network.latency())
        return data

    async def aclose(self) -> None:
        """Close this end."""
        self._network.wires.pop(self, None)
        await self._stream.aclose()

    def cut(self) -> None:
        """Break the wire at once: the switch reads what was sent before, and then the end of the stream."""
        self._stream.send_stream.close()
        self._stream.receive_stream.close()


class Network:
    """All of callctl's wires."""

    def __init__(self, chance: Random, latency_seconds: float) -> None:
        """`latency_seconds` is how long anything takes at most to reach callctl."""
        self.latency_seconds = latency_seconds
        self.wires: dict[Wire, None] = {}
        self._chance = chance
        self._sends_left = 0
        self._kill: Callable[[], None] | None = None

    def connect(self) -> tuple[Wire, trio.abc.Stream]:
        """Return the two ends of a new connection, callctl's first."""
        ours, theirs = memory_stream_pair()
        wire = Wire(self, ours)
        self.wires[wire] = None
        return wire, theirs

    def latency(self) -> float:
        """Return how long something is on its way this time, in seconds."""
        return self._chance.uniform(0.0, self.latency_seconds)

    def cut_all(self) -> None:
        """Break every wire."""
        for wire in list(self.wires):
            wire.cut()
        self.wires.clear()
        self._kill = None

    def kill_at_send(self, number: int, kill: Callable[[], None] | None) -> None:
        """Call `kill` in the midst of the send of this number from now, 1 being the next; None: never."""
        self._sends_left, self._kill = number, kill

    def bytes_that_get_out(self, size: int) -> int:
        """Return how much of what is sent now gets out, if callctl dies of it."""
        if self._kill is None or self._sends_left > 1:
            return size
        return self._chance.choice((0, self._chance.randint(0, size), size))

    def sent(self) -> None:
        """Count a send, and kill where it was the one."""
        if self._kill is None:
            return
        self._sends_left -= 1
        if self._sends_left <= 0:
            kill, self._kill = self._kill, None
            kill()
