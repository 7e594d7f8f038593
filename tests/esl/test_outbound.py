"""Taking calls from FreeSWITCH: who may, what is a call, and what each wait on its socket ends with."""

from __future__ import annotations

import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from structlog.testing import capture_logs

from callctl.errors import ChannelGone, ConfigError, ConnectionLost, Disconnected, ReplyTimeout
from callctl.esl import commands, outbound
from callctl.esl.call_socket import (
    BOW_OUT_SECONDS,
    MAX_WAITING_EVENTS,
    PARKED_SECONDS,
    SUCCESSOR_SECONDS,
)
from callctl.esl.outbound import CallSocket, ChannelEnded, OutboundListener, serve_outbound
from callctl.esl.wire import Event, encode_event_json
from tests.esl.peer import Peer, api_response, connect_reply, event, notice, reply, stream_pair

Handler = Callable[[CallSocket], Awaitable[None]]


async def keep_open(socket: CallSocket) -> None:
    async for _ in socket.events:
        pass


@asynccontextmanager
async def offered(
    handler: Handler = keep_open,
    *,
    peer_address: str = "127.0.0.1",
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1"),
) -> AsyncIterator[tuple[Peer, OutboundListener]]:
    """A connection that FreeSWITCH has just made, before anything was said."""
    listener = OutboundListener(handler, allow=["127.0.0.0/8", "::1"])
    stream, peer = stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve_stream, stream, peer_address)
        yield peer, listener
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def called() -> AsyncIterator[tuple[CallSocket, Peer]]:
    """A call that is connected; its handler does nothing until the test ends."""
    sockets: list[CallSocket] = []

    async def handler(socket: CallSocket) -> None:
        sockets.append(socket)
        await trio.sleep_forever()

    async with offered(handler) as (peer, _):
        assert await peer.lines(2) == ["connect", "linger 10"]
        await peer.say(connect_reply(), reply("+OK will linger 10 seconds"))
        await settle()
        yield sockets[0], peer


def completed(**headers: str) -> bytes:
    return event("CHANNEL_EXECUTE_COMPLETE", **headers)


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


# --- what is a call ---


async def test_connect_and_linger_are_sent_at_once_in_one_write():
    async with offered() as (peer, _):
        assert await peer.stream.receive_some() == b"connect\n\nlinger 10\n\n"


async def test_a_call_reaches_its_handler_with_its_data():
    async with called() as (socket, _):
        assert socket.uuid == "u-1"
        assert socket.data.variable("queue") == "caller"


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("", False),
    ],
)
async def test_only_allowed_addresses_may_connect(address, allowed):
    with capture_logs() as logs:
        async with offered(peer_address=address) as (peer, listener):
            assert await peer.stream.receive_some() == (b"connect\n\nlinger 10\n\n" if allowed else b"")
            assert listener.statistics().refused_addresses == (0 if allowed else 1)
    assert [entry["peer"] for entry in logs if entry["event"] == "connection refused"] == [address] * (
        not allowed
    )


def test_a_network_that_is_none_is_a_configuration_error():
    with pytest.raises(ConfigError, match=r"server\.allow: .*127\.0\.0\.0/99"):
        OutboundListener(keep_open, allow=["127.0.0.0/99"])


@pytest.mark.parametrize("changes", [{"Socket_Mode": "static"}, {"Control": "single-channel"}])
async def test_a_socket_without_async_full_is_refused_by_an_error_that_names_the_fix(changes, autojump_clock):
    with capture_logs() as logs:
        async with offered() as (peer, listener):
            await peer.lines(2)
            await peer.say(connect_reply(**changes), reply())
            assert await peer.stream.receive_some() == b""
            assert trio.current_time() == PARKED_SECONDS, "the channel would be parked for ever"
            assert listener.statistics().not_a_call == 1
    [entry] = logs
    assert entry["log_level"] == "error"
    assert "`socket host:port async full`" in entry["why"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: callctl\r\n\r\n",
        b"Content-Type: command/reply\nContent-Length: 99999999999\n\n",
        b"X: " + b"a" * 2_000_000,
        b"Content-Type: command/reply\nReply-Text: -ERR no\n\n",
        b"Content-Type: api/response\nContent-Length: 3\n\n+OK",
        b"Content-Type: command/reply\nEvent-Name: _undef_\n\n",
    ],
    ids=["HTTP", "too long", "no end", "an error", "another kind", "no event"],
)
async def test_garbage_costs_one_line_in_the_log_and_its_own_connection(garbage):
    with capture_logs() as logs:
        async with offered() as (peer, listener):
            await peer.lines(2)
            await peer.say(garbage)
            assert await peer.stream.receive_some() == b""
            assert listener.statistics().not_a_call == 1
    assert [(entry["event"], entry["peer"]) for entry in logs] == [("connection is not a call", "127.0.0.1")]


