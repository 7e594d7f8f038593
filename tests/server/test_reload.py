"""SIGHUP takes over what a person meant, and what stands in callctl.toml is changed there alone."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from callctl.api.client import ControlClient, RequestRefused, path_of
from callctl.cli import main
from callctl.config.paths import control_socket
from tests.server.process import Files, Process, configuration, serving

pytestmark = pytest.mark.fault(18)

QUEUES = "".join(f"\n[queue.q{number}]\nmax-callers = {number}\n" for number in range(10))
AGENT = '\n[agent.1001]\ncontact = "user/1001"\ntiers = { caller = {}, q1 = {} }\n'


async def ask(files: Files, method: str, *parts: str, body: Mapping[str, object] | None = None) -> Any:
    """Return what the server answers, or the status and the words of its refusal."""
    client = ControlClient(control_socket(files.database))
    try:
        return await trio.to_thread.run_sync(client.request, method, path_of(*parts), body)
    except RequestRefused as refused:
        return refused.status, str(refused)


async def queues(files: Files) -> list[str]:
    return [queue["name"] for queue in (await ask(files, "GET", "queues"))["queues"]]


async def hang_up(server: Process, says: str) -> None:
    """Send SIGHUP, and wait until the log says what became of it."""
    server.log = b""
    server.process.send_signal(signal.SIGHUP)
    await server.until_logged("reloaded")
    assert says.encode() in server.log, server.log.decode()


async def test_what_stands_in_the_file_is_changed_there_alone(tmp_path: Path, switch_port: int) -> None:
    files = await configuration(tmp_path, switch_port)
    files.config.write_text(files.config.read_text() + QUEUES + AGENT)
    async with serving(files.config) as server:
        agent = ("agents", "1001")
        for method, parts, body in (
            ("PATCH", agent, {"contact": "user/2"}),
            ("PUT", agent, {"contact": "user/2"}),
            ("DELETE", agent, None),
            ("PUT", ("queues", "caller", "tiers", "1001"), {"level": 2}),
            ("DELETE", ("queues", "caller", "tiers", "1001"), None),
        ):
            status, words = await ask(files, method, *parts, body=body)
            assert status == 409, (method, parts)
            assert f"{files.config}:" in words
        # The status is nobody's but the agent's, and what the file says nothing of is free.
        await ask(files, "POST", *agent, "status", body={"status": "Available"})
        assert (await ask(files, "PUT", "queues", "q2", "tiers", "1001", body={}))["queue"] == "q2"
        assert await ask(files, "DELETE", "queues", "q2", "tiers", "1001") is None
        assert (await ask(files, "PUT", "agents", "1002", body={"contact": "user/2"}))["name"] == "1002"
        assert await ask(files, "DELETE", "agents", "1002") is None
        # Once the file names the agent no more, it can be removed.
        files.config.write_text(files.config.read_text().removesuffix(AGENT))
        await hang_up(server, "configuration reloaded")
        assert await ask(files, "DELETE", *agent) is None


async def test_a_queue_that_comes_back_has_its_tiers(tmp_path: Path, switch_port: int) -> None:
    files = await configuration(tmp_path, switch_port)
    short, long = files.config.read_text(), files.config.read_text() + "\n[queue.sales]\n"
    files.config.write_text(long)
    for command in (["agent", "add", "1001", "--contact", "user/1001"], ["tier", "add", "sales", "1001"]):
        assert main([*command, "--config", str(files.config)]) == 0
    files.config.write_text(short)
    async with serving(files.config) as server:
        for text in (long, short, long):
            files.config.write_text(text)
            await hang_up(server, "configuration reloaded")
            if text is long:
                tiers = (await ask(files, "GET", "queues", "sales", "tiers"))["tiers"]
                assert [tier["agent"] for tier in tiers] == ["1001"]
                [served] = (await ask(files, "GET", "queues", "sales"))["serving"]
                assert "sales" in served["tiers"]
        await ask(files, "POST", "agents", "1001", "status", body={"status": "Available"})
        assert (await ask(files, "GET", "queues", "sales"))["free"] == 1


@pytest.mark.parametrize("text", ["", "\n", "# nothing any more\n"])
async def test_an_empty_file_closes_no_queue(tmp_path: Path, switch_port: int, text: str) -> None:
    files = await configuration(tmp_path, switch_port)
    files.config.write_text(files.config.read_text() + QUEUES)
    async with serving(files.config) as server:
        files.config.write_text(text)
        await hang_up(server, "is empty")
        await hang_up(server, "is empty")
        assert len(await queues(files)) == 11


async def test_a_file_that_would_close_most_queues_is_taken_when_that_is_said_twice(
    tmp_path: Path, switch_port: int
) -> None:
    files = await configuration(tmp_path, switch_port)
    short = files.config.read_text()
    files.config.write_text(short + QUEUES)
    async with serving(files.config) as server:
        files.config.write_text(short)
        await hang_up(server, "it would close 10 of 11 queues; if that is meant, send SIGHUP again")
        assert len(await queues(files)) == 11
        # Another text is another question.
        files.config.write_text(short + "\n")
        await hang_up(server, "it would close 10 of 11 queues")
        await hang_up(server, "configuration reloaded")
        assert await queues(files) == ["caller"]


async def test_a_file_that_was_cut_off_is_not_taken(tmp_path: Path, switch_port: int) -> None:
    files = await configuration(tmp_path, switch_port)
    whole = files.config.read_text() + QUEUES
    files.config.write_text(whole)
    async with serving(files.config) as server:
        for cut in (len(" = 9\n"), len("= 9\n"), len("9\n"), len("\n[queue.q9]\nmax-callers = 9\n") + 1):
            files.config.write_text(whole[:-cut])
            await hang_up(server, "is not reloaded")
        assert len(await queues(files)) == 11


async def test_a_file_is_taken_once_it_is_written(tmp_path: Path, switch_port: int) -> None:
    files = await configuration(tmp_path, switch_port)
    whole = files.config.read_text() + QUEUES
    files.config.write_text(whole)
    async with serving(files.config) as server:
        server.log = b""
        files.config.write_text("")
        server.process.send_signal(signal.SIGHUP)
        lines = (whole + "\n[queue.new]\n").splitlines(keepends=True)
        for upto in range(0, len(lines), 4):
            await trio.sleep(0.1)
            files.config.write_text("".join(lines[:upto]))
        files.config.write_text("".join(lines))
        await server.until_logged("reloaded")
        assert b"configuration reloaded" in server.log
        assert len(await queues(files)) == 12
