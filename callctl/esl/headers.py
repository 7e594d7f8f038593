"""The headers of a message, kept as the bytes that came, and decoded when they are asked for.

An event has some 150 headers and the reply to `connect` 220, of which callctl reads a dozen. As a dict of
texts they would cost several times the work and the memory of the bytes.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload
from urllib.parse import unquote_to_bytes

import msgspec

from callctl.errors import RemoteProtocolError

HeaderValue = str | list[str]

_V = TypeVar("_V")
_D = TypeVar("_D")

UNDEFINED = "_undef_"
"""How a plain message writes an empty value."""

ARRAY = "ARRAY::"
ARRAY_SEPARATOR = "|:"
"""How a plain message writes a list."""

AT_ONCE = (
    "Event-Name",
    "Unique-ID",
    "Answer-State",
    "Caller-Channel-Answered-Time",
    "Caller-Channel-Bridged-Time",
    "Caller-Channel-Hangup-Time",
    "Channel-Presence-ID",
    "Event-Date-Timestamp",
    "Event-Subclass",
    "Event-Sequence",
    "Job-UUID",
    "Hangup-Cause",
    "Application",
    "Application-UUID",
    "Application-Response",
    "Bridge-A-Unique-ID",
    "Bridge-B-Unique-ID",
    "Caller-Channel-Progress-Media-Time",
    "Caller-Channel-Progress-Time",
    "DTMF-Digit",
    "from-host",
    "from-user",
    "host",
    "user",
    "variable_callctl_accepted",
    "variable_cc_side",
    "variable_hold_accum_ms",
    "variable_last_bridge_to",
    "variable_playback_ms",
    "variable_sip_hangup_disposition",
    "variable_socket_resume",
    "Channel-State",
    "Other-Leg-Destination-Number",
    "variable_bridge_to",
    "variable_current_application",
    "variable_current_application_data",
    "variable_transfer_source",
)
"""What callctl reads of events in JSON. Each name more costs every event 0.1 µs, and a header that is read
without being here costs a decoding of the whole event, 10 µs."""

_BODY = "_body"

_FEW_LINES = 8
"""So many headers are sooner read than found; only the reply to `connect` has more."""

_FEW_ASKED = 12
"""Of that reply so many are sooner found than read: each takes 2 µs, and reading all of them 30. What this
package asks for are 11; a whole call asks for 45."""


class _Headers(Mapping[str, _V]):
    """Headers by name: one is found by itself, and what needs them all makes a dict of them and keeps it."""

    __slots__ = ("_all",)

    _all: Mapping[str, _V] | None

    @abstractmethod
    def _find(self, name: str) -> _V | None:
        """Return one header's value, or None where it is not there."""

    @abstractmethod
    def _decode_all(self) -> Mapping[str, _V]:
        """Return every header, in the order in which they came."""

    def _everything(self) -> Mapping[str, _V]:
        if self._all is None:
            self._all = self._decode_all()
        return self._all

    @overload
    def get(self, key: str, /) -> _V | None: ...
    @overload
    def get(self, key: str, /, default: _V | _D) -> _V | _D: ...
    def get(self, key: str, /, default: object = None) -> object:
        """Return a header's value, or `default` where it is not set."""
        value = self._find(key)
        return default if value is None else value

    def __getitem__(self, key: str) -> _V:
        value = self._find(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._everything())

    def __len__(self) -> int:
        return len(self._everything())

    def __repr__(self) -> str:
        return repr(dict(self))


def headers_of(block: bytes, lines: int) -> Mapping[str, str]:
    """Return the headers in a block of so many lines, as HeaderLines has them."""
    return (_read_plainly(block) if lines <= _FEW_LINES else None) or HeaderLines(block)


def _read_plainly(block: bytes) -> dict[str, str] | None:
    """Return the headers of a block in which each line is one, with a name of its own; None of another."""
    lines = _text(block[1:-1]).split("\n")
    try:
        headers = dict([line.split(": ", 1) for line in lines])
    except ValueError:
        return None
    return headers if len(headers) == len(lines) and "" not in headers else None


