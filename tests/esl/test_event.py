"""Messages become events with their true values, in each format, and nobody can forge one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callctl.errors import RemoteProtocolError
from callctl.esl.wire import (
    Decoder,
    Event,
    Message,
    encode_connect_reply,
    encode_event_json,
    encode_event_plain,
    event_of,
    is_event,
)
from tests.esl.strategies import any_text, json_events, nasty_text, plain_events
from tests.recordings import received, recordings


def events_in(stream: bytes) -> list[Event]:
    decoder = Decoder()
    decoder.receive_data(stream)
    found = []
    while (message := decoder.next_message()) is not None:
        found.append(event_of(message))
    assert not decoder.is_midway
    return found


def json_event(body: bytes) -> Event:
    return event_of(Message("text/event-json", {}, body))


def plain_event(body: bytes) -> Event:
    return event_of(Message("text/event-plain", {}, body))


@pytest.mark.parametrize("form", ["plain", "json"])
def test_every_event_of_every_recording_is_understood(form):
    names = set()
    for path in recordings(form):
        for stream in received(path).values():
            decoder = Decoder()
            decoder.receive_data(stream)
            while (message := decoder.next_message()) is not None:
                if is_event(message) and message.content_type != "text/event-xml":
                    event = event_of(message)
                    assert event.sequence > 0
                    names.add(event.name)
    assert {"CHANNEL_BRIDGE", "CHANNEL_HANGUP_COMPLETE", "BACKGROUND_JOB", "DTMF"} <= names


def test_odd_caller_names_come_out_true_in_both_formats():
    [path] = [path for path in recordings("plain") if "odd_headers" in path.name]
    found = set()
    for stream in received(path).values():
        decoder = Decoder()
        decoder.receive_data(stream)
        while (message := decoder.next_message()) is not None:
            if is_event(message):
                found.add(event_of(message).get("Caller-Caller-ID-Name"))
    assert {name for name in found if name and not name.isascii()}
    assert any("%" in name or ":" in name or '"' in name for name in found)


def test_the_reply_to_connect_is_an_event_with_decoded_values():
    [path] = [path for path in recordings("json") if "outbound_pipelined" in path.name]
    decoder = Decoder()
    decoder.receive_data(received(path)["outbound-1"])
    message = decoder.next_message()
    assert message is not None
    event = event_of(message)
    assert (event.name, event.get("Reply-Text")) == ("CHANNEL_DATA", "+OK\n")
    assert (event.get("Socket-Mode"), event.get("Control")) == ("async", "full")
    assert event.variable("source") == "sip_trunk"
    assert len(event.uuid) == 36


@given(json_events())
def test_json_events_survive_encoding_whatever_their_values(event):
    [decoded] = events_in(encode_event_json(event))
    headers = {name: value for name, value in event.items() if name != "_body"}
    assert decoded == Event(str(event["Event-Name"]), headers, str(event.get("_body", "")))


@given(plain_events())
def test_plain_events_survive_encoding_but_for_their_known_losses(event):
    [decoded] = events_in(encode_event_plain(event))
    headers = {name: value for name, value in event.items() if name != "_body"}
    assert decoded == Event(str(event["Event-Name"]), headers, str(event.get("_body", "")))


@given(any_text | nasty_text)
@example("\n\nContent-Type: text/event-json\nContent-Length: 2\n\n{}")
@example("\nvariable_callctl_call: forged")
@example('x","variable_callctl_call":"forged')
@example("%0Avariable_callctl_call: forged")
def test_a_callers_value_forges_no_header_and_no_message(value):
    event = {"Event-Name": "CHANNEL_CREATE", "Caller-Caller-ID-Name": value, "Unique-ID": "u"}
    for encode in (encode_event_json, encode_event_plain):
        [decoded] = events_in(encode(event))
        assert decoded.headers.keys() == event.keys()
        assert decoded.uuid == "u"
    reply = {"Content-Type": "command/reply", **event}
    [decoded] = events_in(encode_connect_reply(reply))
    assert decoded.headers.keys() == reply.keys()


def test_plain_values_lose_what_freeswitch_loses():
    [event] = events_in(encode_event_plain({"Event-Name": "E", "a": "%41", "b": "", "c": "_undef_"}))
    assert [event.get(name, "none") for name in "abc"] == ["A", "", ""]


def test_lists_come_as_lists_in_both_formats_and_get_gives_the_first():
    sent = {"Event-Name": "E", "variable_x": ["one", "two: 2"]}
    for encode in (encode_event_json, encode_event_plain):
        [event] = events_in(encode(sent))
        assert event.headers["variable_x"] == ["one", "two: 2"]
        assert event.variable("x") == "one"


@pytest.mark.fault(2)
@pytest.mark.parametrize("name", ["user", "variable_that_nobody_reads_at_once"])
def test_a_registration_whose_user_is_not_utf8_is_read_with_every_release_of_msgspec(name):
    event = json_event(b'{"Event-Name":"CUSTOM","%b":"m\xfcller","from-host":"a.example"}' % name.encode())
    assert event.get(name).encode("utf-8", "surrogateescape") == b"m\xfcller"
    assert event.get("from-host") == "a.example"


def test_json_that_is_not_utf8_is_read_all_the_same():
    event = json_event(b'{"Event-Name":"E","Caller-Caller-ID-Name":"J\xfcrgen","variable_x":["\xff"]}')
    assert event.get("Caller-Caller-ID-Name").encode("utf-8", "surrogateescape") == b"J\xfcrgen"
    assert event.variable("x") == "\udcff"


def test_repeated_keys_in_json_are_no_damage():
    event = json_event(b'{"Event-Name":"E","Hangup-Cause":"USER_BUSY","Hangup-Cause":"USER_BUSY"}')
    assert event.get("Hangup-Cause") == "USER_BUSY"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"{",
        b'{"Event-Name":""}',
        b'{"Event-Name":["E"]}',
        b'{"Event-Name":1}',
        b'{"Event-Name":"E","Unique-ID":{"b":"c"}}',
        b'{"Event-Name":"E","Unique-ID":null}',
        b'{"Event-Name":"E","a":nul}',
        b'{"Event-Name":"E","a":' + b"[" * 100_000,
        b'{"Event-Name":"E","_body":["x"]}',
        b'{"Event-Name":"\xff","_body":["x"]}',
        b'{"Event-Name":"E"} trailing',
        b'{"Event-Name":"E\xff","a":1}',
        b'{"Event-Name":"\xff","a":' + b"[" * 100_000,
        b"[" * 100_000,
    ],
)
def test_a_damaged_json_event_is_a_clean_error(body):
    with pytest.raises(RemoteProtocolError):
        json_event(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        b"no header\n\n",
        b"a: b\n\n",
        b"Event-Name: E\nContent-Length: 9\n\nbody",
        b"Event-Name: E\n\nbody",
    ],
)
def test_a_damaged_plain_event_is_a_clean_error(body):
    with pytest.raises(RemoteProtocolError):
        plain_event(body)


@given(st.binary(max_size=200), st.sampled_from(["text/event-json", "text/event-plain"]))
def test_any_body_is_an_event_or_a_clean_error(body, content_type):
    try:
        event = event_of(Message(content_type, {}, body))
        assert event.name
        assert event.name in event.headers.values()
    except RemoteProtocolError:
        return


@pytest.mark.parametrize("content_type", ["text/event-xml", "log/data", "command/reply", "api/response"])
def test_what_is_not_an_event_says_so(content_type):
    with pytest.raises(RemoteProtocolError, match="not an event"):
        event_of(Message(content_type, {"Content-Type": content_type}, b""))


@pytest.mark.parametrize(("text", "sequence"), [("17", 17), ("", 0), ("-3", 0), ("x", 0), ("²", 0)])
def test_the_sequence_is_a_number_or_nothing(text, sequence):
    assert Event("E", {"Event-Sequence": text}).sequence == sequence
