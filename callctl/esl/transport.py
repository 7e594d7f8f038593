"""How bytes get in and out: what a connection and its carrier owe each other, and a carrier for any stream.

TCP sockets have a carrier that is much cheaper: `poller`.
"""

from __future__ import annotations

from typing import Protocol

import trio

from callctl.errors import ConnectionLost

READ_BYTES = 64 * 1024
"""The largest piece read at once, and the largest written."""

WRITE_STALL_SECONDS = 10.0
"""How long FreeSWITCH may take no byte of what we send, before the connection is given up."""


class Talker(Protocol):
    """What speaks over a carrier."""

    @property
    def outbox(self) -> bytearray:
        """What is to be sent; the carrier takes off what it has sent."""

    def take_data(self, data: bytes | bytearray) -> None:
        """Take in what has come."""

    def take_end(self, why: ConnectionLost | None) -> None:
        """Nothing comes any more: the stream broke, which is `why`, or was ended by the other side."""


class Carrier(Protocol):
    """What carries the bytes of one talker."""

    def flush(self) -> None:
        """See to it that the outbox is sent, soon and without waiting."""

    def close(self) -> None:
        """Close the stream at once, and tell the talker nothing any more. Safe to call again."""


def broken(error: BaseException) -> ConnectionLost:
    """Return what a talker is told of a stream that broke."""
    return ConnectionLost(f"the connection to FreeSWITCH broke: {error}")


def stalled() -> ConnectionLost:
    """Return what a talker is told of a peer that does not read."""
    return ConnectionLost(f"FreeSWITCH has read nothing for {WRITE_STALL_SECONDS:g} s")


class StreamCarrier:
    """Carries over any stream, by two tasks."""

    def __init__(self, stream: trio.abc.Stream, talker: Talker) -> None:
        self._stream = stream
        self._talker = talker
        self._posted = trio.Event()
        self._scope = trio.CancelScope()

    def flush(self) -> None:
        """Wake the task that sends."""
        self._posted.set()

    def close(self) -> None:
        """End `run`, which closes the stream."""
        self._scope.cancel()

    async def run(self) -> None:
        """Read and write until the stream ends or is closed; however that happens, it is closed then."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    self._talker.take_end(await self._read())
                    nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _read(self) -> ConnectionLost | None:
        try:
            while data := await self._stream.receive_some(READ_BYTES):
                self._talker.take_data(data)
                if self._scope.cancel_called:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            return broken(error.__cause__ or error)
        return None

    async def _write(self) -> None:
        outbox = self._talker.outbox
        while True:
            while outbox:
                piece = bytes(outbox[:READ_BYTES])
                with trio.move_on_after(WRITE_STALL_SECONDS) as stall:
                    try:
                        await self._stream.send_all(piece)
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        return  # The reader sees the same end, and may have more to read before it.
                if stall.cancelled_caught:
                    self._talker.take_end(stalled())
                    return
                del outbox[: len(piece)]
            await self._posted.wait()
            self._posted = trio.Event()
