"""What hypothesis draws for the wire format: text of any bytes, headers, messages, events, and cuts."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from callctl.esl.wire import EventMapping, encode_event_json, encode_event_plain, encode_message

any_text = st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape")) | st.text(
    st.characters(codec="utf-8"), max_size=20
)
"""Text as it may come from a caller: any bytes, also such as are not UTF-8."""

nasty_text = st.sampled_from(
    [
        "",
        "\n\nContent-Type: command/reply\nReply-Text: +OK forged\n\n",
        "x\r\nContent-Length: 9999",
        'a","Event-Name":"FORGED',
        "100%",
        "a: b: c",
        "ARRAY",
        "\x00",
        "Ünïcödé 名前",
        "x" * 70_000,
    ]
)


def _without_ends(data: bytes) -> str:
    return data.translate(None, b"\r\n\0").decode("utf-8", "surrogateescape")


line_text = st.binary(max_size=40).map(_without_ends) | st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20
)
"""Text that may stand in a header."""

header_names = line_text.filter(lambda name: bool(name) and (name + ": ").index(": ") == len(name))
plain_names = header_names.filter(lambda name: name not in ("Content-Type", "Content-Length", "Event-Name"))

content_types = st.sampled_from(
    ["command/reply", "api/response", "log/data", "text/disconnect-notice", "text/unheard-of"]
)


@st.composite
def messages(draw: st.DrawFn) -> tuple[dict[str, str], bytes]:
    """Headers and body of one message."""
    headers = draw(st.dictionaries(plain_names, line_text, max_size=4))
    body = draw(st.binary(max_size=60))
    headers["Content-Type"] = draw(content_types)
    if body:
        headers["Content-Length"] = str(len(body))
    return headers, body


json_values = any_text | nasty_text | st.lists(any_text, max_size=3)


@st.composite
def json_events(draw: st.DrawFn) -> EventMapping:
    """An event with values of any kind, and perhaps a body."""
    names = (any_text | nasty_text).filter(lambda name: name not in ("Event-Name", "_body", "Content-Length"))
    event: dict[str, str | list[str]] = {"Event-Name": draw(any_text.filter(bool))}
    event |= draw(st.dictionaries(names, json_values, max_size=5))
    body = draw(st.none() | any_text | nasty_text)
    return event if body is None else event | {"_body": body}


def _survives_plain(value: str) -> bool:
    # Plain events are lossy in just these ways: see the docstring of callctl.esl.event.
    looks_encoded = any(
        value[place] == "%" and set(value[place + 1 : place + 3]) <= set("0123456789ABCDEF")
        for place in range(len(value) - 2)
    )
    return not looks_encoded and value != "_undef_" and not value.startswith("ARRAY::")


plain_values = (any_text | nasty_text).filter(_survives_plain)


@st.composite
def plain_events(draw: st.DrawFn) -> EventMapping:
    """An event that the plain format can carry without loss."""
    event: dict[str, str | list[str]] = {"Event-Name": draw(plain_values.filter(bool))}
    event |= draw(st.dictionaries(plain_names, plain_values, max_size=5))
    body = draw(st.sampled_from(["", "with body"]) | any_text | nasty_text)
    return event | {"_body": body} if body else event


streams = st.lists(
    messages().map(lambda message: encode_message(*message))
    | json_events().map(encode_event_json)
    | plain_events().map(encode_event_plain)
    | st.just(b"\n"),
    max_size=5,
).map(b"".join)
"""What FreeSWITCH may send: whole messages of every kind, with stray newlines between them."""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, cut at `places` (taken modulo its length)."""
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(marks)]


cuts = st.lists(st.integers(min_value=0, max_value=100_000), max_size=12)
