"""One reader that never waits, replies in order, and an end for every wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from structlog.testing import capture_logs

from callctl.errors import (
    CommandRefused,
    ConnectionLost,
    Disconnected,
    OutboxFull,
    RemoteProtocolError,
    ReplyTimeout,
)
from callctl.esl import commands
from callctl.esl.connection import MAX_PENDING_REPLIES, Connection
from callctl.esl.wire import Event, Message, encode_message
from callctl.refusals import Refusal, Refusals
from tests.esl.peer import GREETING, Peer, api_response, event, notice, reply, stream_pair


class Heard:
    """What a connection told its owner."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.notices: list[Message] = []


@asynccontextmanager
async def connected(**bounds: int) -> AsyncIterator[tuple[Connection, Peer, Heard]]:
    stream, peer = stream_pair()
    heard = Heard()
    connection = Connection(
        stream, on_event=heard.events.append, on_notice=heard.notices.append, name="test", **bounds
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        yield connection, peer, heard
        nursery.cancel_scope.cancel()


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a_request_returns_the_reply_to_its_command():
    async with connected() as (connection, peer, _), trio.open_nursery() as nursery:
        nursery.start_soon(peer.expect, "linger 5", reply("+OK will linger 5 seconds"))
        answer = await connection.request(commands.linger(5))
        assert (answer.text, answer.ok, answer.command) == ("+OK will linger 5 seconds", True, "linger")


@pytest.mark.parametrize("text", ["-ERR no such channel\n", "-USAGE: <uuid>\n"])
async def test_an_error_is_a_reply_too_and_refused_only_where_success_is_required(text):
    async with connected() as (connection, peer, _):
        [slot] = connection.post(commands.api("uuid_kill x"))
        await peer.expect("api uuid_kill x", api_response(text))
        answer = await slot.wait()
        assert not answer.ok
        with pytest.raises(CommandRefused, match=r"api uuid_kill x") as refused:
            answer.require_ok()
        assert refused.value.reply == text.strip()


async def test_plain_words_are_answers():
    async with connected() as (connection, peer, _):
        [slot] = connection.post(commands.api("uuid_exists x"))
        await peer.say(api_response("false"))
        assert (await slot.wait()).require_ok().text == "false"


async def test_commands_posted_together_go_out_as_one_write_and_their_replies_come_in_order():
    async with connected() as (connection, peer, _):
        slots = connection.post(commands.connect(), commands.linger(9), commands.api("status"))
        assert await peer.stream.receive_some() == b"connect\n\nlinger 9\n\napi status\n\n"
        await peer.say(reply("+OK one"), event("HEARTBEAT"), reply("+OK two"), api_response("three"))
        assert [(await slot.wait()).text for slot in slots] == ["+OK one", "+OK two", "three"]


async def test_the_reply_of_a_command_whose_waiter_timed_out_reaches_nobody_else(autojump_clock):
    async with connected() as (connection, peer, _):
        [late] = connection.post(commands.api("slow"))
        with pytest.raises(ReplyTimeout, match=r"'api slow' within 3 s"):
            await late.wait(timeout_seconds=3)
        [next_one] = connection.post(commands.api("fast"))
        await peer.say(api_response("slow answer"), api_response("fast answer"))
        assert (await next_one.wait()).text == "fast answer"
        assert (await late.wait()).text == "slow answer"


async def test_the_reply_of_a_command_whose_waiter_was_cancelled_reaches_nobody_else(autojump_clock):
    async with connected() as (connection, peer, _):
        with trio.move_on_after(1):
            await connection.request(commands.api("abandoned"))
        [slot] = connection.post(commands.api("next"))
        await peer.say(api_response("abandoned answer"), api_response("next answer"))
        assert (await slot.wait()).text == "next answer"


async def test_events_and_notices_reach_their_handlers_at_once_and_in_order():
    async with connected() as (_, peer, heard):
        await peer.say(GREETING, event("A", Unique_ID="u"), event("B"), notice("linger"), event("C"))
        await settle()
        assert [item.name for item in heard.events] == ["A", "B", "C"]
        assert [item.content_type for item in heard.notices] == ["auth/request", "text/disconnect-notice"]


# --- what is wrong with single messages ---


async def test_damaged_events_and_unknown_kinds_are_skipped_and_counted():
    async with connected() as (connection, peer, heard):
        with capture_logs() as logs:
            for _ in range(5):
                await peer.say(encode_message({"Content-Type": "text/event-json"}, b"{broken"))
            await peer.say(encode_message({"Content-Type": "log/data"}, b"some log"), event("AFTER"))
            await settle()
        assert [item.name for item in heard.events] == ["AFTER"]
        assert connection.statistics().skipped == 6
        assert [entry["skipped"] for entry in logs] == [1, 2, 4]
        assert logs[0]["connection"] == "test"


async def test_a_handler_that_fails_costs_one_event_and_is_logged_with_its_traceback():
    def fail(_: Event) -> None:
        raise ValueError("a mistake")

    stream, peer = stream_pair()
    connection = Connection(stream, on_event=fail, on_notice=print)
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            await peer.say(event("A"), event("B"))
            await settle()
            nursery.cancel_scope.cancel()
    assert connection.statistics().handler_errors == 2
    assert [entry["exc_info"] for entry in logs] == [True, True]


# --- the end ---


async def test_the_end_of_the_stream_ends_every_wait_and_run():
    stream, peer = stream_pair()
    connection = Connection(stream, on_event=print, on_notice=print)
    slots = connection.post(commands.api("a"), commands.api("b"))
    await peer.close()
    await connection.run()
    for slot in slots:
        with pytest.raises(ConnectionLost, match=r"FreeSWITCH closed the connection$"):
            await slot.wait()
    with pytest.raises(ConnectionLost):
        connection.post(commands.api("c"))
    assert isinstance(connection.ended, ConnectionLost)


async def test_an_end_inside_a_message_says_so():
    stream, peer = stream_pair()
    connection = Connection(stream, on_event=print, on_notice=print)
    await peer.say(b"Content-Type: command/rep")
    await peer.close()
    await connection.run()
    assert "in the middle of a message" in str(connection.ended)


async def test_a_disconnect_notice_ends_every_wait_as_disconnected_before_the_stream_ends():
    async with connected() as (connection, peer, heard):
        [answered, unanswered] = connection.post(commands.exit_(), commands.api("late"))
        await peer.say(reply("+OK bye"), notice())
        assert (await answered.wait()).ok
        with pytest.raises(Disconnected):
            await unanswered.wait()
        with pytest.raises(Disconnected):
            connection.post(commands.api("later"))
        assert len(heard.notices) == 1


async def test_nothing_is_waited_for_behind_the_last_notice():
    stream, peer = stream_pair()
    connection = Connection(stream, on_event=print, on_notice=lambda _: None)
    await peer.say(notice("disconnect"))
    await connection.run()
    assert isinstance(connection.ended, Disconnected)
    assert await peer.stream.receive_some() == b""


async def test_a_linger_notice_ends_no_wait():
    async with connected() as (connection, peer, _):
        [slot] = connection.post(commands.api("a"))
        await peer.say(notice("linger"), api_response("still"))
        assert (await slot.wait()).text == "still"


async def test_framing_damage_ends_the_connection_with_the_error_and_the_waits_as_lost():
    stream, peer = stream_pair()
    connection = Connection(stream, on_event=print, on_notice=print)
    [slot] = connection.post(commands.api("a"))
    await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await connection.run()
    assert isinstance(connection.ended, RemoteProtocolError)
    with pytest.raises(ConnectionLost, match="not Event Socket"):
        await slot.wait()


@pytest.mark.parametrize("unasked", [reply(), api_response("+OK")])
async def test_a_reply_to_no_command_ends_the_connection(unasked):
    stream, peer = stream_pair()
    connection = Connection(stream, on_event=print, on_notice=print)
    await peer.say(unasked)
    await connection.run()
    assert "a reply came to no command" in str(connection.ended)


async def test_replies_out_of_step_end_the_connection_before_one_reaches_the_wrong_command():
    stream, peer = stream_pair()
    connection = Connection(stream, on_event=print, on_notice=print)
    [slot] = connection.post(commands.linger(5))
    await peer.say(api_response("+OK forged"))
    await connection.run()
    with pytest.raises(ConnectionLost, match="api/response came to 'linger'"):
        await slot.wait()


async def test_a_cancelled_run_ends_every_wait_and_closes_the_stream():
    stream, peer = stream_pair()
    connection = Connection(stream, on_event=print, on_notice=print)
    [slot] = connection.post(commands.api("a"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.run()
    with pytest.raises(ConnectionLost, match="callctl closed the connection"):
        await slot.wait()
    assert await peer.stream.receive_some() == b""


async def test_close_ends_run_and_hands_over_nothing_more():
    heard: list[Event] = []

    def close_at_first(item: Event) -> None:
        heard.append(item)
        connection.close("enough")

    stream, peer = stream_pair()
    connection = Connection(stream, on_event=close_at_first, on_notice=print)
    await peer.say(event("A"), event("B"))
    await connection.run()
    assert [item.name for item in heard] == ["A"]
    assert str(connection.ended) == "enough"


async def test_a_second_waiter_of_a_lost_reply_gets_an_exception_of_its_own():
    stream, peer = stream_pair()
    connection = Connection(stream, on_event=print, on_notice=print)
    [slot] = connection.post(commands.api("a"))
    await peer.close()
    await connection.run()
    raised = []
    for _ in range(2):
        with pytest.raises(ConnectionLost) as caught:
            await slot.wait()
        raised.append(caught.value)
    assert raised[0] is not raised[1]


# --- bounds ---


class Unread(trio.abc.Stream):
    """A peer that takes nothing and says nothing."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.sleep_forever()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_peer_that_does_not_read_loses_the_connection(autojump_clock):
    connection = Connection(Unread(), on_event=print, on_notice=print)
    [slot] = connection.post(commands.api("a"))
    began = trio.current_time()
    await connection.run()
    assert trio.current_time() - began == 10
    with pytest.raises(ConnectionLost, match="read nothing for 10 s"):
        await slot.wait()


async def test_the_outbox_is_bounded_and_a_refused_order_leaves_no_slot():
    async with connected(max_outbox_bytes=100) as (connection, peer, _):
        [slot] = connection.post(commands.api("x" * 80))
        with pytest.raises(OutboxFull, match="86 bytes wait"):
            connection.post(commands.api("y" * 80))
        await peer.expect("api " + "x" * 80, api_response("first"))
        assert (await slot.wait()).text == "first"
        [slot] = connection.post(commands.api("z" * 80))
        await peer.say(api_response("third"))
        assert (await slot.wait()).text == "third"


async def test_the_replies_due_are_bounded():
    async with connected() as (connection, _, _):
        connection.post(*[commands.api("x")] * MAX_PENDING_REPLIES)
        with pytest.raises(OutboxFull, match="replies are due"):
            connection.post(commands.api("x"), commands.api("y"))
        assert Refusals.of_this_run().counts()[Refusal.ORDERS] == 2


async def test_a_message_beyond_its_bound_ends_the_connection():
    stream, peer = stream_pair()
    connection = Connection(stream, on_event=print, on_notice=print, max_body_bytes=1000)
    await peer.say(b"Content-Type: text/event-json\nContent-Length: 100000000\n\n")
    await connection.run()
    assert "100000000 bytes is larger than 1000" in str(connection.ended)


async def test_statistics_count_what_went_in_and_out():
    async with connected() as (connection, peer, _):
        connection.post(commands.api("one"), commands.api("two"))
        assert connection.statistics().outbox_bytes == 18
        await settle()
        await peer.say(api_response("1"), event("E"))
        await settle()
        statistics = connection.statistics()
        assert (statistics.messages, statistics.events, statistics.replies_pending) == (2, 1, 1)
        assert statistics.bytes_sent == 18
        assert statistics.bytes_received == len(api_response("1") + event("E"))
        assert statistics.outbox_bytes == 0
