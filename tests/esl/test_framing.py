"""Bytes become messages, however they are cut, damaged or inflated."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callctl.errors import LocalProtocolError, RemoteProtocolError
from callctl.esl.framing import MAX_HEADER_LINES
from callctl.esl.wire import CommandDecoder, CommandMessage, Decoder, Message, encode_message
from tests.esl.strategies import cut, cuts, line_text, messages, streams
from tests.recordings import commanded, received, recordings, steps


def messages_of(pieces: Iterable[bytes], decoder: Decoder | None = None) -> list[Message]:
    decoder = decoder or Decoder()
    found = []
    for piece in pieces:
        decoder.receive_data(piece)
        while (message := decoder.next_message()) is not None:
            found.append(message)
    return found


def commands_of(pieces: Iterable[bytes]) -> list[CommandMessage]:
    decoder = CommandDecoder()
    found = []
    for piece in pieces:
        decoder.receive_data(piece)
        while (command := decoder.next_command()) is not None:
            found.append(command)
    return found


def bytewise(data: bytes) -> Iterable[bytes]:
    return (data[place : place + 1] for place in range(len(data)))


# --- recordings ---


@pytest.mark.parametrize("path", recordings(), ids=lambda path: f"{path.parent.name}/{path.name[:-9]}")
def test_every_recording_is_read_to_its_last_byte_at_its_real_boundaries(path):
    decoders: dict[str, Decoder] = {}
    found = 0
    for step in steps(path):
        if step.direction == "<" and step.data is not None:
            decoder = decoders.setdefault(step.connection, Decoder())
            found += len(messages_of([step.data], decoder))
    assert found > 0
    assert not any(decoder.is_midway for decoder in decoders.values())
    for stream in commanded(path).values():
        decoder = CommandDecoder()
        decoder.receive_data(stream)
        while decoder.next_command() is not None:
            pass
        assert decoder.buffered_bytes == 0


@pytest.mark.parametrize(
    "name", ["plain/inbound_odd_headers", "json/outbound_pipelined", "plain/inbound_bgapi"]
)
def test_a_recording_read_one_byte_at_a_time_gives_the_same_messages(name):
    [path] = [path for path in recordings() if str(path).endswith(f"{name}.jsonl.gz")]
    for stream in received(path).values():
        part = stream[:60_000]
        assert messages_of(bytewise(part)) == messages_of([part])
    for stream in commanded(path).values():
        assert commands_of(bytewise(stream)) == commands_of([stream])


# --- cuts, damage, bounds ---


@given(streams, cuts)
def test_any_cut_of_any_stream_gives_the_same_messages(stream, places):
    assert messages_of(cut(stream, places)) == messages_of([stream])


@given(st.lists(messages(), max_size=5))
def test_decoding_is_the_inverse_of_encoding(sent):
    stream = b"".join(encode_message(headers, body) for headers, body in sent)
    assert [(dict(m.headers), m.body) for m in messages_of([stream])] == sent


@given(streams, st.lists(st.tuples(st.integers(0, 100_000), st.binary(max_size=4)), max_size=4), cuts)
@example(stream=b"Content-Type: a\nContent-Length: 5\n\nabcde", damage=[(33, b"9" * 4)], places=[])
def test_damage_gives_other_messages_or_an_error_that_stays_but_never_more_memory(stream, damage, places):
    for place, junk in damage:
        place %= len(stream) + 1
        stream = stream[:place] + junk + stream[place + 1 :]
    decoder = Decoder(max_header_bytes=4096, max_body_bytes=8192)
    for piece in cut(stream, [*places, *range(0, len(stream), 1000)]):
        try:
            messages_of([piece], decoder)
        except RemoteProtocolError:
            with pytest.raises(RemoteProtocolError):
                decoder.next_message()
            with pytest.raises(RemoteProtocolError):
                decoder.receive_data(b"Content-Type: a\n\n")
            assert decoder.buffered_bytes == 0
            return
        assert decoder.buffered_bytes <= 4096 + 8192


@given(st.binary(max_size=300))
def test_garbage_gives_nothing_but_a_clean_error(garbage):
    for decode in (messages_of, commands_of):
        with suppress(RemoteProtocolError):
            decode(bytewise(garbage))


def test_a_header_block_beyond_its_bound_is_refused_before_more_of_it_is_kept():
    decoder = Decoder(max_header_bytes=1000)
    piece = b"X-Long: " + b"a" * 92
    for _ in range(10):
        decoder.receive_data(piece)
        assert decoder.next_message() is None
        assert decoder.buffered_bytes <= 1000
    decoder.receive_data(b"a")
    with pytest.raises(RemoteProtocolError, match="header block is larger than 1000 bytes"):
        decoder.next_message()
    assert decoder.buffered_bytes == 0


def test_a_header_block_of_too_many_short_lines_is_refused():
    decoder = Decoder()
    decoder.receive_data(b"a: b\n" * (MAX_HEADER_LINES + 2))
    with pytest.raises(RemoteProtocolError, match="header block is larger"):
        decoder.next_message()


def test_a_body_beyond_its_bound_is_refused_as_soon_as_its_length_is_known():
    decoder = Decoder(max_body_bytes=10)
    decoder.receive_data(b"Content-Type: api/response\nContent-Length: 11\n\n")
    with pytest.raises(RemoteProtocolError, match="a body of 11 bytes is larger than 10"):
        decoder.next_message()


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "0x10", "", "٣", "9" * 5000])
def test_a_length_that_is_none_breaks_the_stream(length):
    decoder = Decoder()
    decoder.receive_data(f"Content-Type: api/response\nContent-Length: {length}\n\n".encode())
    with pytest.raises(RemoteProtocolError):
        decoder.next_message()


def test_what_is_no_event_socket_is_known_by_its_first_line():
    decoder = Decoder()
    decoder.receive_data(b"GET / HTTP/1.1\nHost: x\n\n")
    with pytest.raises(RemoteProtocolError, match=r"not Event Socket: 'GET / HTTP/1.1'"):
        decoder.next_message()


# --- details of the format ---


def test_a_line_of_seventy_kilobytes_is_one_header():
    long = "x" * 70_000
    stream = encode_message({"Content-Type": "command/reply", "variable_long": long})
    [message] = messages_of(bytewise(stream))
    assert message.headers["variable_long"] == long


def test_the_first_value_of_a_repeated_name_wins():
    [message] = messages_of([b"Content-Type: a\nX: first\nX: second\n\n"])
    assert message.headers["X"] == "first"


def test_a_name_may_hold_a_colon():
    [message] = messages_of([b"Content-Type: a\nvariable_a:b: c: d\n\n"])
    assert message.headers["variable_a:b"] == "c: d"


def test_bytes_that_are_not_utf8_come_out_as_they_went_in():
    [message] = messages_of([b"Content-Type: a\nX: \xff\xc3\n\n"])
    assert message.headers["X"].encode("utf-8", "surrogateescape") == b"\xff\xc3"


def test_a_body_with_lines_like_headers_stays_a_body():
    body = b"Content-Type: command/reply\nReply-Text: +OK\n\nContent-Length: 7\n\n"
    assert messages_of([encode_message({"Content-Type": "api/response"}, body)])[0].body == body


def test_a_reply_with_raw_newlines_keeps_them_in_its_value():
    [message] = messages_of([b"Content-Type: command/reply\nReply-Text: one\ntwo\nthree\n\n"])
    assert message.headers["Reply-Text"] == "one\ntwo\nthree"


def test_stray_newlines_between_messages_mean_nothing():
    assert [m.content_type for m in messages_of([b"\n\nContent-Type: a\n\n\n\nContent-Type: b\n\n\n"])] == [
        "a",
        "b",
    ]


@pytest.mark.fault(27)
@pytest.mark.parametrize("before", [b"", b"Content-Type: command/reply\n\n"], ids=["at once", "later"])
def test_newlines_alone_end_the_stream(before):
    decoder = Decoder()
    messages_of([before], decoder)
    with pytest.raises(RemoteProtocolError, match="blank lines"):
        messages_of([b"\n" * 64] * 100, decoder)


def test_a_stream_is_midway_from_the_first_byte_of_a_message_to_its_last():
    decoder = Decoder()
    stream = encode_message({"Content-Type": "api/response"}, b"12345")
    for place, piece in enumerate(bytewise(stream)):
        assert decoder.is_midway == (place > 0)
        messages_of([piece], decoder)
    assert not decoder.is_midway


# --- encoding, and what a client sends ---


@pytest.mark.parametrize("name", ["", "a: b", "a\n", "a\0", ": "])
def test_a_name_that_would_not_stay_one_header_is_refused(name):
    with pytest.raises(LocalProtocolError):
        encode_message({"Content-Type": "a", name: "value"})


@given(line_text, st.sampled_from("\r\n\0"), line_text)
def test_a_value_that_would_end_its_line_is_refused(before, end, after):
    with pytest.raises(LocalProtocolError):
        encode_message({"Content-Type": "a", "X": before + end + after})


def test_a_message_that_could_not_be_read_back_is_refused():
    with pytest.raises(LocalProtocolError):
        encode_message({"Reply-Text": "+OK"})
    with pytest.raises(LocalProtocolError):
        encode_message({"Content-Type": "a", "Content-Length": "3"}, b"12")
    with pytest.raises(LocalProtocolError):
        encode_message({"Content-Type": "a", "X": "\ud800"})


def test_commands_are_read_as_freeswitch_reads_them():
    stream = b"\nsendmsg\r\nCall-Command:execute\r\nno header\r\ncontent-length: 3\r\n\r\nabcapi status\n\n"
    assert commands_of(bytewise(stream)) == [
        CommandMessage("sendmsg", {"call-command": "execute", "content-length": "3"}, b"abc"),
        CommandMessage("api status", {}, b""),
    ]