async def test_a_connection_that_says_nothing_is_closed_before_freeswitch_would(autojump_clock):
    async with offered() as (peer, listener):
        await peer.lines(2)
        assert await peer.stream.receive_some() == b""
        assert trio.current_time() == 20
        assert listener.statistics().not_a_call == 1


@pytest.mark.parametrize("last_words", [b"", notice("disconnect"), b"Content-Type: comm"])
async def test_a_caller_who_is_gone_before_connect_is_no_error(last_words):
    with capture_logs() as logs:
        async with offered() as (peer, listener):
            await peer.lines(2)
            if last_words:
                await peer.say(last_words)
            await peer.close()
            await settle()
            assert listener.statistics().gone_before_connect == 1
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("caller gone before connect", "info")
    ]


async def test_what_comes_right_behind_the_reply_to_connect_is_not_lost():
    heard: list[Event | ChannelEnded] = []

    async def handler(socket: CallSocket) -> None:
        async for item in socket.events:
            heard.append(item)

    async with offered(handler) as (peer, listener):
        await peer.lines(2)
        await peer.say(connect_reply(), reply(), notice("linger"), event("CHANNEL_HANGUP_COMPLETE"))
        await peer.close()
        await settle()
        assert listener.statistics().calls == 1
    assert [item.name if isinstance(item, Event) else item.disposition for item in heard] == [
        "linger",
        "CHANNEL_HANGUP_COMPLETE",
    ]


async def test_a_handler_that_fails_costs_only_its_own_call():
    async def fail(socket: CallSocket) -> None:
        raise ValueError("a mistake")

    with capture_logs() as logs:
        async with offered(fail) as (peer, listener):
            await peer.lines(2)
            await peer.say(connect_reply(), reply())
            assert await peer.stream.receive_some() == b""
            await settle()
            statistics = listener.statistics()
            assert (statistics.handler_errors, statistics.calls, statistics.calls_open) == (1, 1, 0)
    assert [(entry["uuid"], entry["exc_info"]) for entry in logs] == [("u-1", True)]


async def test_the_socket_is_closed_when_its_handler_returns():
    async def handler(socket: CallSocket) -> None:
        await trio.sleep(5)

    async with offered(handler) as (peer, listener):
        await peer.lines(2)
        await peer.say(connect_reply(), reply())
        await settle()
        assert listener.statistics().calls_open == 1


async def test_a_call_that_is_let_go_at_once_keeps_its_socket_until_the_channel_is_parked(autojump_clock):
    async def let_go(socket: CallSocket) -> None:
        pass

    async with offered(let_go) as (peer, _):
        await peer.lines(2)
        await peer.say(connect_reply(), reply())
        began = trio.current_time()
        assert await peer.stream.receive_some() == b""
        assert trio.current_time() - began == PARKED_SECONDS


async def test_the_socket_of_a_caller_who_has_hung_up_is_closed_at_once(autojump_clock):
    async def until_the_hangup(socket: CallSocket) -> None:
        async for item in socket.events:
            if item == ChannelEnded("linger"):
                return

    async with offered(until_the_hangup) as (peer, _):
        await peer.lines(2)
        await peer.say(connect_reply(), reply(), notice("linger"))
        assert await peer.stream.receive_some() == b""
        assert trio.current_time() == 0


# --- a socket that its channel has left ---

NO_RESUME = "api uuid_setvar_multi u-1 socket_resume=false"


def left(*, resumes: str = "true", sequence: str = "") -> bytes:
    """Tell that the channel does something else now, by a transfer out of the socket application."""
    return encode_event_json(
        {
            "Event-Name": "CHANNEL_EXECUTE_COMPLETE",
            "Unique-ID": "u-1",
            "Application": "socket",
            "Answer-State": "answered",
            "variable_socket_resume": resumes,
            **({"Event-Sequence": sequence} if sequence else {}),
        }
    )


@pytest.mark.fault(19.4)
async def test_a_socket_that_is_left_leaves_the_channel_in_peace_at_once(autojump_clock):
    async with called() as (socket, peer):
        await peer.say(left())
        assert await peer.lines(1) == [NO_RESUME]
        assert socket.was_left


async def test_a_socket_that_is_left_for_a_bridge_has_nothing_to_unset(autojump_clock):
    async with called() as (socket, peer):
        await peer.say(left(resumes="false"))
        await settle()
        assert socket.was_left
        socket.post(commands.exit_())
        assert await peer.lines(1) == ["exit"]


