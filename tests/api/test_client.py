"""The client of the control socket: what it returns, and what it says when there is no server."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio

from callctl.api.app import control_app
from callctl.api.client import ControlClient, RequestRefused, path_of
from callctl.api.listeners import serve_control
from callctl.errors import CallctlError
from tests.api.house import Visited

AGENT = path_of("agents", "J/ü 1")


@pytest.fixture
async def client(visited: Visited, tmp_path: Path) -> AsyncIterator[ControlClient]:
    path = tmp_path / "visited.sock"
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, control_app(visited.house, visited.metrics), path)
        yield ControlClient(path)
        nursery.cancel_scope.cancel()


async def test_it_asks_and_changes(client: ControlClient) -> None:
    def visit() -> None:
        path = path_of("agents", "1001")
        assert client.is_served()
        assert client.put(path, {"contact": "user/1001"})["contact"] == "user/1001"
        assert client.patch(path, {"wrap_up_time": 3})["contact"] == "user/1001"
        assert client.post(f"{path}/status", {"status": "On Break"})["status"] == "On Break"
        assert [agent["name"] for agent in client.get("/api/v1/agents")["agents"]] == ["1001"]
        assert client.get("/api/v1/agents", queue="sales & more")["agents"] == []
        assert client.delete(path) is None  # type: ignore[func-returns-value]
        assert client.get("/api/v1/agents")["agents"] == []

    await trio.to_thread.run_sync(visit)


async def test_a_refusal_is_said_in_the_servers_words(client: ControlClient) -> None:
    with pytest.raises(RequestRefused, match=r"^there is no agent 'nobody'$") as error:
        await trio.to_thread.run_sync(client.get, path_of("agents", "nobody"))
    assert error.value.status == 404


async def test_many_orders_one_after_another_find_a_free_connection(
    client: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callctl.api.listeners.MOST_CONNECTIONS", 4)

    def visit() -> None:
        for _ in range(20):
            client.get("/healthz")

    await trio.to_thread.run_sync(visit)


def test_without_a_server_it_says_how_to_start_one(tmp_path: Path) -> None:
    client = ControlClient(tmp_path / "callctl.sock")
    assert not client.is_served()
    with pytest.raises(CallctlError, match=r"no server listens at .*callctl\.sock; callctl serve starts one"):
        client.get("/healthz")


def test_the_socket_of_a_dead_server_is_no_server(tmp_path: Path) -> None:
    path = tmp_path / "callctl.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    client = ControlClient(path)
    assert not client.is_served()
    with pytest.raises(CallctlError, match="no server listens"):
        client.get("/healthz")


def test_a_path_that_can_be_no_socket_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(CallctlError, match=r"cannot reach the server at .*: AF_UNIX path too long"):
        ControlClient(tmp_path / ("x" * 120)).is_served()


async def test_a_server_that_goes_away_or_speaks_no_http_is_an_error_in_words(tmp_path: Path) -> None:
    path = tmp_path / "odd.sock"
    for answer in (b"", b"-ERR not HTTP\n", b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nOops"):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, partial(_answer, listening, answer))
                with pytest.raises(CallctlError, match=r"no answer from the server at|status 500"):
                    await trio.to_thread.run_sync(ControlClient(path).get, "/healthz")
        os.unlink(path)


def _answer(listening: socket.socket, answer: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(answer)


def test_names_are_escaped_in_paths() -> None:
    assert AGENT == "/api/v1/agents/J%2F%C3%BC%201"
