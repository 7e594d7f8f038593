"""A controller for tests: it speaks to the stand-in on in-memory streams, word by word."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from trio.testing import memory_stream_pair

from callctl.esl.wire import Decoder, Event, Message, event_of, is_event
from callctl.ids import Ids
from callctl.sim.dialplan import Dialplan
from callctl.sim.faults import Faults
from callctl.sim.switch import Switch

PATIENCE_SECONDS = 120.0


async def quiet(seconds: float) -> None:
    """Let time pass, in which nobody says anything."""
    await trio.sleep(seconds)


class Client:
    """The other end of one Event Socket connection; keeps everything that comes, in order."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.messages: list[Message] = []
        self.is_closed = False
        self._decoder = Decoder()
        self._news = trio.Event()

    async def listen(self) -> None:
        """Take in what comes until the switch closes."""
        try:
            async for data in self.stream:
                self._decoder.receive_data(data)
                while (message := self._decoder.next_message()) is not None:
                    self.messages.append(message)
                self._tell()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.is_closed = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def say(self, *commands: str) -> None:
        """Send commands in one write; the blank line is added."""
        await self.stream.send_all("".join(f"{command}\n\n" for command in commands).encode())

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, looking again whenever a message came."""
        with trio.fail_after(PATIENCE_SECONDS):
            while not is_so():
                await self._news.wait()

    async def ask(self, command: str) -> str:
        """Send a command; return its reply's text, or the body of an api response."""
        known = len(self.replies())
        await self.say(command)
        await self.until(lambda: len(self.replies()) > known or self.is_closed)
        reply = self.replies()[known]
        if reply.content_type == "api/response":
            return reply.body.decode()
        return reply.headers["Reply-Text"]

    def replies(self) -> list[Message]:
        kinds = ("command/reply", "api/response")
        return [m for m in self.messages if m.content_type in kinds and "Event-Name" not in m.headers]

    def events(self, name: str = "", uuid: str = "") -> list[Event]:
        """Return the events of a name and a channel that came so far, the reply to `connect` among them."""
        told = (m for m in self.messages if is_event(m) or "Event-Name" in m.headers)
        found = map(event_of, told)
        return [event for event in found if name in ("", event.name) and uuid in ("", event.uuid)]

    def notices(self) -> list[str]:
        return [
            message.headers.get("Content-Disposition", "plain")
            for message in self.messages
            if message.content_type == "text/disconnect-notice"
        ]

    async def event(self, name: str, uuid: str = "") -> Event:
        """Wait for the first event of this name and channel."""
        await self.until(lambda: bool(self.events(name, uuid)) or self.is_closed)
        return self.events(name, uuid)[0]

    async def drop(self) -> None:
        """Be gone without a word, as a crash is."""
        await trio.aclose_forcefully(self.stream)


class World:
    """A running switch, its clients, and the controllers that it dials out to."""

    def __init__(
        self, nursery: trio.Nursery, seed: int, dialplan: Dialplan | None, faults: Faults | None
    ) -> None:
        source = random.Random(seed)
        self.nursery = nursery
        self.is_listening = True
        self.sockets: list[Client] = []
        self.observed: list[tuple[str, str]] = []
        self._arrived = trio.Event()
        self.switch = Switch(
            random=source,
            ids=Ids(source),
            dial=self._dial,
            dialplan=dialplan,
            faults=faults,
            show_lag_seconds=0,
        )
        self.switch.on_observed(lambda name, uuid, _at, _other: self.observed.append((name, uuid)))

    async def _dial(self, _host: str, port: int) -> trio.abc.Stream:
        if not self.is_listening or port == 8999:
            raise OSError("nobody listens")
        ours, theirs = memory_stream_pair()
        client = Client(ours)
        self.sockets.append(client)
        self.nursery.start_soon(client.listen)
        self._arrived.set()
        self._arrived = trio.Event()
        return theirs

    async def client(self, *commands: str) -> Client:
        """Connect to the switch, log in, and say some commands."""
        ours, theirs = memory_stream_pair()
        client = Client(ours)
        self.nursery.start_soon(self.switch.serve_inbound, theirs)
        self.nursery.start_soon(client.listen)
        await client.ask("auth ClueCon")
        for command in commands:
            await client.ask(command)
        return client

    async def socket(self, number: int = 1) -> Client:
        """Wait for the connection of this number that the switch makes."""
        with trio.fail_after(PATIENCE_SECONDS):
            while len(self.sockets) < number:
                await self._arrived.wait()
        return self.sockets[number - 1]


@asynccontextmanager
async def world(
    *, seed: int = 1, dialplan: Dialplan | None = None, faults: Faults | None = None
) -> AsyncIterator[World]:
    """Run a switch for a test; everything ends with the test."""
    async with trio.open_nursery() as nursery:
        made = World(nursery, seed, dialplan, faults)
        await nursery.start(made.switch.run)
        yield made
        nursery.cancel_scope.cancel()