@pytest.mark.fault(19.1)
async def test_a_socket_that_is_left_ends_by_itself_when_no_other_comes(autojump_clock):
    async def until_left(socket: CallSocket) -> None:
        async for item in socket.events:
            if isinstance(item, Event):
                return

    async with offered(until_left) as (peer, _):
        await peer.lines(2)
        await peer.say(connect_reply(), reply(), left())
        assert await peer.lines(1) == [NO_RESUME]
        began = trio.current_time()
        assert await peer.lines(2) == [NO_RESUME, "exit"]
        assert trio.current_time() - began >= SUCCESSOR_SECONDS
        await peer.say(api_response("+OK"), reply("+OK bye"), notice("disconnect"))
        assert await peer.stream.receive_some() == b""


@pytest.mark.fault(19.1)
async def test_a_socket_bows_out_and_waits_for_its_end(autojump_clock):
    async with called() as (socket, peer), trio.open_nursery() as nursery:
        nursery.start_soon(socket.bow_out)
        assert await peer.lines(2) == [NO_RESUME, "exit"]
        assert (socket.bows_out, socket.has_bowed_out) == (True, False)
        await peer.say(api_response("+OK"), reply("+OK bye"), notice("disconnect"))
    assert socket.has_bowed_out


async def test_a_switch_that_does_not_end_a_socket_is_waited_for_so_long(autojump_clock):
    async with called() as (socket, peer):
        began = trio.current_time()
        await socket.bow_out()
        assert trio.current_time() - began == BOW_OUT_SECONDS
        assert not socket.has_bowed_out
        assert await peer.lines(2) == [NO_RESUME, "exit"], "it is obeyed before the end is seen"


@pytest.mark.fault(19.1)
async def test_a_late_event_of_an_earlier_visit_is_not_of_this_one(autojump_clock):
    async with offered() as (peer, listener):
        sockets: list[CallSocket] = []

        async def handler(socket: CallSocket) -> None:
            sockets.append(socket)
            await trio.sleep_forever()

        listener._handler = handler
        await peer.lines(2)
        await peer.say(connect_reply(Event_Sequence="100"), reply())
        await settle()
        [socket] = sockets
        await peer.say(left(sequence="99"))
        await settle()
        assert not socket.was_left
        await peer.say(left(sequence="101"))
        await settle()
        assert socket.was_left


# --- the socket of a call ---


async def test_following_sends_the_filter_ahead_of_the_subscription_in_one_write():
    async with called() as (socket, peer):
        socket.follow("CHANNEL_BRIDGE", "CHANNEL_HANGUP_COMPLETE")
        sent = b"filter Unique-ID u-1\n\nevent json CHANNEL_BRIDGE CHANNEL_HANGUP_COMPLETE\n\n"
        assert await peer.stream.receive_some() == sent


async def test_an_application_ends_with_the_completion_that_carries_its_uuid():
    async with called() as (socket, peer), trio.open_nursery() as nursery:
        ended: list[Event] = []

        async def play() -> None:
            ended.append(await socket.execute("playback", "a.wav"))

        nursery.start_soon(play)
        command = await peer.command()
        assert (command.headers["execute-app-name"], command.body) == ("playback", b"a.wav")
        await peer.say(
            reply(), event("CHANNEL_EXECUTE_COMPLETE", Application="playback", Application_UUID="x")
        )
        await settle()
        assert ended == []
        own = command.headers["event-uuid"]
        await peer.say(
            event("CHANNEL_EXECUTE_COMPLETE", Application_UUID=own, Application_Response="FILE PLAYED")
        )
        await settle()
        assert ended[0].get("Application-Response") == "FILE PLAYED"


