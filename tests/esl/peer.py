"""The other end of a connection in tests: reads commands one by one, and answers what the test says."""

from __future__ import annotations

from collections.abc import Mapping

import trio
from trio.testing import memory_stream_pair

from callctl.esl.wire import (
    CommandDecoder,
    CommandMessage,
    encode_connect_reply,
    encode_event_json,
    encode_message,
)

CONNECT_REPLY: Mapping[str, str] = {
    "Event-Name": "CHANNEL_DATA",
    "Unique-ID": "u-1",
    "variable_queue": "caller",
    "Content-Type": "command/reply",
    "Reply-Text": "+OK\n",
    "Socket-Mode": "async",
    "Control": "full",
}


class Peer:
    """FreeSWITCH, as far as a test needs it: the test says each of its words."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._decoder = CommandDecoder()

    async def command(self) -> CommandMessage:
        """The next command that callctl sent."""
        while (command := self._decoder.next_command()) is None:
            data = await self.stream.receive_some(65536)
            if not data:
                raise trio.EndOfChannel
            self._decoder.receive_data(data)
        return command

    async def lines(self, count: int) -> list[str]:
        """The lines of the next `count` commands."""
        return [(await self.command()).line for _ in range(count)]

    async def say(self, *messages: bytes) -> None:
        """Send messages in one write."""
        await self.stream.send_all(b"".join(messages))

    async def expect(self, line: str, *answer: bytes) -> CommandMessage:
        """Require this command next, and answer it."""
        command = await self.command()
        assert command.line == line
        await self.say(*answer)
        return command

    async def close(self) -> None:
        """End the connection."""
        await self.stream.aclose()


def stream_pair() -> tuple[trio.abc.Stream, Peer]:
    """A stream for callctl, and the peer at its other end."""
    ours, theirs = memory_stream_pair()
    return ours, Peer(theirs)


def reply(text: str = "+OK", **headers: str) -> bytes:
    return encode_message({"Content-Type": "command/reply", "Reply-Text": text, **headers})


def api_response(text: str) -> bytes:
    return encode_message({"Content-Type": "api/response"}, text.encode())


def event(name: str, **headers: str) -> bytes:
    """An event; `_` in a keyword stands for `-`, but `_body` is the body."""
    named = {key if key == "_body" else key.replace("_", "-"): value for key, value in headers.items()}
    return encode_event_json({"Event-Name": name, **named})


def notice(disposition: str = "") -> bytes:
    """A disconnect notice as recorded: `linger`, `disconnect`, or none as on an inbound connection."""
    headers = {"Content-Type": "text/disconnect-notice"}
    if disposition:
        headers |= {"Controlled-Session-UUID": "u-1", "Content-Disposition": disposition}
    body = b"" if disposition == "linger" else b"Disconnected, goodbye.\nSee you at ClueCon!\n"
    return encode_message(headers | {"Content-Length": str(len(body))}, body)


GREETING = encode_message({"Content-Type": "auth/request"})

REJECTION = encode_message({"Content-Type": "text/rude-rejection"}, b"Access Denied, go away.\n")


def connect_reply(**changes: str) -> bytes:
    """The reply to `connect`; `_` in a keyword stands for `-`."""
    return encode_connect_reply({**CONNECT_REPLY, **{key.replace("_", "-"): v for key, v in changes.items()}})
