"""Somebody who may connect to the listener for calls, and says there that it is FreeSWITCH."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from callctl.esl.wire import CommandDecoder, encode_connect_reply, encode_message


class Impostor:
    """Claims channels of a switch, and agrees to whatever is ordered then."""

    def __init__(self, nursery: trio.Nursery, port: int, core_uuid: str) -> None:
        self._nursery = nursery
        self._port = port
        self._core_uuid = core_uuid
        self.asked: list[str] = []
        """What callctl has sent, by its first line."""
        self.open = 0
        """How many of its connections are open."""

    async def claim(self, uuid: str, **headers: str) -> None:
        """Connect, and say that this is the call of channel `uuid`."""
        stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        self.open += 1
        self._nursery.start_soon(self._answer, stream, uuid, headers)

    async def claim_all(self, uuids: Iterable[str], **headers: str) -> None:
        """Claim many channels at once."""
        async with trio.open_nursery() as nursery:
            for uuid in uuids:
                nursery.start_soon(lambda uuid=uuid: self.claim(uuid, **headers))

    async def _answer(self, stream: trio.SocketStream, uuid: str, headers: dict[str, str]) -> None:
        decoder = CommandDecoder()
        told = {
            "Event-Name": "CHANNEL_DATA",
            "Core-UUID": self._core_uuid,
            "Unique-ID": uuid,
            "Content-Type": "command/reply",
            "Reply-Text": "+OK\n",
            "Socket-Mode": "async",
            "Control": "full",
            "Channel-State": "CS_EXECUTE",
            "Answer-State": "answered",
            "Caller-Caller-ID-Number": "666",
            "Caller-Destination-Number": "callctl-wait",
            "variable_queue": "caller",
            **headers,
        }
        try:
            async for data in stream:
                decoder.receive_data(data)
                while (command := decoder.next_command()) is not None:
                    self.asked.append(command.line)
                    if command.line == "connect":
                        await stream.send_all(encode_connect_reply(told))
                    elif command.line.startswith("api"):
                        await stream.send_all(encode_message({"Content-Type": "api/response"}, b"+OK"))
                    else:
                        await stream.send_all(
                            encode_message({"Content-Type": "command/reply", "Reply-Text": "+OK"})
                        )
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.open -= 1
            await trio.aclose_forcefully(stream)
