"""Real sockets: who may open them, and that no client can stall the server or keep it from stopping."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from callctl.api import listeners
from callctl.api.app import control_app
from callctl.api.listeners import serve_control, serve_http
from callctl.api.problems import handlers
from callctl.config.settings import Address
from callctl.errors import ConfigError
from callctl.refusals import Refusal, Refusals
from tests.api.house import Visited, until

LOOPBACK = Address("127.0.0.1", 0)
FLOOD_BYTES = 50_000_000
"""More than any socket's buffers take."""

GET = b"GET /%s HTTP/1.1\r\nHost: callctl\r\n\r\n"


async def hello(request: Request) -> Response:
    return Response("hello")


async def flood(request: Request) -> Response:
    return Response(b"x" * FLOOD_BYTES)


async def slow(request: Request) -> Response:
    await trio.sleep(1)
    return Response("slow")


def small_app() -> Starlette:
    return Starlette(routes=[Route("/hello", hello), Route("/flood", flood), Route("/slow", slow)])


@asynccontextmanager
async def served_http() -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(serve_http, small_app(), LOOPBACK)
        yield port
        nursery.cancel_scope.cancel()


async def get(port: int, path: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return await client.get(path)


async def say_hello(stream: trio.abc.Stream) -> None:
    """Ask once on a connection that stays open, and hear the answer."""
    await stream.send_all(GET % b"hello")
    answer = b""
    while not answer.endswith(b"hello"):
        piece = await stream.receive_some(65536)
        assert piece, answer
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200")


async def read_to_the_end(stream: trio.abc.Stream) -> int:
    """Return how many bytes come until the connection is closed or broken."""
    received = 0
    with suppress(trio.BrokenResourceError):
        while piece := await stream.receive_some(1_000_000):
            received += len(piece)
    return received


async def connect(port: int) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port)


# --- the control socket ---


async def test_only_its_owner_may_open_the_control_socket_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    path = tmp_path / "callctl.sock"
    umask = os.umask(0)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_control, small_app(), path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert os.umask(0) == 0
            async with await trio.open_unix_socket(str(path)) as stream:
                await say_hello(stream)
            nursery.cancel_scope.cancel()
    finally:
        os.umask(umask)
    assert os.listdir(tmp_path) == []


async def test_the_members_of_a_group_may_open_the_control_socket_too(tmp_path: Path) -> None:
    path = tmp_path / "callctl.sock"
    group = next(each for each in grp.getgrall() if each.gr_gid in {os.getegid(), *os.getgroups()})
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, small_app(), path, group.gr_name)
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o660, group.gr_gid)
        nursery.cancel_scope.cancel()


async def test_a_group_that_there_is_not_leaves_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "callctl.sock"
    with pytest.raises(ConfigError, match=r"server\.control-group: there is no group 'nobody at all'"):
        await serve_control(small_app(), path, "nobody at all")
    assert not path.exists()


async def test_a_group_in_which_we_are_not_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, owner: int, group: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(ConfigError, match="SupplementaryGroups=root"):
        await serve_control(small_app(), tmp_path / "callctl.sock", "root")


async def test_the_socket_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "callctl.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, small_app(), path)
        async with await trio.open_unix_socket(str(path)) as stream:
            await say_hello(stream)
        nursery.cancel_scope.cancel()


async def test_the_socket_of_a_living_server_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "callctl.sock"
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, small_app(), path)
        with pytest.raises(ConfigError, match="another server has the control socket"):
            await serve_control(small_app(), path)
        async with await trio.open_unix_socket(str(path)) as stream:
            await say_hello(stream)
        nursery.cancel_scope.cancel()


async def test_a_file_in_the_way_of_the_socket_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "callctl.sock"
    path.write_text("precious")
    with pytest.raises(ConfigError, match=r"server\.database: .*callctl\.sock is in the way"):
        await serve_control(small_app(), path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["x" * 120, "missing/callctl"])
