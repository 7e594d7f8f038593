"""Events of a real server that is killed while they are streamed: nothing is lost, nothing comes twice."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import trio

from callctl.cli.stage import free_port
from callctl.config.paths import control_socket
from callctl.store.event_log import events_after
from callctl.store.schema import open_history
from tests.api.streams import StreamClient, following
from tests.server.process import Files, configuration, serving

AGENTS = 20
KILLS = 2


async def order(path: Path, method: str, where: str, body: object) -> None:
    """Give an order over the control socket; a server that is killed meanwhile answers nothing."""
    content = json.dumps(body).encode()
    head = f"{method} /api/v1/{where} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(head.encode() + content)
        answer = b""
        while piece := await stream.receive_some(65536):
            answer += piece
        assert not answer or b" 20" in answer.split(b"\r\n", 1)[0], answer


async def change_statuses(path: Path) -> None:
    """Have agents take breaks and come back, until the server is gone."""
    number = 0
    try:
        while True:
            number += 1
            status = "On Break" if number // AGENTS % 2 else "Available"
            body = {"status": status, "reason": f"break {number}"}
            await order(path, "POST", f"agents/agent-{number % AGENTS}/status", body)
    except (OSError, trio.BrokenResourceError):
        return


async def read_to_the_end(client: StreamClient) -> None:
    try:
        while await client.next(30) is not None:
            pass
    except trio.BrokenResourceError:
        return


def stored(files: Files) -> list[str]:
    found: list[str] = []
    with closing(open_history(files.database)) as connection:
        sequence = 0
        while page := events_after(connection, sequence):
            sequence = page[-1].sequence
            found += [event.id for event in page]
    return found


async def test_a_client_resumes_over_kills_with_nothing_lost_and_nothing_twice(tmp_path: Path) -> None:
    files = await configuration(tmp_path, switch_port=await free_port())
    path = control_socket(files.database)
    received: list[str] = []
    last_id = "0"
    async with serving(files.config):
        for number in range(AGENTS):
            await order(path, "PUT", f"agents/agent-{number}", {"contact": f"user/{number}"})
    for _ in range(KILLS):
        async with serving(files.config) as running, trio.open_nursery() as nursery:
            stream = await trio.open_unix_socket(path)
            async with following(stream, "/api/v1/events", last_id=last_id) as client:
                assert client.status == 200
                nursery.start_soon(change_statuses, path)
                nursery.start_soon(change_statuses, path)
                with trio.fail_after(20):
                    for _ in range(100):
                        await client.next()
                running.process.kill()
                await read_to_the_end(client)
            received += [message.data["id"] for message in client.messages]
            last_id = client.last_id
    async with serving(files.config):
        stream = await trio.open_unix_socket(path)
        async with following(stream, "/api/v1/events", last_id=last_id) as client:
            known = stored(files)
            with trio.fail_after(10):
                while len(received) + len(client.messages) < len(known):
                    await client.next()
            received += [message.data["id"] for message in client.messages]
    assert len(received) > KILLS * 100
    assert received == known
