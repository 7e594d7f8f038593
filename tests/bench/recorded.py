"""The messages of a real FreeSWITCH, with gaps for what differs from call to call.

They are cut out of one recording of a call's whole life, so their sizes are real ones: an event of a talk
has 9 kB, its last one 12. Filling the gaps costs a microsecond or two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from callctl.esl.wire import Decoder, Event, Message, event_of
from tests.recordings import FOLDER, received

CALL = FOLDER / "json" / "call_bridged_hangup_after_bridge.jsonl.gz"
HEARTBEATS = FOLDER / "plain" / "inbound_heartbeat.jsonl.gz"

CALLER_UUID = "e4ae4d8a-4f20-498c-ae34-50f286a6aa67"
LEG_UUID = "adfd28d1-f129-4be2-8c60-da46510e5d99"
JOB_UUID = "6906a31a-d673-4b10-8754-cea1154780fb"
CORE_UUID = "6db9d9c0-5507-4450-83f9-c0ce28eaf92f"
CALLER_NUMBER = "4930123456"

_GAP = re.compile("\x01([a-z]+)\x01")


def _gap(name: str) -> str:
    return f"\x01{name}\x01"


_RECORDED = {
    CALLER_UUID: _gap("caller"),
    LEG_UUID: _gap("leg"),
    JOB_UUID: _gap("job"),
    CALLER_NUMBER: _gap("number"),
}
"""Each of these stands in a recorded message where another call has something else."""


class Template:
    """A text with gaps."""

    def __init__(self, text: str) -> None:
        pieces = _GAP.split(text)
        self._pieces = [piece.encode() for piece in pieces]
        self._gaps = [(index, pieces[index]) for index in range(1, len(pieces), 2)]

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """Return the text with these values in its gaps."""
        pieces = self._pieces.copy()
        for index, name in self._gaps:
            pieces[index] = values[name]
        return b"".join(pieces)

    def event(self, values: Mapping[str, bytes]) -> bytes:
        """Return the message of an event in JSON."""
        body = self.fill(values)
        return b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(body), body)


@cache
def connect_reply() -> Template:
    """What `connect` is answered with.

    Gaps: `caller`, `number`, `queue`, `created` (in µs), and `variables`, which is further header lines.
    """
    [headers] = [message.headers for message in _messages("outbound-1") if message.headers.get("Event-Name")]
    lines = dict(headers) | {
        "Caller-Channel-Created-Time": _gap("created"),
        "variable_queue": _gap("queue"),
    }
    text = "".join(f"{name}: {value}\n" for name, value in lines.items())
    return Template(_with_gaps(text) + _gap("variables") + "\n")


@cache
def channel_event(name: str, channel: str, application: str = "") -> Template:
    """An event of the `caller`'s channel or the agent's `leg`; where it is told, of this application.

    Gaps: `caller`, `leg`, `number`, `variables` (further members of the JSON object, each with a comma ahead
    of it) and `application`, the Application-UUID, where the event has one.
    """
    return _json_template(_found(name, channel, application), {})


@cache
def given_up() -> Template:
    """CHANNEL_HANGUP_COMPLETE of a caller who put the phone down and had talked to nobody."""
    event = _found("CHANNEL_HANGUP_COMPLETE", "caller")
    return _json_template(
        event, {"variable_last_bridge_to": "", "variable_sip_hangup_disposition": "recv_bye"}
    )


@cache
def dump(channel: str, is_bridged: bool) -> Template:
    """What `uuid_dump` says of an answered channel.

    Gaps as in `channel_event`; of one that is bridged, `bridged` and `now` in µs.
    """
    if not is_bridged:
        event = _found("CHANNEL_EXECUTE", channel, "playback" if channel == "caller" else "park")
        changes = {"Event-Name": "CHANNEL_DATA"}
    else:
        event = _found("CHANNEL_UNBRIDGE" if channel == "caller" else "CHANNEL_HANGUP", channel)
        changes = {
            "Event-Name": "CHANNEL_DATA",
            "Answer-State": "answered",
            "Caller-Channel-Bridged-Time": _gap("bridged"),
            "Event-Date-Timestamp": _gap("now"),
        }
    return _json_template(event, changes)


@cache
def job_result() -> Template:
    """BACKGROUND_JOB of an originate.

    Gaps: `job`, `variables` (nothing), and `order` and `result` as they stand in JSON.
    """
    [event] = [
        event for event in _events() if event.name == "BACKGROUND_JOB" and event.get("Job-UUID") == JOB_UUID
    ]
    return _json_template(event, {"Job-Command-Arg": _gap("order"), "_body": _gap("result")})


def heartbeat() -> bytes:
    """A sign of life."""
    [message] = [m for m in _messages("inbound", HEARTBEATS) if m.content_type == "text/event-plain"]
    event = event_of(message)
    return Template(json.dumps(dict(event.headers), separators=(",", ":"))).event({})


def shown_channels(callers: Collection[str], legs: Collection[str], delimiter: str) -> bytes:
    """What `show channels as delim` says of these channels."""
    lines = [delimiter.join(_ROW)] if callers or legs else []
    for uuids, direction in ((callers, "inbound"), (legs, "outbound")):
        _, *others = (_ROW | {"direction": direction}).values()
        rest = delimiter.join(["", *others])
        lines += [uuid + rest for uuid in uuids]
    return "\n".join([*lines, "", f"{len(callers) + len(legs)} total.", ""]).encode()


def _found(name: str, channel: str, application: str = "") -> Event:
    uuid = {"caller": CALLER_UUID, "leg": LEG_UUID}[channel]
    for event in _events():
        if (event.name, event.uuid) == (name, uuid) and application in ("", event.get("Application")):
            return event
    raise LookupError(f"no {name} {application} of the {channel} was recorded")


def _json_template(event: Event, changes: Mapping[str, str]) -> Template:
    document = {name: value for name, value in event.headers.items() if not name.startswith("variable_cc_")}
    if "Application-UUID" in document:
        document["Application-UUID"] = _gap("application")
    # Without the closing brace; json.dumps would escape the marks of the gaps.
    text = json.dumps({**document, **changes}, ensure_ascii=False, separators=(",", ":"))[:-1]
    return Template(_with_gaps(text.replace("\\u0001", "\x01")) + _gap("variables") + "}")


def _with_gaps(text: str) -> str:
    for value, gap in _RECORDED.items():
        text = text.replace(value, gap)
    return text


@cache
def _events() -> list[Event]:
    messages = _messages("inbound")
    return [event_of(message) for message in messages if message.content_type == "text/event-json"]


def _messages(connection: str, recording: Path = CALL) -> list[Message]:
    decoder = Decoder()
    decoder.receive_data(received(recording)[connection])
    messages = []
    while (message := decoder.next_message()) is not None:
        messages.append(message)
    return messages


_ROW = {
    "uuid": "",
    "direction": "inbound",
    "created": "2026-11-22 16:15:58",
    "created_epoch": "1795364158",
    "name": "sofia/external/4930123456@127.0.0.1",
    "state": "CS_EXECUTE",
    "cid_name": "Ada Caller",
    "cid_num": "4930123456",
    "ip_addr": "127.0.0.1",
    "dest": "callctl-wait",
    "application": "playback",
    "application_data": "local_stream://moh",
    "dialplan": "XML",
    "context": "public",
    "read_codec": "PCMU",
    "read_rate": "8000",
    "read_bit_rate": "64000",
    "write_codec": "PCMU",
    "write_rate": "8000",
    "write_bit_rate": "64000",
    "secure": "",
    "hostname": "vm",
    "presence_id": "",
    "presence_data": "",
    "accountcode": "",
    "callstate": "ACTIVE",
    "callee_name": "",
    "callee_num": "",
    "callee_direction": "",
    "call_uuid": "",
    "sent_callee_name": "",
    "sent_callee_num": "",
    "initial_cid_name": "Ada Caller",
    "initial_cid_num": "4930123456",
    "initial_ip_addr": "127.0.0.1",
    "initial_dest": "callctl",
    "initial_dialplan": "XML",
    "initial_context": "public",
}
"""The columns of `show channels`, as long as they mostly are."""
