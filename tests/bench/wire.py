"""What the wire format costs: events and replies from bytes to records, and commands to bytes."""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from functools import partial

from callctl.call.variables import arrival_from, way_back
from callctl.esl import commands
from callctl.esl.wire import Decoder, Event, Message, event_of
from tests.bench.figures import Figure
from tests.bench.subject import Size, command
from tests.recordings import received, recordings

UUID = "3f0f6c1e-7d35-4a7b-9f3c-5a1d0c9e2b77"
RUNS = 20
"""So few at a time that some rounds are disturbed by nothing else that the machine does."""


async def measure(size: Size) -> list[Figure]:
    """A 6 kB event in JSON, the reply to `connect` and a command: the least of many rounds."""
    rounds = size.whole(2, 100, 1000)
    event, connect_reply = typical_event(), typical_connect_reply()
    framed = b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(event.body), event.body)
    decoder = Decoder()

    def micros(work: Callable[[], object]) -> float:
        return min(timeit.repeat(work, number=RUNS, repeat=rounds)) / RUNS * 1e6

    def read(data: bytes) -> Event:
        decoder.receive_data(data)
        message = decoder.next_message()
        assert message is not None
        return event_of(message)

    typed, whole = micros(partial(event_of, event)), micros(partial(json.loads, event.body))
    return [
        Figure(what="an event, bytes to record", measured=typed, unit="µs", goal=8),
        Figure(what="json.loads on the same bytes", measured=whole, unit="µs"),
        Figure(what="an event, compared with json.loads", measured=typed / whole, unit="", goal=0.5),
        Figure(what="an event, with its framing", measured=micros(partial(read, framed)), unit="µs"),
        Figure(
            what="an event, all headers", measured=micros(lambda: dict(event_of(event).headers)), unit="µs"
        ),
        Figure(what="the reply to connect", measured=micros(partial(read, connect_reply)), unit="µs"),
        Figure(
            what="the reply to connect, with what a call reads of it",
            measured=micros(lambda: _begin_call(read(connect_reply))),
            unit="µs",
        ),
        *(
            Figure(what=f"command {name}", measured=micros(make), unit="µs")
            for name, make in _COMMANDS.items()
        ),
    ]


def typical_event() -> Message:
    """Return the recorded event in JSON whose size is nearest to 6 kB, which most have."""
    return min(
        (message for message in _messages() if message.content_type == "text/event-json"),
        key=lambda message: abs(len(message.body) - 6000),
    )


def typical_connect_reply() -> bytes:
    """Return the bytes of the recorded reply to `connect` whose size is nearest to 6 kB."""
    replies = (
        "".join(f"{name}: {value}\n" for name, value in message.headers.items()).encode() + b"\n"
        for message in _messages()
        if "Event-Name" in message.headers
    )
    return min(replies, key=lambda reply: abs(len(reply) - 6000))


def _messages() -> list[Message]:
    found = []
    for path in recordings("json"):
        for stream in received(path).values():
            decoder = Decoder()
            decoder.receive_data(stream)
            while (message := decoder.next_message()) is not None:
                found.append(message)
    return found


def _begin_call(data: Event) -> None:
    data.get("Reply-Text")
    data.get("Socket-Mode")
    data.get("Control")
    arrival_from(data, switch="fs1", default_queue="caller", new_call="call", now=0.0)
    way_back(data)


_LEG_VARIABLES = {
    "cc_side": "agent",
    "cc_queue": "caller",
    "cc_agent": "1001",
    "cc_member_uuid": UUID,
    "callctl_call": UUID,
    "callctl_offer": UUID,
    "callctl_owner": "callctl",
    "ignore_early_media": "true",
    "origination_caller_id_name": "Ada Lovelace",
    "origination_caller_id_number": "+4930123456",
}

_WAIT_VARIABLES = {
    "socket_resume": "true",
    "hangup_after_bridge": "false",
    "cc_queue": "caller",
    "cc_queue_joined_epoch": "1795362601.123",
    "callctl_call": UUID,
}


def _originate() -> bytes:
    text = commands.originate(leg_uuid=UUID, dialstring="user/1001", timeout=20, variables=_LEG_VARIABLES)
    return commands.bgapi(text, job_uuid=UUID).encode()


_COMMANDS: dict[str, Callable[[], bytes]] = {
    "linger": lambda: commands.linger(10).encode(),
    "execute": lambda: commands.execute("playback", "local_stream://moh", event_uuid=UUID).encode(),
    "uuid_setvar_multi": lambda: commands.api(commands.uuid_setvar_multi(UUID, _WAIT_VARIABLES)).encode(),
    "originate": _originate,
}


if __name__ == "__main__":
    command(measure)