async def test_a_path_that_can_be_no_socket_is_said_to_be_the_databases(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.database: there can be no control socket"):
        await serve_control(small_app(), tmp_path / f"{name}.sock")


# --- TCP ---


async def test_a_port_that_is_taken_is_named_in_one_line() -> None:
    async with served_http() as port:
        with pytest.raises(
            ConfigError, match=rf"http\.listen: cannot listen on 127\.0\.0\.1:{port}: "
        ) as error:
            await serve_http(small_app(), Address("127.0.0.1", port))
        assert "\n" not in str(error.value)


async def test_one_connection_serves_many_requests() -> None:
    async with served_http() as port, await connect(port) as stream:
        for _ in range(3):
            await say_hello(stream)


async def test_a_client_who_does_not_read_stalls_nobody_and_does_not_keep_the_server_from_stopping() -> None:
    with trio.fail_after(5):
        async with served_http() as port:
            lazy = await connect(port)
            await lazy.send_all(GET % b"flood")
            for _ in range(3):
                assert (await get(port, "/hello")).text == "hello"
        async with lazy:
            assert await read_to_the_end(lazy) < FLOOD_BYTES


async def test_a_client_who_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "SEND_SECONDS", 0.05)
    closed = trio.Event()

    class Told(listeners._PatientStream):
        def close(self) -> None:
            super().close()
            closed.set()

    monkeypatch.setattr(listeners, "_PatientStream", Told)
    async with served_http() as port, await connect(port) as lazy:
        await lazy.send_all(GET % b"flood")
        with trio.fail_after(5):
            await closed.wait()
            assert await read_to_the_end(lazy) < FLOOD_BYTES


