"""A recording as something to replay: what the controller said when, and what came back, message by message.

Both sides of a comparison are told as `Told`: what one connection heard of one channel, in the order in which
the switch made it, with everything named that differs from run to run.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Set
from pathlib import Path

from attrs import define, field, frozen

from callctl.esl.wire import Decoder, Event, Message, event_of, is_event
from tests.recordings import steps

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

EVENT_FIELDS = (
    "Call-Direction",
    "Channel-State",
    "Channel-Call-State",
    "Answer-State",
    "Hangup-Cause",
    "Application",
    "Application-Data",
    "Application-Response",
    "Application-UUID",
    "Other-Leg-Unique-ID",
    "Bridge-A-Unique-ID",
    "Bridge-B-Unique-ID",
    "Caller-Caller-ID-Name",
    "Caller-Caller-ID-Number",
    "Caller-Destination-Number",
    "Channel-Name",
    "DTMF-Digit",
    "Playback-Status",
    "Playback-File-Path",
    "Job-UUID",
    "Job-Command",
    "Job-Command-Arg",
    "Event-Info",
    "Socket-Mode",
    "Control",
    "variable_hangup_cause",
    "variable_playback_terminator_used",
    "variable_sip_hangup_disposition",
    "variable_sip_req_user",
    "variable_originate_disposition",
    "variable_bridge_channel",
    "variable_bridge_to",
    "variable_bridge_uuid",
    "variable_last_bridge_to",
    "variable_uuid",
    "variable_direction",
    "variable_socket_resume",
    "variable_force_transfer_context",
    "variable_hangup_after_bridge",
    "variable_caller_uuid",
    "variable_lead_number",
    "variable_call_type",
    "variable_source",
    "variable_account_id",
    "variable_widget_id",
    "variable_queue",
    "variable_origination_uuid",
    "variable_digits",
    "variable_digits_dialed",
    "variable_current_application",
    "variable_current_application_data",
    "variable_endpoint_disposition",
)
"""The fields that are compared: whatever callctl reads, and what says which event it is."""

CALLERS_EXTENSIONS = ("sock", "resume", "failover", "sync")
"""Where callers arrive. Only their number and name are compared: those of the other legs follow the displays
of SIP phones, and callctl never reads them."""

MOMENTS = (
    "Caller-Channel-Created-Time",
    "Caller-Channel-Answered-Time",
    "Caller-Channel-Progress-Time",
    "Caller-Channel-Progress-Media-Time",
    "Caller-Channel-Hangup-Time",
    "Caller-Channel-Bridged-Time",
    "Caller-Channel-Last-Hold",
    "Caller-Channel-Hold-Accum",
    "variable_hold_accum_ms",
    "variable_playback_ms",
    "variable_transfer_source",
)
"""Times and durations, and what holds one, of which it is compared whether they are set at all."""


def is_told(message: Message) -> bool:
    """Whether a message is an event, or the reply to `connect`, which tells as much as one."""
    return is_event(message) or "Event-Name" in message.headers


@frozen
class Said:
    """What the controller wrote at once, or None where it dropped the connection."""

    at: float
    connection: str
    text: str | None


@define
class Connection:
    """What one connection heard: events, and everything else in its order."""

    words: list[Message] = field(factory=list)
    events: list[Event] = field(factory=list)
    counts: Counter[str] = field(factory=Counter)
    """How many messages of each kind came, to see whether as much came as in the recording."""
    _decoder: Decoder = field(factory=Decoder)

    def take(self, data: bytes) -> None:
        self._decoder.receive_data(data)
        while (message := self._decoder.next_message()) is not None:
            if is_told(message):
                self.events.append(event_of(message))
                self.counts[self.events[-1].name] += 1
            else:
                self.words.append(message)
                self.counts["said"] += 1


@frozen
class Turn:
    """One saying of the controller, and how much each connection had heard by then."""

    said: Said
    heard: dict[str, Counter[str]]


@frozen
class Recording:
    """A whole recording."""

    name: str
    turns: list[Turn]
    heard: dict[str, Connection]
    seconds: float

    def chosen(self) -> set[str]:
        """The UUIDs that the controller chose for legs and jobs; they come back unchanged."""
        said = "".join(turn.said.text or "" for turn in self.turns)
        return set(re.findall(r"(?:origination_uuid=|(?i:job|event)-uuid: )([0-9a-f-]{36})", said))


def read(path: Path) -> Recording:
    """Read a recording."""
    heard: dict[str, Connection] = {}
    turns: list[Turn] = []
    last = 0.0
    for step in steps(path):
        connection = heard.setdefault(step.connection, Connection())
        last = step.at
        if step.direction == ">":
            text = None if step.data is None else step.data.decode("utf-8", "surrogateescape")
            counts = {name: other.counts.copy() for name, other in heard.items()}
            turns.append(Turn(Said(step.at, step.connection, text), counts))
        elif step.data is not None:
            connection.take(step.data)
    return Recording(name_of(path), turns, heard, last)


def name_of(path: Path) -> str:
    """Return a recording's name, such as `json/call_dtmf`."""
    return f"{path.parent.name}/{path.name.partition('.')[0]}"


