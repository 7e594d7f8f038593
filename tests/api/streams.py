"""A client of server-sent events on a real socket, which keeps what it has read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from attrs import define, field


@define
class Message:
    """One event as it came."""

    name: str
    data: Any
    id: str


@define
class StreamClient:
    """A stream that is being read; `status` and `head` are those of the answer."""

    stream: trio.abc.Stream
    status: int
    head: str
    rest: bytes = b""
    last_id: str = ""
    messages: list[Message] = field(factory=list)

    async def next(self, seconds: float = 5) -> Message | None:
        """Return the next event, None at the end of the stream."""
        with trio.fail_after(seconds):
            while True:
                block, found, rest = self.rest.partition(b"\n\n")
                if not found:
                    piece = await self.stream.receive_some(65536)
                    if not piece:
                        return None
                    self.rest += piece
                    continue
                self.rest = rest
                if (message := self._take(block)) is not None:
                    self.messages.append(message)
                    return message

    async def until(self, name: str, seconds: float = 5) -> Message:
        """Return the next event of this name; fails at the end."""
        with trio.fail_after(seconds):
            while True:
                message = await self.next(seconds)
                assert message is not None, f"the stream ended before {name}"
                if message.name == name:
                    return message

    def _take(self, block: bytes) -> Message | None:
        fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
        if b"id" in fields:
            self.last_id = fields[b"id"].decode()
        if b"data" not in fields:
            return None
        return Message(fields[b"event"].decode(), msgspec.json.decode(fields[b"data"]), self.last_id)


@asynccontextmanager
async def following(
    stream: trio.abc.Stream, path: str, last_id: str = "", token: str = ""
) -> AsyncIterator[StreamClient]:
    """Ask for a stream on a new connection, with HTTP/1.0 so that it comes as it is."""
    headers = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
    headers += f"Authorization: Bearer {token}\r\n" if token else ""
    async with stream:
        await stream.send_all(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n".encode())
        answer = b""
        with trio.fail_after(5):
            while b"\r\n\r\n" not in answer:
                piece = await stream.receive_some(65536)
                assert piece, answer
                answer += piece
        head, _, rest = answer.partition(b"\r\n\r\n")
        yield StreamClient(stream, int(head.split(b" ", 2)[1]), head.decode(), rest)
