"""How many commands and events a handled call takes, on both connections together.

The other side is callctl's stand-in for FreeSWITCH, which was held against the recordings, as it is about
which events pass the filters; a count of every byte that goes by is taken between the two. What a server
asks at its login and every half minute belongs to no call, and is not in it.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path

import trio

from callctl.cli.stage import free_port
from callctl.esl.wire import CommandDecoder, Decoder, event_of, is_event
from callctl.ids import Ids
from callctl.sim.dialplan import house_dialplan
from callctl.sim.people import Caller, Endpoint
from callctl.sim.switch import Switch
from tests.bench.figures import Figure
from tests.bench.house import SETTLED_SECONDS, Floor, ServerProcess, until
from tests.bench.subject import Size, command

COMMANDS_GOAL = 12
EVENTS_GOAL = 16

RATE = 10.0
"""Calls a second, so that all are over before the server looks after its switch again."""


class _Counts:
    """What went by, by name."""

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()
        self.events: Counter[str] = Counter()

    def clear(self) -> None:
        self.commands.clear()
        self.events.clear()


class _Tap(trio.abc.Stream):
    """The switch's end of a connection, with both directions counted."""

    def __init__(self, stream: trio.abc.Stream, counts: _Counts) -> None:
        self._stream = stream
        self._counts = counts
        self._commands = CommandDecoder()
        self._messages = Decoder()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._messages.receive_data(bytes(data))
        while (message := self._messages.next_message()) is not None:
            if is_event(message):
                self._counts.events[event_of(message).name] += 1
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self._commands.receive_data(data)
        while (order := self._commands.next_command()) is not None:
            words = order.line.split()
            name = order.headers.get("execute-app-name") or (words[1] if words[0] == "api" else words[0])
            self._counts.commands[name] += 1
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _count(calls: int) -> _Counts:
    counts = _Counts()
    port = await free_port()

    async def dial(host: str, port: int) -> trio.abc.Stream:
        return _Tap(await trio.open_tcp_stream(host, port), counts)

    with tempfile.TemporaryDirectory(prefix="callctl-bench-") as folder:
        async with trio.open_nursery() as nursery:
            switch = Switch(
                random=random.Random(0),
                ids=Ids(random.Random(1)),
                dial=dial,
                dialplan=house_dialplan(f"127.0.0.1:{port}"),
            )
            await nursery.start(switch.run)

            async def take(stream: trio.SocketStream) -> None:
                await switch.serve_inbound(_Tap(stream, counts))

            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, take, [listener])
            floor = Floor(agents=2 * int(RATE) + 2)
            for number in range(floor.agents):
                phone = Endpoint(answer_after=0.2, talk_seconds=1.0)
                switch.add_endpoint(f"user/{floor.agent(number)}", phone)
            switch_port: int = listener.socket.getsockname()[1]
            server = ServerProcess(Path(folder), floor, port=port, switch_port=switch_port)
            try:
                await server.hire()
                await server.start()
                await trio.sleep(SETTLED_SECONDS)
                counts.clear()
                for number in range(calls):
                    switch.place_call(Caller(number=f"4930{number:07d}"))
                    await trio.sleep(1 / RATE)
                await until(lambda: not switch.channels())
                await trio.sleep(0.2)
                await server.stop()
            finally:
                server.abandon()
            nursery.cancel_scope.cancel()
    return counts


async def measure(size: Size) -> list[Figure]:
    """Commands and events per handled call, both connections together."""
    calls = size.whole(2, 50, 200)
    counts = await _count(calls)
    del counts.events["HEARTBEAT"]
    return [
        Figure(
            what="commands for a handled call",
            measured=counts.commands.total() / calls,
            unit="",
            goal=COMMANDS_GOAL,
        ),
        Figure(
            what="events for a handled call",
            measured=counts.events.total() / calls,
            unit="",
            goal=EVENTS_GOAL,
        ),
        *(
            Figure(what=f"of these {kind}: {name}", measured=number / calls, unit="")
            for kind, counter in (("commands", counts.commands), ("events", counts.events))
            for name, number in sorted(counter.items())
        ),
    ]


if __name__ == "__main__":
    command(measure)