@pytest.mark.parametrize(
    ("word", "error", "cause"),
    [
        (event("CHANNEL_HANGUP", Unique_ID="u-1", Hangup_Cause="USER_BUSY"), ChannelGone, "USER_BUSY"),
        (event("CHANNEL_HANGUP_COMPLETE", Unique_ID="u-1", Hangup_Cause="X"), ChannelGone, "X"),
        (notice("linger"), ChannelGone, None),
        (notice("disconnect"), Disconnected, None),
        (b"", ConnectionLost, None),
        (b"garbage\n", ConnectionLost, None),
    ],
)
async def test_an_application_that_never_completes_ends_with_what_ended_the_call(word, error, cause):
    async with called() as (socket, peer):
        caught: list[Exception] = []

        async def play() -> None:
            with pytest.raises(error) as raised:
                await socket.execute("playback", "a.wav")
            caught.append(raised.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(play)
            await peer.command()
            await (peer.say(reply(), word) if word else peer.close())
        assert getattr(caught[0], "cause", None) == cause
        with pytest.raises(error):
            await socket.execute("playback", "again.wav")


async def test_the_hangup_of_another_channel_ends_no_wait(autojump_clock):
    async with called() as (socket, peer):
        await peer.say(event("CHANNEL_HANGUP", Unique_ID="another", Hangup_Cause="X"))
        with pytest.raises(ReplyTimeout, match="did not end within 3 s"):
            await socket.execute("playback", "a.wav", timeout_seconds=3)


async def test_a_request_gets_its_reply():
    async with called() as (socket, peer), trio.open_nursery() as nursery:
        nursery.start_soon(peer.expect, "sendmsg", reply("+OK"))
        assert (await socket.request(commands.hangup("NORMAL_CLEARING"))).ok


async def test_events_end_with_the_stream_after_all_that_came_before():
    async with called() as (socket, peer):
        await peer.say(event("A"), notice("linger"), event("B"), notice("disconnect"))
        await peer.close()
        items = [item async for item in socket.events]
        assert items == [
            Event("A", {"Event-Name": "A"}),
            ChannelEnded("linger"),
            Event("B", {"Event-Name": "B"}),
            ChannelEnded("disconnect"),
        ]


async def test_events_that_nobody_takes_close_the_socket_and_not_the_reader():
    with capture_logs() as logs:
        async with called() as (socket, peer):
            await peer.say(event("E") * (MAX_WAITING_EVENTS + 1))
            assert await peer.stream.receive_some() == b""
            with pytest.raises(ConnectionLost, match="its events were not taken"):
                socket.post(commands.exit_())
    assert [entry["event"] for entry in logs] == ["socket closed: its events are not taken"]


async def test_closing_the_socket_ends_its_events():
    async with called() as (socket, peer):
        socket.close()
        assert [item async for item in socket.events] == []
        assert await peer.stream.receive_some() == b""


# --- real sockets ---


async def test_the_listener_takes_calls_on_a_real_port_and_goes_on_with_them_when_it_is_closed():
    done = trio.Event()

    async def handler(socket: CallSocket) -> None:
        async for _ in socket.events:
            done.set()

    listener = OutboundListener(handler, allow=["127.0.0.0/8"])
    async with trio.open_nursery() as calls:
        async with trio.open_nursery() as listening:

            async def serve(task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
                await listener.serve(host="127.0.0.1", port=0, handler_nursery=calls, task_status=task_status)

            [socket_listener] = await listening.start(serve)
            port = socket_listener.socket.getsockname()[1]
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            peer = Peer(stream)
            assert await peer.lines(2) == ["connect", "linger 10"]
            await peer.say(connect_reply(), reply())
            while listener.statistics().calls == 0:
                await trio.lowlevel.checkpoint()
            listening.cancel_scope.cancel()
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("127.0.0.1", port)
        await peer.say(event("STILL_HERE"))
        await done.wait()
        await peer.close()


async def test_serve_outbound_reports_its_port_when_it_is_ready():
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
            await serve_outbound(
                keep_open, host="127.0.0.1", port=0, allow=["127.0.0.1"], task_status=task_status
            )

        [listener] = await nursery.start(serve)
        stream = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        assert await Peer(stream).lines(1) == ["connect"]
        nursery.cancel_scope.cancel()
        await stream.aclose()


@pytest.mark.fault(27)
async def test_of_too_many_connections_that_say_nothing_the_oldest_is_closed(monkeypatch):
    monkeypatch.setattr(outbound, "MOST_SILENT", 2, raising=False)
    listener = OutboundListener(keep_open, allow=["127.0.0.0/8"])
    async with trio.open_nursery() as nursery:
        [entrance] = await nursery.start(partial(listener.serve, host="127.0.0.1", port=0))
        port = entrance.socket.getsockname()[1]
        first, call, third = [Peer(await trio.open_tcp_stream("127.0.0.1", port)) for _ in range(3)]
        for peer in (first, call, third):
            assert await peer.lines(2) == ["connect", "linger 10"]
        with trio.fail_after(5):
            assert await first.stream.receive_some() == b""
        await call.say(connect_reply(), reply("+OK will linger"))
        late = Peer(await trio.open_tcp_stream("127.0.0.1", port))
        assert await late.lines(2) == ["connect", "linger 10"]
        assert listener.statistics().calls_open == 1
        for peer in (first, call, third, late):
            await peer.close()
        nursery.cancel_scope.cancel()


async def test_who_has_not_said_who_it_is_when_the_listener_is_closed_is_closed():
    listener = OutboundListener(keep_open, allow=["127.0.0.0/8"])
    with capture_logs() as logs:
        await close_before_the_reply(listener)
    assert [entry["event"] for entry in logs] == ["caller gone before connect"]
    assert listener.statistics().gone_before_connect == 1


async def close_before_the_reply(listener: OutboundListener) -> None:
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
            await listener.serve(host="127.0.0.1", port=0, task_status=task_status)

        [socket_listener] = await nursery.start(serve)
        stream = await trio.open_tcp_stream("127.0.0.1", socket_listener.socket.getsockname()[1])
        peer = Peer(stream)
        assert await peer.lines(2) == ["connect", "linger 10"]
        nursery.cancel_scope.cancel()
    with trio.fail_after(10):
        assert await stream.receive_some() == b""
    await peer.close()


async def test_a_listener_without_room_tries_again():
    listener = OutboundListener(keep_open, allow=["127.0.0.0/8"])
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
                await listener.serve(host="127.0.0.1", port=0, task_status=task_status)

            [socket_listener] = await nursery.start(serve)
            port = socket_listener.socket.getsockname()[1]
            sock = trio.socket.socket()
            resource.setrlimit(resource.RLIMIT_NOFILE, (sock.fileno() + 1, before[1]))
            try:
                await sock.connect(("127.0.0.1", port))
                with trio.fail_after(10):
                    while not logs:
                        await trio.lowlevel.checkpoint()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            with trio.fail_after(10):
                assert await Peer(trio.SocketStream(sock)).lines(2) == ["connect", "linger 10"]
            sock.close()
            nursery.cancel_scope.cancel()
    assert logs[0]["event"] == "no room for another call"
    assert logs[0]["todo"] == "raise LimitNOFILE"


# --- those who come together ---


@asynccontextmanager
async def two_together(handler: Handler) -> AsyncIterator[tuple[Peer, Peer]]:
    """Two calls that come one right after the other, as after a stall of ours."""
    listener = OutboundListener(handler, allow=["127.0.0.0/8"])
    (one, first), (other, second) = stream_pair(), stream_pair()
    async with trio.open_nursery() as nursery:
        for stream in (one, other):
            nursery.start_soon(listener.serve_stream, stream, "127.0.0.1")
            await settle()
        yield first, second
        nursery.cancel_scope.cancel()


@pytest.mark.fault(19.6)
async def test_those_who_come_together_get_their_places_in_the_order_of_coming(autojump_clock):
    led: list[tuple[str, float]] = []

    async def handler(socket: CallSocket) -> None:
        led.append((socket.uuid, trio.current_time()))
        await trio.sleep(0.05)
        socket.tell_led()
        await trio.sleep_forever()

    async with two_together(handler) as (first, second):
        began = trio.current_time()
        await second.say(connect_reply(**{"Unique-ID": "second"}), reply("+OK will linger 10 seconds"))
        await settle()
        assert led == []
        await first.say(connect_reply(**{"Unique-ID": "first"}), reply("+OK will linger 10 seconds"))
        await trio.sleep(0.2)
    assert [uuid for uuid, _ in led] == ["first", "second"]
    assert led[1][1] - led[0][1] == pytest.approx(0.05)
    assert led[0][1] == began


@pytest.mark.fault(19.6)
@pytest.mark.parametrize("says", ["nothing", "that it is no call", "who it is, and gets no place"])
async def test_nobody_waits_for_long_for_one_who_came_before_and_gets_no_place(says, autojump_clock):
    led: list[tuple[str, float]] = []

    async def handler(socket: CallSocket) -> None:
        led.append((socket.uuid, trio.current_time()))
        await trio.sleep_forever()

    async with two_together(handler) as (first, second):
        began = trio.current_time()
        if says == "that it is no call":
            await first.say(connect_reply(Control="single-channel"))
        elif says != "nothing":
            await first.say(connect_reply(**{"Unique-ID": "first"}), reply("+OK will linger 10 seconds"))
        await second.say(connect_reply(**{"Unique-ID": "second"}), reply("+OK will linger 10 seconds"))
        await trio.sleep(1)
    at = dict(led)["second"] - began
    assert at == pytest.approx(0.0 if says == "that it is no call" else outbound.TURN_SECONDS)


@pytest.mark.fault(13)
def test_tcp_finds_out_within_two_minutes_that_a_switch_has_lost_its_power():
    with socket.socket() as sock:
        outbound.keep_alive(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, pause, times = (
            sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{name}"))
            for name in ("IDLE", "INTVL", "CNT")
        )
        assert idle + pause * times <= 120