class HeaderLines(_Headers[str]):
    """The lines of a header block, with their values as received: not percent-decoded.

    A name ends at the first colon and space, as it may hold a colon. Where one is repeated the first wins. A
    line that is no header belongs to the value before it, as a Reply-Text may hold raw newlines.
    """

    __slots__ = ("_asked", "_block")

    def __init__(self, block: bytes) -> None:
        """`block` begins with a line feed, ends with one, and its first line is a header."""
        self._all = None
        self._block = block
        self._asked = 0

    def _find(self, name: str) -> str | None:
        self._asked += 1
        if self._all is not None or self._asked > _FEW_ASKED:
            return self._everything().get(name)
        if not name or ": " in name or "\n" in name:
            return None
        try:
            start = b"\n%b: " % name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return None  # nothing that was received is called so
        block = self._block
        found = block.find(start)
        if found < 0:
            return None
        begin = found + len(start)
        end = block.index(b"\n", begin)
        while not _is_header(block, end + 1):
            end = block.index(b"\n", end + 1)
        return _text(block[begin:end])

    def _decode_all(self) -> dict[str, str]:
        return _read_plainly(self._block) or self._read_with_care()

    def _read_with_care(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        values: list[str] = []
        last = ""
        for line in _text(self._block[1:-1]).split("\n"):
            name, separator, value = line.partition(": ")
            if separator and name:
                headers.setdefault(last, "\n".join(values))
                last, values = name, [value]
            else:
                values.append(line)
        headers.setdefault(last, "\n".join(values))
        del headers[""]
        return headers


def _is_header(block: bytes, begin: int) -> bool:
    """Say whether the line at `begin` is a header of its own; so counts the end of the block."""
    line_end = block.find(b"\n", begin)
    return line_end < 0 or block.find(b": ", begin, line_end) > begin


class EncodedHeaders(_Headers[HeaderValue]):
    """Plain headers with their true values: percent-decoded, arrays as lists, `_undef_` as empty."""

    __slots__ = ("_encoded",)

    def __init__(self, encoded: Mapping[str, str]) -> None:
        """`encoded` are the headers as received."""
        self._all = None
        self._encoded = encoded

    def _find(self, name: str) -> HeaderValue | None:
        value = self._encoded.get(name)
        return None if value is None else decoded(value)

    def _decode_all(self) -> dict[str, HeaderValue]:
        return {name: decoded(value) for name, value in self._encoded.items()}


def decoded(value: str) -> HeaderValue:
    """Return the true value of a plain header."""
    if value == UNDEFINED:
        return ""
    if "%" in value:
        value = _text(unquote_to_bytes(value.encode("utf-8", "surrogateescape")))
    if value.startswith(ARRAY):
        return value.removeprefix(ARRAY).split(ARRAY_SEPARATOR)
    return value


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


_ATTRIBUTES = {name: f"header{number}" for number, name in enumerate(AT_ONCE)}

_AtOnce = msgspec.defstruct(
    "_AtOnce",
    [
        ("body", str, None),
        # Without a default: what has no name is no event.
        *((attribute, HeaderValue, None) for attribute in _ATTRIBUTES.values()),
    ],
    rename={"body": _BODY} | {attribute: name for name, attribute in _ATTRIBUTES.items()},
    gc=False,
)

_READ_AT_ONCE: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_AtOnce)
_READ_ALL = msgspec.json.Decoder(dict[str, HeaderValue])


class JsonHeaders(_Headers[HeaderValue]):
    """The headers of an event in JSON: those AT_ONCE are decoded now, all others when one is asked for.

    That the others are text is found out then. The event's body is not among them.
    """

    __slots__ = ("_at_once", "_document", "body")

    def __init__(self, document: bytes) -> None:
        """`document` is the event as received; raises RemoteProtocolError where it is none."""
        self._all = None
        self._document = document
        try:
            self._at_once = _READ_AT_ONCE.decode(document)
            self.body: str | None = self._at_once.body
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            headers = _decode_damaged(document, error)
            self.body = _take_body(headers)
            self._all = headers

    def _find(self, name: str) -> HeaderValue | None:
        attribute = _ATTRIBUTES.get(name)
        if attribute is None or self._all is not None:
            return self._everything().get(name)
        value: HeaderValue | None = getattr(self._at_once, attribute)
        return value

    def _decode_all(self) -> dict[str, HeaderValue]:
        """Return all headers; raises RemoteProtocolError where one is no text."""
        try:
            headers = _READ_ALL.decode(self._document)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            headers = _decode_damaged(self._document, error)
        _take_body(headers)
        return headers


def _take_body(headers: dict[str, HeaderValue]) -> str | None:
    body = headers.pop(_BODY, None)
    if isinstance(body, list):
        raise RemoteProtocolError("the body of a JSON event is not text")
    if body is not None:
        headers.pop("Content-Length", None)
    return body


def _decode_damaged(document: bytes, error: Exception) -> dict[str, HeaderValue]:
    """Decode JSON with bytes that are not UTF-8, which FreeSWITCH passes on as they came from the caller.

    The document itself says whether it is damaged, as msgspec reports damage by a UnicodeDecodeError in some
    releases and by a DecodeError in others. Raises RemoteProtocolError, for `error`, where it is not.
    """
    if _is_utf8(document):
        raise _unreadable(error) from error
    try:
        found = json.loads(_text(document))
        return msgspec.convert(found, dict[str, HeaderValue])
    except (ValueError, RecursionError) as error:
        raise _unreadable(error) from error


def _is_utf8(document: bytes) -> bool:
    try:
        document.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _unreadable(error: Exception) -> RemoteProtocolError:
    return RemoteProtocolError(f"a JSON event cannot be read: {error}")