class Names:
    """Names for what differs from run to run: channels by their order at their number.

    What the controller chose itself is known to both sides and keeps its UUID.
    """

    def __init__(self, connections: Iterable[Connection], chosen: Set[str]) -> None:
        """`chosen` are the UUIDs that the controller chose."""
        self._names: dict[str, str] = {}
        seen: dict[str, int] = {}
        created = [
            event
            for connection in connections
            for event in connection.events
            if event.name in ("CHANNEL_CREATE", "CHANNEL_STATE", "CHANNEL_DATA")
            and event.get("Caller-Destination-Number")
        ]
        for event in sorted(created, key=lambda event: event.sequence):
            if event.uuid in self._names or event.uuid in chosen:
                continue
            key = f"{event.get('Caller-Destination-Number')}/{event.get('Caller-ANI')}"
            seen[key] = seen.get(key, 0) + 1
            self._names[event.uuid] = f"<{key}#{seen[key]}>"

    def of(self, text: str) -> str:
        """Return `text` with each channel named."""
        return UUID.sub(lambda found: self._names.get(found[0], found[0]), text)

    def uuid_of(self, name: str) -> str | None:
        """Return the UUID that a name stands for, or None."""
        return next((uuid for uuid, given in self._names.items() if given == name), None)

    def name_of(self, uuid: str) -> str | None:
        return self._names.get(uuid)


def tell_event(event: Event, name: Callable[[str], str]) -> dict[str, str]:
    """Return what is compared of an event."""
    told = {key: name(event.get(key)) for key in EVENT_FIELDS if event.get(key)}
    if (
        event.get("Caller-Destination-Number") not in CALLERS_EXTENSIONS
        or event.get("Call-Direction") != "inbound"
    ):
        for key in ("Caller-Caller-ID-Name", "Caller-Caller-ID-Number"):
            told.pop(key, None)
    told |= {
        key: name(event.get(key))
        for key in event.headers
        if key.startswith(("variable_cc_", "variable_callctl_"))
    }
    told |= {key: "set" for key in MOMENTS if event.get(key, "0") not in ("", "0")}
    if event.body:
        told["body"] = name(_without_numbers(event.body))
    return told


def tell_message(message: Message, name: Callable[[str], str]) -> str:
    """Return a reply, an api response or a notice as one line."""
    headers = message.headers
    parts = [message.content_type]
    for key in (
        "Reply-Text",
        "Content-Disposition",
        "Linger-Time",
        "Controlled-Session-UUID",
        "Channel-Name",
    ):
        if headers.get(key):
            parts.append(f"{key}={name(headers[key])}")
    if '"row_count"' in message.body.decode("utf-8", "surrogateescape"):
        parts.append(_rows(message.body, name))
    elif b"Event-Name" in message.body[:20]:
        parts.append(_dump(message, name))
    elif message.body:
        parts.append(name(_without_numbers(message.body.decode("utf-8", "surrogateescape"))))
    return " | ".join(parts)


def _rows(body: bytes, name: Callable[[str], str]) -> str:
    """Return what is compared of `show … as json`: which channels it knows, in any order."""
    rows = json.loads(body).get("rows", [])
    kept = ("uuid", "direction", "name", "dest", "b_uuid")
    lines = (" ".join(f"{key}={name(row[key])}" for key in kept if row.get(key)) for row in rows)
    return "; ".join(sorted(lines))


def _without_numbers(text: str) -> str:
    """Return a status without its counts and times, which are of that run."""
    return re.sub(r"\d+(\.\d+)?", "N", text) if text.startswith("UP ") else text


def _dump(message: Message, name: Callable[[str], str]) -> str:
    """Return what is compared of `uuid_dump`, which tells what an event tells."""
    form = "json" if message.body.startswith(b"{") else "plain"
    event = event_of(Message(f"text/event-{form}", {}, message.body))
    return " ".join(f"{key}={value}" for key, value in tell_event(event, name).items())
