"""The same small work by `callctl.esl` and by hand, to be set beside each other: run as a process of its own.

Of each call: connect, linger, the call's own events, answer, music, and wait for the hangup. The handler by
hand is what one writes with Trio and no library: it waits for each reply, and keeps the data as a dict.

    python -m tests.bench.peer callctl|by-hand      # says its port, and serves until it is ended
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import unquote

import trio

from callctl.esl import commands
from callctl.esl.outbound import CallSocket, serve_outbound
from callctl.esl.wire import Event
from callctl.ids import Ids

EVENTS = ("CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP_COMPLETE")
"""As callctl asks for them."""

MUSIC = "local_stream://moh"


async def serve_callctl() -> None:
    """Serve with `callctl.esl`."""
    ids = Ids()

    async def handle(socket: CallSocket) -> None:
        socket.post(
            commands.filter_events("Unique-ID", socket.uuid),
            commands.subscribe(EVENTS),
            commands.execute("answer"),
            commands.execute("playback", MUSIC, event_uuid=ids.uuid(), event_lock=False),
        )
        async for item in socket.events:
            if isinstance(item, Event) and item.name == "CHANNEL_HANGUP_COMPLETE":
                return

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(
            lambda *, task_status: serve_outbound(
                handle, host="127.0.0.1", port=0, allow=["127.0.0.0/8"], ids=ids, task_status=task_status
            )
        )
        _say_port(listener)


async def serve_by_hand() -> None:
    """Serve without a library."""
    ids = Ids()

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            messages = _HandReader(stream)
            headers, _ = await messages.ask(b"connect\n\n")
            data = {name: unquote(value) for name, value in headers.items()}
            await messages.ask(b"linger 10\n\n")
            await messages.ask(f"filter Unique-ID {data['Unique-ID']}\n\n".encode())
            await messages.ask(f"event json {' '.join(EVENTS)}\n\n".encode())
            await messages.ask(b"sendmsg\ncall-command: execute\nexecute-app-name: answer\n\n")
            await messages.ask(
                b"sendmsg\ncall-command: execute\nexecute-app-name: playback\n"
                b"event-uuid: %b\nexecute-app-arg: %b\n\n" % (ids.uuid().encode(), MUSIC.encode())
            )
            while True:
                headers, body = await messages.next()
                if headers["Content-Type"] == "text/event-json":
                    event = json.loads(body)
                    if event["Event-Name"] == "CHANNEL_HANGUP_COMPLETE":
                        return

    async def handle_to_its_end(stream: trio.SocketStream) -> None:
        # A caller who hangs up in the midst of it ends this call alone.
        with suppress(trio.BrokenResourceError):
            await handle(stream)

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    _say_port(listener)
    await trio.serve_listeners(handle_to_its_end, [listener])


class _HandReader:
    """Reads messages off a stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._events: list[tuple[dict[str, str], bytes]] = []

    async def ask(self, command: bytes) -> tuple[dict[str, str], bytes]:
        """Send a command and return its reply; events that come before it are kept."""
        await self._stream.send_all(command)
        while True:
            message = await self._read()
            if message[0].get("Content-Type") == "command/reply":
                return message
            self._events.append(message)

    async def next(self) -> tuple[dict[str, str], bytes]:
        """Return the next event."""
        return self._events.pop(0) if self._events else await self._read()

    async def _read(self) -> tuple[dict[str, str], bytes]:
        while (end := self._buffer.find(b"\n\n")) < 0:
            await self._receive()
        headers = {}
        for line in self._buffer[:end].decode().split("\n"):
            name, _, value = line.partition(": ")
            headers[name] = value
        length = int(headers.get("Content-Length", "0"))
        while len(self._buffer) < end + 2 + length:
            await self._receive()
        body = bytes(self._buffer[end + 2 : end + 2 + length])
        del self._buffer[: end + 2 + length]
        return headers, body

    async def _receive(self) -> None:
        data = await self._stream.receive_some(65536)
        if not data:
            raise trio.BrokenResourceError
        self._buffer += data


def _say_port(listener: trio.SocketListener) -> None:
    print(listener.socket.getsockname()[1], flush=True)


SERVERS: dict[str, Callable[[], Awaitable[None]]] = {"callctl": serve_callctl, "by-hand": serve_by_hand}


if __name__ == "__main__":
    trio.run(SERVERS[sys.argv[1]])
