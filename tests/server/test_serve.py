"""`callctl serve` as a process: signals, a second server, a new configuration."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from callctl.cli.stage import free_port
from callctl.config.paths import control_socket
from callctl.ids import Ids
from callctl.sim.switch import Switch

CONFIG = """
[server]
listen = "127.0.0.1:{port}"
database = "{database}"

[http]
listen = "127.0.0.1:{http_port}"

[[freeswitch]]
name = "fs1"
port = {switch_port}

[queue.caller]
"""


class Process:
    """A running `callctl serve`, with what it has logged."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.log = b""

    async def until_logged(self, words: str) -> None:
        assert self.process.stderr is not None
        with trio.fail_after(20):
            while words.encode() not in self.log:
                chunk = await self.process.stderr.receive_some()
                assert chunk, f"ended without {words!r}: {self.log.decode()}"
                self.log += chunk


@pytest.fixture
async def switch_port(nursery: trio.Nursery) -> int:
    """A stand-in switch that the servers of a test log in to."""
    switch = Switch(random=random.Random(1), ids=Ids(random.Random(1)))
    await nursery.start(switch.run)
    port: int = await nursery.start(switch.listen_inbound)
    return port


async def configuration(folder: Path, switch_port: int, database: str = "callctl.db") -> Path:
    path = folder / "callctl.toml"
    text = CONFIG.format(
        port=await free_port(),
        http_port=await free_port(),
        switch_port=switch_port,
        database=folder / database,
    )
    path.write_text(text)
    return path


@asynccontextmanager
async def serving(config: Path) -> AsyncIterator[Process]:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "callctl", "serve", "--config", str(config)],
        stderr=subprocess.PIPE,
        env={**os.environ, "CALLCTL_LOG_FORMAT": "json"},
    )
    running = Process(process)
    try:
        await running.until_logged('"serving"')
        yield running
    finally:
        process.kill()
        await process.wait()


async def test_sigterm_stops_in_good_order_and_exits_0(tmp_path: Path, switch_port: int) -> None:
    async with serving(await configuration(tmp_path, switch_port)) as server:
        server.process.send_signal(signal.SIGTERM)
        with trio.fail_after(20):
            assert await server.process.wait() == 0
    assert not control_socket(tmp_path / "callctl.db").exists()


async def test_two_servers_on_one_database_are_refused(tmp_path: Path, switch_port: int) -> None:
    first = await configuration(tmp_path, switch_port)
    async with serving(first):
        second = tmp_path / "second"
        second.mkdir()
        config = await configuration(second, switch_port, database=str(tmp_path / "callctl.db"))
        result = await trio.run_process(
            [sys.executable, "-m", "callctl", "serve", "--config", str(config)],
            capture_stderr=True,
            check=False,
        )
    assert result.returncode == 1
    lines = [line for line in result.stderr.decode().splitlines() if line.startswith("callctl: ")]
    assert len(lines) == 1
    assert "callctl.db" in lines[0]


async def test_sighup_reloads_and_refuses_a_bad_file_whole(tmp_path: Path, switch_port: int) -> None:
    config = await configuration(tmp_path, switch_port)
    async with serving(config) as server:
        good = config.read_text()
        config.write_text(good + "\n[queue.sales]\nstrategy = 'top-down'\n")
        server.process.send_signal(signal.SIGHUP)
        await server.until_logged("configuration reloaded")
        config.write_text(good + "\n[queue.sales]\nstrategy = 'nonsense'\n")
        server.process.send_signal(signal.SIGHUP)
        await server.until_logged("the old one stays")
        assert server.process.returncode is None


async def test_a_series_of_backups_is_made_while_the_server_runs(tmp_path: Path, switch_port: int) -> None:
    config = await configuration(tmp_path, switch_port)
    config.write_text(config.read_text() + '\n[backup]\nfolder = "copies"\n')
    async with serving(config) as server:
        await server.until_logged("backup made")
    [copy] = [name for name in os.listdir(tmp_path / "copies") if name.endswith(".db")]
    assert copy.startswith("callctl-")
