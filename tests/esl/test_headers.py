"""Headers that are decoded when they are asked for say what they would have said at once, for less."""

from __future__ import annotations

import json
import timeit
import tracemalloc
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callctl.errors import RemoteProtocolError
from callctl.esl.headers import AT_ONCE, HeaderLines, JsonHeaders, headers_of
from callctl.esl.wire import Decoder, Message, event_of
from callctl.sim.torture.hour import HourSettings, run_hour
from tests.recordings import received, recordings


def recorded(content_type: str) -> Iterator[Message]:
    for path in recordings("json"):
        for stream in received(path).values():
            decoder = Decoder()
            decoder.receive_data(stream)
            while (message := decoder.next_message()) is not None:
                if message.content_type == content_type:
                    yield message


# --- the lines of a header block ---


def read_line_by_line(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    last = ""
    for line in block.decode("utf-8", "surrogateescape").split("\n")[1:-1]:
        name, separator, value = line.partition(": ")
        if separator and name:
            last = f"repeated {name}" if name in headers else name
            headers[last] = value
        else:
            headers[last] += "\n" + line
    return {name: value for name, value in headers.items() if not name.startswith("repeated ")}


some_lines = st.lists(
    st.sampled_from(
        [b"a: 1", b"a: 2", b"a:: 3", b"ab: ", b"b: a: 4", b": a: 5", b"raw", b":", b"c:d", b"\xff: \xc3"]
    )
)


@given(
    some_lines,
    st.sampled_from(["a", "a:", "a: ", "ab", "b", "b: a", "", "\n", "raw", "\udcff", "\ud800", "c"]),
)
@example([b"raw"] * 20, "first")
@example([b": ", b"a: 1"], "first")
@example([b"b: a: 4"], "b: a")
@example([b": a: 5"], "")
def test_a_header_is_found_where_reading_every_line_finds_it(lines, name):
    block = b"".join([b"\nfirst: value\n", *(line + b"\n" for line in lines)])
    for headers in (HeaderLines(block), headers_of(block, len(lines) + 1)):
        expected = read_line_by_line(block)
        # Whoever asks often is served otherwise.
        for _ in range(20):
            assert (headers.get(name), name in headers) == (expected.get(name), name in expected)
        assert list(headers.items()) == list(expected.items())
        assert (headers.get(name), name in headers) == (expected.get(name), name in expected)


def test_what_is_not_there_is_missing_as_in_any_mapping():
    headers = HeaderLines(b"\na: 1\n")
    assert headers.get("b") is None
    assert headers.get("b", "else") == "else"
    assert 1 not in headers
    with pytest.raises(KeyError, match="b"):
        headers["b"]
    assert headers == {"a": "1"}
    assert repr(headers) == "{'a': '1'}"


# --- events ---


def test_every_header_of_a_recorded_event_is_found_by_itself_and_among_all():
    events = list(recorded("text/event-json"))
    assert len(events) > 1000
    for message in events:
        expected = json.loads(message.body)
        if "_body" in expected:
            del expected["_body"], expected["Content-Length"]
        event = event_of(message)
        assert {name: event.headers[name] for name in expected} == expected
        assert event_of(message).headers == expected


def test_every_header_of_a_recorded_reply_to_connect_is_found_by_itself_and_among_all():
    replies = [message for message in recorded("command/reply") if "Event-Name" in message.headers]
    assert len(replies) > 10
    for message in replies:
        expected = {name: unquote_to_bytes(value).decode() for name, value in message.headers.items()}
        assert len(expected) > 100
        event = event_of(message)
        assert {name: event.get(name) for name in expected} == expected
        assert event.headers == expected


@pytest.mark.parametrize("value", [b'{"b":"c"}', b"null", b"1", b'["x",1]'])
def test_a_header_that_is_no_text_harms_nobody_who_does_not_ask(value):
    event = event_of(Message("text/event-json", {}, b'{"Event-Name":"E","Unique-ID":"u","odd":%b}' % value))
    assert event.uuid == "u"
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="cannot be read"):
            event.get("odd")


def test_what_is_read_of_events_is_decoded_at_once(monkeypatch):
    asked = set()
    find = JsonHeaders._find

    def noted(self, name):
        asked.add(name)
        return find(self, name)

    monkeypatch.setattr(JsonHeaders, "_find", noted)
    result = run_hour(HourSettings(seed="headers", seconds=300.0, crash_every=100.0))
    assert result.counts["talks"] > 0
    # Whatever is missing there belongs into it.
    assert asked - set(AT_ONCE) == set()


# --- what it costs ---


def typical_event() -> Message:
    """The recorded event whose size is nearest to 6 kB, which is what events have in the middle."""
    return min(recorded("text/event-json"), key=lambda message: abs(len(message.body) - 6000))


def test_an_event_is_read_in_half_the_time_of_the_standard_library_at_most():
    message = typical_event()
    assert event_of(message).uuid

    def best(work):
        # The least of many short runs: whatever else the machine does can only make a run longer.
        return min(timeit.repeat(work, number=20, repeat=200))

    assert best(lambda: event_of(message)) <= 0.5 * best(lambda: json.loads(message.body))


def test_an_event_that_is_kept_holds_little_beside_its_bytes():
    message = typical_event()
    event_of(message)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [event_of(message) for _ in range(100)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(kept) < 2500
