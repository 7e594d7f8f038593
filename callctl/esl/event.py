"""A message becomes an event, whichever of its formats it came in, and back again.

callctl asks for JSON, which carries the true values. Plain events and the reply to `connect` (which is
always plain) are percent-encoded and lossy: a value that holds `%41` comes out as `A`, and an empty one
and one that is `_undef_` come out alike, as empty. XML is not read, since callctl never asks for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from attrs import frozen

from callctl.errors import RemoteProtocolError, UnreadableAnswer
from callctl.esl.framing import Message, encode_message, encode_text, header_line
from callctl.esl.headers import (
    ARRAY,
    ARRAY_SEPARATOR,
    UNDEFINED,
    EncodedHeaders,
    HeaderValue,
    JsonHeaders,
    decoded,
)

_UNSAFE = re.compile(rb"""%(?![0-9A-F]{2})|[^!-~]|[#&+:;<=>?@\[\\\]^`{|}"]""")
"""What switch_url_encode encodes: SWITCH_URL_UNSAFE, all outside printable ASCII, and a percent sign unless
it looks like an encoded byte already (which is how `%41` gets lost)."""


@frozen
class Event:
    """What FreeSWITCH tells: its name, its headers with their true values, and its body as text.

    A header that is set several times is a list. Text that is not UTF-8 is kept by surrogateescape, so it
    must be cleaned (`text.encode("utf-8", "replace")`) where only Unicode is taken, as in a database.
    Of an event that FreeSWITCH sent, most headers are decoded when one is asked for (see `headers`): what is
    no text there raises RemoteProtocolError then.
    """

    name: str
    headers: Mapping[str, HeaderValue]
    body: str = ""

    def get(self, key: str, default: str = "") -> str:
        """Return a header's value, the first one of a list, or `default` where it is not set."""
        value = self.headers.get(key, default)
        if isinstance(value, str):
            return value
        return value[0] if value else default

    def variable(self, name: str, default: str = "") -> str:
        """Return the channel variable `name` as this event carries it."""
        return self.get(f"variable_{name}", default)

    @property
    def uuid(self) -> str:
        """The channel that this event is about, or ""."""
        return self.get("Unique-ID")

    @property
    def sequence(self) -> int:
        """The order in which FreeSWITCH made its events, or 0; they may arrive in another one."""
        digits = self.get("Event-Sequence")
        return int(digits) if digits.isascii() and digits.isdigit() else 0


def is_event(message: Message) -> bool:
    """Say whether this message is an event that nobody asked for, rather than a reply or a notice."""
    return message.content_type.startswith("text/event-")


def event_of(message: Message) -> Event:
    """Decode an event, or the plain reply to `connect`.

    Raises RemoteProtocolError when this one message is damaged or of another kind. The framing is sound
    then: the stream goes on with the next message.
    """
    if message.content_type == "text/event-json":
        headers = JsonHeaders(message.body)
        return _named(headers, headers.body or "")
    if message.content_type == "text/event-plain":
        return _event_of_plain(message.body)
    if message.content_type == "command/reply" and "Event-Name" in message.headers:
        return _named(EncodedHeaders(message.headers), _text(message.body))
    raise RemoteProtocolError(f"not an event that callctl reads: {message.content_type[:60]!r}")


def channel_of(answer: str) -> Event:
    """Return the channel that an answer to `uuid_dump … json` describes; raises UnreadableAnswer."""
    try:
        headers = json.loads(answer)
    except ValueError as error:
        raise UnreadableAnswer(f"this describes no channel: {answer[:60]!r}") from error
    if not isinstance(headers, dict) or not all(isinstance(value, str | list) for value in headers.values()):
        raise UnreadableAnswer(f"this describes no channel: {answer[:60]!r}")
    return Event("CHANNEL_DATA", headers)


def _event_of_plain(body: bytes) -> Event:
    block, _, rest = body.partition(b"\n\n")
    headers: dict[str, HeaderValue] = {}
    for line in _text(block).split("\n"):
        name, separator, value = line.partition(": ")
        if not separator or not name:
            raise RemoteProtocolError(f"a plain event has a line that is no header: {line[:60]!r}")
        headers.setdefault(name, decoded(value))
    if not rest:
        return _named(headers, "")
    length = headers.pop("Content-Length", "")
    if length != str(len(rest)):
        raise RemoteProtocolError(f"the body of a plain event has {len(rest)} bytes, not {length[:20]!r}")
    return _named(headers, _text(rest))


def _named(headers: Mapping[str, HeaderValue], body: str) -> Event:
    name = headers.get("Event-Name")
    if not isinstance(name, str) or not name:
        raise RemoteProtocolError("an event has no Event-Name")
    return Event(name, headers, body)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


EventMapping = Mapping[str, str | Sequence[str]]
"""An event to encode: its headers in their order; `_body`, if there, is its body."""


def encode_event_json(event: EventMapping) -> bytes:
    """Return `event` as the message that FreeSWITCH sends after `event json`."""
    document: dict[str, str | Sequence[str]] = dict(event)
    if "_body" in document:
        text = document.pop("_body")
        document["Content-Length"] = str(len(encode_text(str(text))))
        document["_body"] = text
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return _event_message("json", encode_text(body))


def encode_event_plain(event: EventMapping) -> bytes:
    """Return `event` as the message that FreeSWITCH sends after `event plain`.

    Raises LocalProtocolError for a name that would not stay one header.
    """
    text = event.get("_body", "")
    body = encode_text(str(text))
    block = "".join(_plain_line(name, value) for name, value in event.items() if name != "_body")
    if body:
        block += f"Content-Length: {len(body)}\n"
    return _event_message("plain", encode_text(block) + b"\n" + body)


def encode_connect_reply(event: EventMapping) -> bytes:
    """Return `event` (CHANNEL_DATA) as FreeSWITCH answers `connect`: plain, and the headers are the message.

    The mapping must hold the Content-Type (`command/reply`) and Reply-Text, as FreeSWITCH puts them there.
    """
    block = "".join(_plain_line(name, value) for name, value in event.items())
    return encode_text(block) + b"\n"


def _plain_line(name: str, value: str | Sequence[str]) -> str:
    if not isinstance(value, str):
        value = ARRAY + ARRAY_SEPARATOR.join(value)
    data = encode_text(value)
    encoded = _UNSAFE.sub(lambda found: b"%%%02X" % found.group()[0], data).decode("ascii")
    return header_line(name, encoded or UNDEFINED)


def _event_message(form: str, body: bytes) -> bytes:
    return encode_message({"Content-Length": str(len(body)), "Content-Type": f"text/event-{form}"}, body)