async def test_a_slow_reader_is_served_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patience is for each piece, not for the whole answer."""
    monkeypatch.setattr(listeners, "SEND_SECONDS", 0.2)
    async with served_http() as port, await connect(port) as slow:
        await slow.send_all(GET % b"flood")
        began, received = trio.current_time(), 0
        with trio.fail_after(20):
            while received < FLOOD_BYTES:
                received += len(await slow.receive_some(1_000_000))
                if trio.current_time() < began + 0.5:
                    await trio.sleep(0.02)


@pytest.mark.fault(27)
async def test_however_many_connections_are_idle_the_next_one_is_served_at_once() -> None:
    async with served_http() as port, AsyncExitStack() as idle:
        for _ in range(listeners.MOST_CONNECTIONS + 100):
            await idle.enter_async_context(await connect(port))
        with trio.fail_after(1):
            assert (await get(port, "/hello")).text == "hello"


async def test_where_too_many_are_open_the_one_idle_for_longest_gives_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "MOST_CONNECTIONS", 2)
    async with served_http() as port, await connect(port) as first, await connect(port) as second:
        await say_hello(first)
        await say_hello(second)
        await say_hello(first)
        with trio.fail_after(5):
            async with await connect(port) as third:
                await say_hello(third)
                assert await read_to_the_end(second) == 0
            await say_hello(first)


async def test_who_does_not_read_gives_way_and_a_request_under_way_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(listeners, "STALLED_SECONDS", 0.1)
    async with served_http() as port, await connect(port) as lazy, await connect(port) as working:
        await working.send_all(GET % b"slow")
        await lazy.send_all(GET % b"flood")
        await trio.sleep(0.3)
        with trio.fail_after(5):
            assert (await get(port, "/hello")).text == "hello"
            assert await read_to_the_end(lazy) < FLOOD_BYTES
            assert (await working.receive_some(1000)).startswith(b"HTTP/1.1 200")


async def test_where_all_are_at_work_another_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "MOST_CONNECTIONS", 1)
    async with served_http() as port, await connect(port) as working:
        await working.send_all(GET % b"slow")
        await trio.sleep(0.1)
        async with await connect(port) as late:
            assert await read_to_the_end(late) == 0
        with trio.fail_after(5):
            assert (await working.receive_some(1000)).startswith(b"HTTP/1.1 200")


async def test_a_connection_that_says_nothing_is_closed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "FIRST_BYTE_SECONDS", 0.05)
    async with served_http() as port, await connect(port) as silent, await connect(port) as used:
        await say_hello(used)
        with trio.fail_after(5):
            assert await silent.receive_some(1000) == b""
        await trio.sleep(0.2)
        await say_hello(used)


@pytest.mark.parametrize("beginning", [b"", b"GET /hello HTT", b"GET /hello HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_without_a_request_is_closed(
    beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "IDLE_SECONDS", 0.05)
    async with served_http() as port, await connect(port) as idle:
        if beginning:
            await idle.send_all(beginning)
        with trio.fail_after(5):
            assert await idle.receive_some(1000) == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        b"auth ClueCon\n\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /hello HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"PUT /hello HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage garbage garbage",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ],
)
async def test_garbage_ends_its_own_connection_alone(garbage: bytes) -> None:
    async with served_http() as port, await connect(port) as bad:
        answer = b""
        with trio.fail_after(5), suppress(trio.BrokenResourceError):
            await bad.send_all(garbage)
            answer = bytes(await bad.receive_some(1000))
        assert b" 200 " not in answer
        assert (await get(port, "/hello")).text == "hello"


async def test_a_client_who_leaves_at_once_is_no_failure() -> None:
    """Such as a look at which ports are open."""
    async with served_http() as port:
        with capture_logs() as logs:
            rude = socket.create_connection(("127.0.0.1", port))
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            rude.close()  # Before anybody could ask who it is.
            assert (await get(port, "/hello")).text == "hello"
        assert logs == []


async def test_a_client_who_leaves_in_the_middle_harms_nobody() -> None:
    async with served_http() as port:
        for request in (b"GET /fl", GET % b"flood", b"PUT /hello HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf"):
            async with await connect(port) as rude:
                await rude.send_all(request)
                # To close at once, with a reset.
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert (await get(port, "/hello")).text == "hello"


async def test_the_api_answers_on_the_control_socket(visited: Visited, tmp_path: Path) -> None:
    path = tmp_path / "other.sock"
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, control_app(visited.house, visited.metrics), path)
        async with httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(path)), base_url="http://callctl"
        ) as client:
            odd = "/api/v1/agents/J%C3%BCrgen%20%25%3F%40home"
            assert (await client.put(odd, json={"contact": "user/1"})).status_code == 201
            assert (await client.get(odd)).json()["name"] == "Jürgen %?@home"
            too_long = await client.put(odd, content=b'{"contact": "' + b"x" * 70_000 + b'"}')
            assert too_long.status_code == 413
            assert "65536" in too_long.json()["detail"]
            assert (await client.get(odd)).json()["contact"] == "user/1"
        nursery.cancel_scope.cancel()


async def endless(request: Request) -> Response:
    async def beats() -> AsyncIterator[bytes]:
        while True:
            yield b"beat\n"
            await trio.sleep(0.05)

    listeners.take_stream_place()
    return StreamingResponse(beats())


async def test_streams_have_places_of_their_own_and_no_more_than_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(listeners, "MOST_STREAMS", 3)
    app = Starlette(
        routes=[Route("/hello", hello), Route("/endless", endless)], exception_handlers=handlers()
    )
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        port: int = await nursery.start(serve_http, app, LOOPBACK)
        for _ in range(3):
            stream = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
            await stream.send_all(GET % b"endless")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        for _ in range(3):
            assert (await get(port, "/hello")).status_code == 200
        refusal = await get(port, "/endless")
        assert refusal.status_code == 503
        assert int(refusal.headers["retry-after"]) > 0
        assert Refusals.of_this_run().counts()[Refusal.HTTP_STREAMS] == 1
        await stream.aclose()

        async def has_a_place() -> bool:
            async with await trio.open_tcp_stream("127.0.0.1", port) as another:
                await another.send_all(GET % b"endless")
                return (await another.receive_some()).startswith(b"HTTP/1.1 200")

        await until(has_a_place)
        nursery.cancel_scope.cancel()
